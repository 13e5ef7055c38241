"""The rate limit of forced keyframes."""


class KeyframeGate:
    """Coalesces requests into at most one forced IDR in `gap_s`. Pure: the time is an argument."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._open_at_s = float("-inf")
        self._wanted = False
        self._began = self._forced = False
        self.answered = 0
        """Keyframes that came when they were asked for; a camera's first one comes unasked."""

    def request(self) -> None:
        """Somebody cannot go on without a keyframe."""
        self._wanted = True

    def delivered(self) -> None:
        """A keyframe came, whoever wanted it: what was asked for before it is fulfilled."""
        self.answered += self._forced
        self._began, self._wanted, self._forced = True, False, False

    def stopped(self) -> None:
        """The encoder ended, and with it what was asked of it."""
        self._began = self._forced = False

    def due_s(self) -> float | None:
        """When a forced IDR is due, or None where nobody waits for one."""
        return self._open_at_s if self._wanted else None

    def take(self, now_s: float) -> bool:
        """Whether to force an IDR now; the request is then spent."""
        if not self._wanted or now_s < self._open_at_s:
            return False
        self._wanted, self._forced = False, self._began
        self._open_at_s = now_s + self._gap_s
        return True
