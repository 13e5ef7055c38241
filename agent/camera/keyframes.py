"""The rate limit of forced keyframes: all who want one ask here. Pure: the time is an argument."""

from agent.model.media import Need

GAP_S = {Need.START: 0.3, Need.REPAIR: 0.5, Need.SLOW_REPAIR: 4.0}
"""The least time since the last keyframe that was forced, whoever needed that one."""


class KeyframeGate:
    """Coalesces what is asked of one encoder into few forced IDRs."""

    def __init__(self) -> None:
        self._forced_s = float("-inf")
        self._wanted = False
        self._began = self._forced = False
        self.answered = 0
        """Keyframes that came when they were asked for; a camera's first one comes unasked."""

    def request(self, need: Need, now_s: float) -> None:
        """Somebody cannot go on without a keyframe.

        A start is remembered. A repair that comes too soon is not: who still needs it asks again, and who has
        gone or was helped otherwise costs the others nothing.
        """
        self._wanted |= need is Need.START or now_s >= self._forced_s + GAP_S[need]

    def delivered(self) -> None:
        """A keyframe came, whoever wanted it: what was asked for before it is fulfilled."""
        self.answered += self._forced
        self._began, self._wanted, self._forced = True, False, False

    def stopped(self) -> None:
        """The encoder ended, and with it what was asked of it."""
        self._began = self._forced = False

    def due_s(self) -> float | None:
        """When a forced IDR is due, or None where nobody waits for one."""
        return self._forced_s + GAP_S[Need.START] if self._wanted else None

    def take(self, now_s: float) -> bool:
        """Whether to force an IDR now; the request is then spent."""
        due_s = self.due_s()
        if due_s is None or now_s < due_s:
            return False
        self._wanted, self._forced = False, self._began
        self._forced_s = now_s
        return True
