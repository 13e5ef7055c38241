"""`pinhole doctor`: what keeps this device from serving, and what to do about it."""
