"""The mobile modem: what it says of itself, and what may be done to it."""
