"""Pinhole: a camera on a Raspberry Pi, live in a browser in under a second."""

from importlib.metadata import version

__version__ = version("pinhole")
