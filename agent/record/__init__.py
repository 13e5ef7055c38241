"""What a camera remembers: recordings, the way back to them, and stills."""
