"""Sends what is recorded to a store that the portal knows, when the link allows."""
