"""Telling people what happened at their cameras: rules, what waits to be sent, and who carries it."""
