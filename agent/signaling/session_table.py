"""The sessions that a device knows of; also some that are over, since more may come of them. Pure."""

from collections import OrderedDict
from dataclasses import dataclass

from agent.model.signal import Permission
from agent.signaling.lease import Lease

MAX_SESSIONS = 256


@dataclass(slots=True)
class Session:
    """Of one viewer."""

    last_seq: int = -1
    """The highest that came in; a copy or a late one is not above it."""
    next_seq: int = 0
    open: bool = False
    is_ended: bool = False
    """The portal said so."""
    user: str = ""
    """Who opened it: nobody else may restart it, or have it renewed."""
    permissions: tuple[Permission, ...] = ()
    lease: Lease | None = None
    """None where the portal is of before there were leases, and ends sessions by `bye` alone."""


class SessionTable(OrderedDict[str, Session]):
    """By name; the longest unused first."""

    def is_open(self, name: str) -> bool:
        """Whether it is not over."""
        session = self.get(name)
        return session is not None and session.open

    def remember(self, name: str) -> Session:
        """It is used; made where it is not known, in the place of one that is over."""
        session = self.setdefault(name, Session())
        self.move_to_end(name)
        if len(self) > MAX_SESSIONS:
            # The longest unused that is over; made-up ids must not push out who watches.
            over = (other for other, kept in self.items() if not kept.open and other != name)
            self.pop(next(over, next(iter(self))))
        return session
