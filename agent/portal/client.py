"""One browser's WebSocket, as the gateway knows it."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.model.media import StreamName
from agent.model.signal import OFFER_LIFETIME_S
from agent.portal.accounts.access import Identity
from agent.portal.messages import BrowserOffer
from agent.portal.outbox import Outbox
from agent.portal.turn import IceGrant

RATE_PER_S = 50.0
BURST = 200.0
MAX_OWNERS = 4096
LEASE_S = 180.0
"""How long a device lets a session play without a word of ours: longer than a portal or a broker takes to
restart, and to be found again."""
RENEW_SHARE = 1 / 3
"""A lease is renewed when this share of it has passed, so that two renewals may be lost."""
RENEW_AGAIN_S = 10.0
"""Not sooner, however often a device speaks."""


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
    tokens: float
    refilled_s: float
    sessions: "dict[str, Session]" = field(default_factory=dict)

    @property
    def user(self) -> str:
        """The name in offers and in the log."""
        return self.identity.name

    def may_watch(self, device: str) -> bool:
        """Whether this camera exists, as far as the client is told."""
        return self.identity.access.may(device, "watch")

    @property
    def owner(self) -> tuple[int | None, int | None]:
        """The user, or the share link."""
        return self.identity.user_id, self.identity.share_id

    def is_of(self, other: Identity) -> bool:
        """Whether both are the same user, or came with the same link."""
        mine = self.identity
        return (mine.user_id, mine.share_id) == (other.user_id, other.share_id)

    def may_send(self, now_s: float) -> bool:
        """A token bucket: 50 messages a second, 200 at once."""
        self.tokens = min(BURST, self.tokens + (now_s - self.refilled_s) * RATE_PER_S)
        self.refilled_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(eq=False, slots=True)
class Session:
    """A browser's stream from one device."""

    id: str
    device: str
    boot_id: str | None
    client: Client
    stream: StreamName = "main"
    """What it was opened for; over the data channel its viewer may change their mind."""
    answer_by_s: float | None = None
    orphaned_until_s: float | None = None
    watching_since_s: float | None = None
    """When the device answered; monotonic."""
    nonce: str = ""
    """Of the newest offer: only its answer counts."""
    asked: BrowserOffer | None = None
    """The newest offer, while no answer has come."""
    candidates: list[str] = field(default_factory=list)
    """Those that followed it: a device that refuses it keeps none."""
    is_leased: bool = False
    """Its device ends it unless it is renewed."""
    ahead_s: float = 0.0
    """Unix time less monotonic time as of the newest offer: for the session our clock steps no more."""
    renewed_s: float = -math.inf
    """Monotonic, as are the next two."""
    renew_at_s: float = math.inf
    lease_ends_s: float = 0.0
    """At the latest: an offer may have been under way for long."""
    seq_out: int = -1
    seq_in: int = -1

    def next_seq(self) -> int:
        """The number of the next message to the device."""
        self.seq_out += 1
        return self.seq_out

    def promise(self, now_s: float, lease_s: float) -> None:
        """Note that the device is told to let it play for so long, by an offer or by a renewal."""
        self.is_leased, self.renewed_s = True, now_s
        self.lease_ends_s = now_s + OFFER_LIFETIME_S + lease_s

    def renew_soon(self) -> None:
        """The device may have missed the newest renewal."""
        if self.is_leased:
            self.renew_at_s = min(self.renew_at_s, self.renewed_s + RENEW_AGAIN_S)


class MinuteLimit:
    """How often one user may ask for something; `owner` is a user or a share link. Time is monotonic."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: OrderedDict[object, deque[float]] = OrderedDict()

    def admits(self, owner: object, now_s: float) -> bool:
        """Count one; False where there were too many in the last minute."""
        times = self._times.setdefault(owner, deque(maxlen=self._per_minute))
        self._times.move_to_end(owner)
        if len(self._times) > MAX_OWNERS:
            self._times.popitem(last=False)
        if len(times) == self._per_minute and now_s - times[0] < 60:
            return False
        times.append(now_s)
        return True
