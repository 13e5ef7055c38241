"""Who holds the head: one at a time, by name, until some seconds after the last command. Pure."""

from dataclasses import dataclass

LEASE_S = 8.0
"""After the last command: long enough to look where it points, short enough to wait for."""
AUDIT_S = 60.0
"""Of all moves of one user the audit log gets one entry a minute."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever asks, as the portal vouches for it."""

    user: str
    session: str
    """Empty where it came by the broker."""


class Holder:
    """The right to move one head."""

    def __init__(self) -> None:
        self._person: Person | None = None
        self.ends_s = 0.0
        """When it is free again."""
        self._told_s: dict[str, float] = {}
        """By user, of the last minute."""

    def of(self, now_s: float) -> Person | None:
        """Who holds it now."""
        return self._person if now_s < self.ends_s else None

    def may_take(self, person: Person, now_s: float) -> bool:
        """Whether it is free, or this one's already: in another tab too."""
        held = self.of(now_s)
        return held is None or held.user == person.user

    def take(self, person: Person, now_s: float) -> bool:
        """Hold it from now on; whether somebody else did, or the same one elsewhere."""
        before, self._person = self.of(now_s), person
        self.ends_s = now_s + LEASE_S
        return before is not None and before != person

    def leave(self, session: str) -> bool:
        """A session is over; whether it held the head."""
        if self._person is None or not session or self._person.session != session:
            return False
        self._person, self.ends_s = None, 0.0
        return True

    def is_news(self, user: str, now_s: float) -> bool:
        """Whether a move of this user's is to be told to the audit log now, in whatever tab it is."""
        self._told_s = {name: told_s for name, told_s in self._told_s.items() if now_s < told_s + AUDIT_S}
        if user in self._told_s:
            return False
        self._told_s[user] = now_s
        return True
