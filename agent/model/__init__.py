"""The small frozen values that pass between rooms. No behaviour beyond what their fields imply."""
