"""What the portal knows of the devices, from their retained states."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agent.model.flat import merged, offline, sections_of
from agent.model.health import Health
from agent.model.sections import Sections, SectionsMessage, fields_of, is_sound
from agent.model.signal import Permission, State
from agent.portal.messages import Device, PortalSection
from agent.portal.names import is_same, shown

MAX_DEVICES = 4096
_REVOKED = "This camera was revoked: it has to be enrolled again."
_OURS = ("portal", "health")
"""Sections that a device cannot say: its verdict has a message of its own."""
_FRAMING = ("type", "v")


@dataclass(slots=True)
class _Entry:
    state: State
    since: float | None
    sections: Sections = field(default_factory=dict)
    """All that the device says, put together; made anew with each change, for who still reads the last."""
    is_revoked: bool = False


class Directory:
    """The newest state of each device; pure. Beyond 4096 devices new ones are not taken in."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._beyond: dict[str, SectionsMessage] = {}
        """What devices say beyond their states; it may come first."""
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
            self._put_together(device)
            return True
        if entry.state == state or _is_late_will(entry.state, state):
            return False
        entry.since = _since(entry, state, now)
        entry.state, entry.is_revoked = state, False
        self._put_together(device)
        return True

    def apply_sections(self, device: str, message: SectionsMessage) -> bool:
        """Take in what a device says beyond its state; False where that changes nothing that is shown."""
        known = self._beyond.get(device)
        if known is None and len(self._beyond) >= MAX_DEVICES:
            return False
        if known is not None and known.boot_id == message.boot_id and known.seq >= message.seq:
            return False  # the broker, or somebody in it, says it again
        self._beyond[device] = message
        entry = self._entries.get(device)
        if entry is None:
            return False
        before = entry.sections
        self._put_together(device)
        return entry.sections != before

    def apply_health(self, device: str, health: Health) -> bool:
        """Take in a verdict; False where it is the known one, or of a device without a state."""
        entry = self._entries.get(device)
        verdict = {key: value for key, value in fields_of(health).items() if key not in _FRAMING}
        if entry is None or entry.sections.get("health") == verdict:
            return False
        entry.sections = entry.sections | {"health": verdict}
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
        entry.state = replace(offline(entry.state, now), problem=_REVOKED)
        entry.since, entry.is_revoked = now, True
        self._beyond.pop(device, None)
        self._put_together(device)
        return True

    def is_revoked(self, device: str) -> bool:
        """Whether nothing that it says is heard any more."""
        entry = self._entries.get(device)
        return entry is not None and entry.is_revoked

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

    def told(self, device: str, permissions: tuple[Permission, ...]) -> tuple[Permission, ...]:
        """Of these, those that the device knows: one that is older refuses an offer with another."""
        if self.understands(device, "recordings"):
            return permissions
        return tuple(permission for permission in permissions if permission != "recordings")

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
            name, calls_itself = said, ""
        else:
            calls_itself = "" if is_same(said, self._plain[device]) else said
        own = PortalSection(name, entry.state.online, calls_itself)
        return Device(device, entry.since, entry.sections | {"portal": fields_of(own)})

    def _put_together(self, device: str) -> None:
        """A section that we know, and that does not hold what it should, is as the state alone has it."""
        entry, beyond = self._entries[device], self._beyond.get(device)
        made = sections_of(entry.state)
        if beyond is not None and beyond.boot_id == entry.state.boot_id:
            for name, said in beyond.sections.items():
                section = merged(made.get(name, {}), said)
                if name not in _OURS and is_sound(name, section):
                    made[name] = section
        elif beyond is not None and is_sound("masks", masks := beyond.sections.get("masks", {})) and masks:
            # They outlive a start of the agent, whose state comes before the rest: the version still holds.
            made["masks"] = {"state": "", "version": masks.get("version", 0)}
        if verdict := entry.sections.get("health"):
            made["health"] = verdict
        entry.sections = made


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
