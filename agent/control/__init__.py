"""Congestion control: how fast to send to each viewer, what leaves when, what to ask of the encoder. Pure."""
