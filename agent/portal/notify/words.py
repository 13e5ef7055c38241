"""What a message says: events in words that suffice without a picture. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from agent.model.event import KINDS
from agent.portal.notify.rules import rank, zone_of

MAX_LINES = 20
MAX_CHARS = 300
"""Of one event's words: a lock screen shows half of it."""
_TITLES: dict[str, str] = {kind: about.title for kind, about in KINDS.items()}
DETAILS = ("label", "zones", "score", "away_s", "number")


@dataclass(frozen=True, slots=True)
class Item:
    """An event in a message that waits."""

    device: str
    event_id: str
    kind: str
    severity: str
    at: float
    message: str = ""
    is_time_known: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    skipped: int = 0
    """How many of its kind were held back before it."""
    has_picture: bool = False
    """Whether its camera keeps one."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel carries."""

    delivery: int
    """Collapses doubles: what is sent again after a kill has the same."""
    kind: str
    title: str
    body: str
    path: str
    """Of the dashboard, from its own address on."""
    url: str
    """The same for who is elsewhere; empty where the portal does not know its own address."""
    severity: str
    at: float
    items: tuple[Item, ...]
    more: int = 0


def compose(
    delivery: int,
    kind: str,
    items: Sequence[Item],
    more: int,
    names: Mapping[str, str],
    zone: str,
    base: str,
    now: float,
) -> Message:
    """A message about these events; `base` is the portal's own address, or empty."""
    if not items:
        words = "This is how Pinhole tells you what happens at your cameras."
        return Message(delivery, kind, "Pinhole can reach you", words, "#/notifications", "", "info", now, ())
    first = items[0]
    severity = max((item.severity for item in items), key=rank)
    if len(items) == 1 and not more:
        title = f"{_name(first, names)}: {title_of(first.kind)}"
        body = " · ".join(filter(None, (_words(first), _time(first, zone, now), _skipped(first))))
        path = f"#/camera/{quote(first.device, safe='')}/{int(first.at)}"
    else:
        cameras = {item.device for item in items}
        title = f"{len(items) + more} events at {_cameras(cameras, names)}"
        lines = [
            " · ".join(
                filter(None, (_time(item, zone, now), _name(item, names), title_of(item.kind), _words(item)))
            )
            for item in items[:MAX_LINES]
        ]
        left = len(items) - MAX_LINES + more if len(items) > MAX_LINES else more
        body = "\n".join([*lines, f"and {left} more"] if left else lines)
        path = f"#/events/{quote(first.device, safe='')}" if len(cameras) == 1 else "#/events"
    if kind == "escalation":
        title = f"Nobody has looked yet: {title}"
    url = f"{base}/{path}" if base else ""
    return Message(delivery, kind, title, body, path, url, severity, first.at, tuple(items), more)


def title_of(kind: str) -> str:
    """What a kind is called; one of a newer camera as it calls it."""
    return _TITLES.get(kind, kind)


def _name(item: Item, names: Mapping[str, str]) -> str:
    return names.get(item.device, item.device)


def _cameras(devices: set[str], names: Mapping[str, str]) -> str:
    if len(devices) > 1:
        return f"{len(devices)} cameras"
    return next(names.get(device, device) for device in devices)


def _words(item: Item) -> str:
    found = [item.message] if item.message else []
    label, zones, away_s = (item.details.get(name) for name in ("label", "zones", "away_s"))
    if isinstance(label, str) and label and label.lower() not in item.message.lower():
        found.append(label)
    if isinstance(zones, list):
        zones = ", ".join(map(str, zones))
    if isinstance(zones, str) and zones and zones not in item.message:
        found.append(f"in {zones}")
    if isinstance(away_s, int | float):
        found.append(f"away for {_duration(away_s)}")
    return " ".join(" ".join(found).split())[:MAX_CHARS]


def _time(item: Item, zone: str, now: float) -> str:
    """By the rule's own clock; the day where it is another one."""
    local, today = (datetime.fromtimestamp(at, zone_of(zone)) for at in (item.at, now))
    words = f"{local:%H:%M}" if local.date() == today.date() else f"{local.day} {local:%b %H:%M}"
    return words if item.is_time_known else f"≈ {words}"


def _skipped(item: Item) -> str:
    return f"{item.skipped} more before it" if item.skipped else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
