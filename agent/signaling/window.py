"""How often something may happen in one second. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Window:
    """At most so many in one second of the clock."""

    limit: int
    second: int = -1
    count: int = 0

    def admits(self, now_unix_s: float) -> bool:
        """Count one; False where it is one too many."""
        if int(now_unix_s) != self.second:
            self.second, self.count = int(now_unix_s), 0
        self.count += 1
        return self.count <= self.limit
