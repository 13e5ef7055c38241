"""Cameras: where encoded pictures come from."""
