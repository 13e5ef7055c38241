"""One browser's WebSocket, as the gateway knows it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.portal.accounts.access import Identity
from agent.portal.messages import ToBrowser, encode_to_browser
from agent.portal.outbox import Outbox
from agent.portal.rate_limit import TokenBucket
from agent.portal.turn import IceGrant

Owner = tuple[int | None, int | None]
"""The user, or the share link."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from; tests bring their own."""

    unix_s: Callable[[], float] = time.time
    mono_s: Callable[[], float] = time.monotonic


@dataclass(eq=False, slots=True)
class Client:
    """One WebSocket of somebody who may come in."""

    number: int
    """Later ones are higher."""
    identity: Identity
    address: str
    outbox: Outbox
    ice: IceGrant
    rate: TokenBucket
    """Of its messages."""
    reads_sections: bool = False
    """Its page is not of before there were any."""

    @property
    def user(self) -> str:
        """The name in offers and in the log."""
        return self.identity.name

    def may_watch(self, device: str) -> bool:
        """Whether this camera exists, as far as the client is told."""
        return self.identity.access.may(device, "watch")

    @property
    def owner(self) -> Owner:
        """Whose it is."""
        return self.identity.user_id, self.identity.share_id

    def is_of(self, other: Identity) -> bool:
        """Whether both are the same user, or came with the same link."""
        return self.owner == (other.user_id, other.share_id)

    def tell(self, message: ToBrowser) -> None:
        """Queue one message."""
        self.outbox.put(encode_to_browser(message))
