"""What a head does while nobody wants anything: a tour of its presets, or back home. Pure."""

from dataclasses import dataclass, field

from agent.serial.ptz.motion import GoPreset, Order


@dataclass(slots=True)
class Routine:
    """Time is an argument."""

    idle_s: float
    """After the last command it goes home; 0 for never."""
    home: Order | None
    _stops: tuple[int, ...] = ()
    _dwell_s: float = 0.0
    _next: int = 0
    _due_s: float | None = field(default=None)

    @property
    def is_touring(self) -> bool:
        """It goes from preset to preset."""
        return bool(self._stops)

    def touched(self, now_s: float) -> None:
        """Somebody wants something else."""
        self._stops = ()
        self._due_s = now_s + self.idle_s if self.idle_s and self.home else None

    def tour(self, stops: tuple[int, ...], dwell_s: float, now_s: float) -> None:
        """Go from one to the next, and begin again, until somebody wants something else."""
        self._stops, self._dwell_s, self._next, self._due_s = stops, dwell_s, 0, now_s

    def wake_s(self, now_s: float) -> float:
        """When something is due."""
        return now_s + 3600 if self._due_s is None else self._due_s

    def due(self, now_s: float) -> Order | None:
        """What to do now."""
        if self._due_s is None or now_s < self._due_s:
            return None
        if not self._stops:
            self._due_s = None
            return self.home
        number = self._stops[self._next % len(self._stops)]
        self._next += 1
        self._due_s = now_s + self._dwell_s
        return GoPreset(number)
