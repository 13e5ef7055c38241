"""Every session of this portal, found by its id, camera, owner or WebSocket without a look at the others."""

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from agent.model.media import StreamName
from agent.model.signal import OFFER_LIFETIME_S
from agent.portal.client import Client, Owner
from agent.portal.messages import BrowserOffer

RENEW_AGAIN_S = 10.0
"""Not sooner, however often a device speaks."""
Key = TypeVar("Key")


@dataclass(eq=False, slots=True)
class Session:
    """A browser's stream from one device."""

    id: str
    device: str
    boot_id: str | None
    client: Client
    """Whose it is now, or was when its WebSocket went: another of the same owner may take it over."""
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
    done: set[str] = field(default_factory=set)
    """Commands that its viewer had done, and was allowed to: what the device says of them later, as of a
    playback that a lost right has ended, is no lie."""

    def may_go_to(self, client: Client, device: str) -> bool:
        """Whether it is this camera's, of the same user or link, and of no newer WebSocket.

        What was sent on a WebSocket that had lost its network comes late, when that network is back.
        """
        is_same = self.device == device and client.is_of(self.client.identity)
        return is_same and client.number >= self.client.number

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


class SessionTable:
    """Sessions under four keys. Whoever takes one over is of the same owner."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_device: dict[str, dict[str, Session]] = {}
        self._by_client: dict[Client, dict[str, Session]] = {}
        self._counts: Counter[Owner] = Counter()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        """All of them; they may be removed meanwhile."""
        return iter(list(self._by_id.values()))

    def get(self, session_id: str) -> Session | None:
        """The session of this id."""
        return self._by_id.get(session_id)

    def of_device(self, device: str) -> list[Session]:
        """Those with one camera."""
        return list(self._by_device.get(device, {}).values())

    def of_client(self, client: Client) -> list[Session]:
        """Those that one WebSocket opened or took over, even where it has gone since."""
        return list(self._by_client.get(client, {}).values())

    def clients(self) -> Collection[Client]:
        """Every WebSocket that has any, even where it has gone."""
        return self._by_client.keys()

    def count(self, owner: Owner) -> int:
        """How many one user or share link has."""
        return self._counts[owner]

    def watchers(self, device: str) -> list[Client]:
        """Whose streams of this camera play."""
        return [session.client for session in self.of_device(device) if session.watching_since_s is not None]

    def put(self, session: Session, client: Client) -> None:
        """Take in a session, or hand it over to another WebSocket."""
        self.remove(session)
        session.client, session.orphaned_until_s = client, None
        self._by_id[session.id] = session
        self._by_device.setdefault(session.device, {})[session.id] = session
        self._by_client.setdefault(client, {})[session.id] = session
        self._counts[client.owner] += 1

    def remove(self, session: Session) -> None:
        """Forget it, where it is known."""
        if self._by_id.get(session.id) is not session:
            return
        del self._by_id[session.id]
        _drop(self._by_device, session.device, session.id)
        _drop(self._by_client, session.client, session.id)
        owner = session.client.owner
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]


def _drop(index: dict[Key, dict[str, Session]], key: Key, session_id: str) -> None:
    del index[key][session_id]
    if not index[key]:
        del index[key]
