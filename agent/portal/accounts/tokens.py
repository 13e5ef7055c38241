"""Random tokens that browsers and people keep, and the keys under which the store knows them."""

import hashlib
import secrets

MAX_TOKEN_CHARS = 128
CLOCK_SLACK_S = 3600.0
"""How far the clocks of several portals may be apart. What lives for longer than it may is no good: a clock
that was ahead made it."""


def new_token() -> str:
    """256 random bits, fit for a cookie or a link."""
    return secrets.token_urlsafe(32)


def key_of(token: str) -> str:
    """What is stored: who reads the database cannot pose as anybody."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
