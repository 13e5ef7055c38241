"""Who watches what: as each user may know it, and as the audit log hears of it."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Literal

from agent.errors import MessageError
from agent.model.command import COMMANDS, outcome
from agent.model.sections import known_part
from agent.model.signal import Permission, Result
from agent.portal.client import Client
from agent.portal.commands import CommandAct, act_of
from agent.portal.messages import Device
from agent.portal.rate_limit import MinuteLimit
from agent.portal.session_table import Session

WatchAct = Literal["watch", "watch-end", "watch-refused", "preview"]
NoteWatching = Callable[[Client, str, WatchAct | CommandAct, str], None]
"""`note(client, device, act, detail)` for the audit log: somebody watches, or commands while watching."""
PREVIEW_EVERY_S = 3600.0
MAX_PREVIEWS = 16_384
RESULTS_PER_MINUTE = 256
"""Of what one viewer had a camera do in a session: a sound camera does so much in an hour."""
MAX_NAMES = 64
"""As many viewers as a camera takes."""


_OF_GUESTS = ("portal", "agent", "camera", "streams", "viewers", "release", "health")
"""Sections for who came by a share link: one that nobody here knows, or a field, may tell where it stands."""
_FIELDS_OF: tuple[tuple[Permission, str, str], ...] = (
    ("manage", "modem", "cell"),
    ("control", "ptz", "holder"),
    ("recordings", "upload", "next"),
)
"""Who may not do this does not see that section's field: where it stands, who moves it, what it recorded."""


def seen_by(client: Client, device: Device, watchers: Collection[Client]) -> Device:
    """A device with its viewers: everybody may know their own streams, who manages it also the others'."""
    others = [watcher.user for watcher in watchers if watcher.owner != client.owner]
    may = client.identity.access.may
    may_know = may(device.id, "manage")
    names = tuple(sorted(others)[:MAX_NAMES]) if may_know else ()
    sections = device.sections
    if client.identity.share_id is not None:
        sections = {name: known_part(name, each) for name, each in sections.items() if name in _OF_GUESTS}
    for permission, name, field in _FIELDS_OF:
        if name in sections and not may(device.id, permission):
            sections = sections | {name: _without(sections[name], field)}
    own = sections["portal"] | {"own_viewers": len(watchers) - len(others), "watching": names}
    return replace(device, sections=sections | {"portal": own})


def _without(section: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: each for key, each in section.items() if key != field}


class PreviewLog:
    """Which previews are news to the audit log: of each camera, one an hour by each user from one address.

    A grid opens nine at once, and again whenever somebody looks at it: the log would hold little else.
    """

    def __init__(self) -> None:
        self._noted_s: OrderedDict[tuple[object, str, str], float] = OrderedDict()

    def is_news(self, client: Client, device: str, now_s: float) -> bool:
        """Whether this one is to be noted; `now_s` is monotonic."""
        key = (client.owner, client.address, device)
        last_s = self._noted_s.get(key)
        if last_s is not None and now_s - last_s < PREVIEW_EVERY_S:
            return False
        self._noted_s[key] = now_s
        self._noted_s.move_to_end(key)
        if len(self._noted_s) > MAX_PREVIEWS:
            self._noted_s.popitem(last=False)
        return True


class ResultLog:
    """What viewers had cameras do in their sessions, as far as it can have been: a camera may lie."""

    def __init__(self) -> None:
        self._limit = MinuteLimit(RESULTS_PER_MINUTE)

    def note(self, session: Session, result: Result, now_s: float, tell: NoteWatching) -> None:
        """For the audit log. Raises MessageError where no viewer may have it done, or too fast."""
        kind, device, access = COMMANDS.get(result.name), session.device, session.client.identity.access
        if result.ok and kind and result.name not in session.done:
            if not access.may(device, kind.permission):
                raise MessageError("not-allowed", f"{device} did what its viewer may not have it do")
            session.done.add(result.name)
        if result.ok and not self._limit.admits(session.id, now_s):
            raise MessageError("too-fast", f"{device} says too much of what it was told to do")
        tell(session.client, device, act_of(result), outcome(result))
