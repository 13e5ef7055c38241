"""Recordings in an S3 store: URLs with which cameras send them, and what is there."""
