"""Notices what moves in the picture."""
