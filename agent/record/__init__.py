"""What a camera remembers: stills, and what they are made of."""
