"""Says to people, and to who keeps pictures, that something moves: at once, and again when it is over."""

from collections.abc import Callable
from typing import Protocol

from agent.model.event import EventKind
from agent.model.signal import Detail
from agent.motion.episodes import Episode

MAX_ZONES_CHARS = 200


class Note(Protocol):
    """Keeps an event until a portal has it, and returns its id."""

    def __call__(
        self,
        kind: EventKind,
        message: str,
        details: dict[str, Detail],
        *,
        at: float | None = None,
        has_thumbnail: bool = False,
    ) -> str: ...


Told = Callable[[str, int], None]
"""`told(event, at_us)`: by the camera's clock, in microseconds."""


class Events:
    """One camera's.

    Two events: a phone hears of the first within seconds, and the second names it, so that a portal makes
    one of both. One that does not know the second shows it as an event of its own.
    """

    def __init__(self, note: Note, on_begun: Told, on_ended: Told) -> None:
        self._note, self._on_begun, self._on_ended = note, on_begun, on_ended
        self._begun = ""

    def begin(self, episode: Episode, at: float) -> None:
        """It was first seen at this Unix time."""
        self._begun = self._note(
            "motion", f"Motion{_where(episode)}", _details(episode), at=at, has_thumbnail=True
        )
        self._on_begun(self._begun, episode.begun_us)

    def end(self, episode: Episode, at: float) -> None:
        """It was last seen at this one."""
        seconds = round((episode.last_us - episode.begun_us) / 1e6, 1)
        details = {**_details(episode), "begun": self._begun, "seconds": seconds}
        self._note("motion-ended", f"Motion{_where(episode)} is over, after {seconds:g} s", details, at=at)
        self._on_ended(self._begun, episode.last_us)


def _where(episode: Episode) -> str:
    zones = ", ".join(sorted(episode.zones))[:MAX_ZONES_CHARS]
    return f" in {zones}" if zones else ""


def _details(episode: Episode) -> dict[str, Detail]:
    zones = ", ".join(sorted(episode.zones))[:MAX_ZONES_CHARS]
    return {"score": episode.score} | ({"zones": zones} if zones else {})
