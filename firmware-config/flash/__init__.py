"""Writes Pinhole's cards: an image, the boot files, and who the device is."""
