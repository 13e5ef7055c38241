"""Says to people, and to who keeps pictures, that something moves.

At once, again when more of it is known, and when it is over.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
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

    A phone hears of the first within seconds; the others name it, so that a portal makes one of all. One that
    does not know them shows each as an event of its own.
    """

    def __init__(self, note: Note, on_begun: Told, on_seen: Callable[[str], None], on_ended: Told) -> None:
        self._note = note
        self._on_begun, self._on_seen, self._on_ended = on_begun, on_seen, on_ended
        self._begun = ""

    def begin(self, episode: Episode, at: float) -> None:
        """It was first seen at this Unix time."""
        words = f"{_what(episode)}{_where(episode)}"
        self._begun = self._note("motion", words, _details(episode), at=at, has_thumbnail=True)
        self._on_begun(self._begun, episode.begun_us)
        episode.note_told(episode.begun_us)

    def see(self, episode: Episode, at: float, at_us: int) -> None:
        """More of it is known since this one: to who waits for a label or a zone it begins only now."""
        known = _joined(episode.told_labels, "known_label") | _joined(episode.told_zones, "known_zones")
        details = {**_details(episode), **known, "begun": self._begun}
        words = f"{_what(episode)}{_where(episode)}"
        self._on_seen(self._note("motion-seen", words, details, at=at, has_thumbnail=True))
        episode.note_told(at_us)

    def end(self, episode: Episode, at: float) -> None:
        """It was last seen at this one."""
        seconds = round((episode.last_us - episode.begun_us) / 1e6, 1)
        details = {**_details(episode), "begun": self._begun, "seconds": seconds}
        words = f"{_what(episode)}{_where(episode)} is over, after {seconds:g} s"
        self._note("motion-ended", words, details, at=at)
        self._on_ended(self._begun, episode.last_us)


def _what(episode: Episode) -> str:
    return ", ".join(sorted(episode.labels)).capitalize() or "Motion"


def _where(episode: Episode) -> str:
    zones = ", ".join(sorted(episode.zones))[:MAX_ZONES_CHARS]
    return f" in {zones}" if zones else ""


def _details(episode: Episode) -> dict[str, Detail]:
    return {"score": episode.score} | _joined(episode.zones, "zones") | _joined(episode.labels, "label")


def _joined(names: AbstractSet[str], key: str) -> dict[str, Detail]:
    return {key: ", ".join(sorted(names))[:MAX_ZONES_CHARS]} if names else {}
