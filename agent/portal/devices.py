"""What the portal knows of the devices, from their retained states."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agent.model.health import Health
from agent.model.signal import State
from agent.portal.messages import Device
from agent.portal.names import is_same, shown

MAX_DEVICES = 4096
_REVOKED = "This camera was revoked: it has to be enrolled again."


@dataclass(slots=True)
class _Entry:
    state: State
    since: float | None
    health: Health | None = None


class Directory:
    """The newest state of each device; pure. Beyond 4096 devices new ones are not taken in."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._names: dict[str, str] = {}
        """The portal's own, as they are shown."""
        self._plain: dict[str, str] = {}

    def apply(self, device: str, state: State, now: float) -> bool:
        """Take in a state; False where it changes nothing that the dashboard shows. `now` is Unix time."""
        entry = self._entries.get(device)
        if entry is None:
            if len(self._entries) >= MAX_DEVICES:
                return False
            # A will carries the birth's time: without the birth nobody can say when the device went.
            self._entries[device] = _Entry(state, state.since if state.online else None)
            return True
        if entry.state == state or _is_late_will(entry.state, state):
            return False
        entry.since = _since(entry, state, now)
        entry.state = state
        return True

    def apply_health(self, device: str, health: Health) -> bool:
        """Take in a verdict; False where it is the known one, or of a device without a state."""
        entry = self._entries.get(device)
        if entry is None or entry.health == health:
            return False
        entry.health = health
        return True

    def take_names(self, names: Mapping[str, str | None]) -> list[str]:
        """Take in what cameras are called; returns which of those that are known here change."""
        self._plain = {device: name or device for device, name in names.items()}
        before, self._names = self._names, shown(self._plain)
        return [each for each in self._entries if before.get(each) != self._names.get(each)]

    def said_names(self, devices: Iterable[str]) -> dict[str, str]:
        """What these call themselves, as far as they have spoken."""
        return {each: self._entries[each].state.name or each for each in devices if each in self._entries}

    def revoke(self, device: str, now: float) -> bool:
        """Show a device as gone, since nothing that it says is heard any more; False where it is unknown."""
        entry = self._entries.get(device)
        if entry is None:
            return False
        entry.state = replace(entry.state, online=False, camera="idle", viewers=0, problem=_REVOKED)
        entry.since = now
        return True

    def is_online(self, device: str) -> bool | None:
        """None where the device is unknown."""
        entry = self._entries.get(device)
        return entry.state.online if entry else None

    def boot_id(self, device: str) -> str | None:
        """The newest start of the device's agent that is known."""
        entry = self._entries.get(device)
        return entry.state.boot_id if entry else None

    def understands(self, device: str, what: str) -> bool:
        """Whether the device takes what the first of version 1 did not know."""
        entry = self._entries.get(device)
        return entry is not None and what in entry.state.understands

    def get(self, device: str) -> Device:
        """Raises KeyError where the device is unknown."""
        return self._view(device)

    def ids(self) -> tuple[str, ...]:
        """Of every device."""
        return tuple(self._entries)

    def all(self) -> list[Device]:
        """Every device, in the order in which they were first seen."""
        return [self._view(device) for device in self._entries]

    def _view(self, device: str) -> Device:
        entry = self._entries[device]
        said = entry.state.name or device
        name = self._names.get(device)
        if name is None:  # of no registry: only tests have such
            return _view(device, entry, said, "")
        return _view(device, entry, name, "" if is_same(said, self._plain[device]) else said)


def _is_late_will(known: State, new: State) -> bool:
    """An agent that restarted was born again before the broker published the will of its former life."""
    return known.online and not new.online and new.boot_id != known.boot_id


def _since(entry: _Entry, state: State, now: float) -> float | None:
    if state.online:
        return state.since
    if not entry.state.online:
        return entry.since
    # A clean stop says when; a will repeats the birth's time: then the moment we learnt of it is the best.
    return state.since if state.since > entry.state.since else now


def _view(device: str, entry: _Entry, name: str, calls_itself: str) -> Device:
    state = entry.state
    return Device(
        id=device,
        name=name,
        online=state.online,
        since=entry.since,
        camera=state.camera,
        camera_kind=state.camera_kind,
        problem=state.problem,
        streams=state.streams,
        viewers=state.viewers,
        has_stamp=state.has_stamp,
        version=state.version,
        health=entry.health,
        release=state.release,
        calls_itself=calls_itself,
    )
