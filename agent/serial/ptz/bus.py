"""The wire to a head, as far as its time counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bus:
    """How fast frames may follow each other."""

    byte_s: float
    """How long one is on the wire; 0 on a network."""
    gap_s: float = 0.01
    """Between two frames."""

    def taken_s(self, frame: bytes) -> float:
        """From the first bit of a frame to the first of the next."""
        return len(frame) * self.byte_s + max(self.gap_s, 3.5 * self.byte_s)
