"""How much a viewer may do with a camera, as far as it decides who goes before whom. Pure."""

from collections.abc import Collection
from enum import IntEnum

from agent.model.signal import Permission

LINK_PREFIX = "link:"
"""Begins the `user` of an offer of whoever came with a share link; no user's name holds a colon."""


class Grant(IntEnum):
    """Whose wish goes before another's: the higher one's."""

    LINK = 0
    USER = 1
    """Watches, and may move the camera."""
    MANAGE = 2


def grant_of(user: str, permissions: Collection[Permission]) -> Grant:
    """As the portal signed it in an offer."""
    if "manage" in permissions:
        return Grant.MANAGE
    return Grant.LINK if user.startswith(LINK_PREFIX) else Grant.USER
