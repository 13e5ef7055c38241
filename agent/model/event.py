"""Events: what happened, at a device or to it, that a person may want to know.

A device keeps each event in its journal (`agent/device/journal.py`) and tells it until a portal has confirmed
it by its id. Who reads events takes kinds, severities and keys that it does not know: a newer device says
them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, with_config

from agent.model.ids import Id
from agent.model.signal import OPEN, STRICT, VERSION, Code, Detail, DetailName, Text, UnixTime, Version

Severity = Literal["info", "warning", "error"]
Clock = Literal["running", "set", "unset"]
"""What an event's times are worth. `running`: counted back from `said_at` of the message that tells it, by a
clock that no wrong date disturbs. From before the machine started: `set` where its clock was right, `unset`
where nobody knows."""
EventKind = Literal[
    "camera-failed",
    "camera-recovered",
    "data-cap-near",
    "data-cap-reached",
    "events-lost",
    "mask-failed",
    "modem-recovered",
    "modem-reset",
    "record-disk-full",
    "record-failed",
    "record-recovered",
    "recordings-lost",
    "recordings-near-full",
    "upload-failed",
    "upload-missed",
    "upload-recovered",
    "serial-lost",
    "serial-recovered",
    "settings-changed",
    "settings-given-back",
    "motion",
    "motion-ended",
    "motion-seen",
    "ptz-fault",
    "modem-absent",
    "sim-missing",
    "signal-poor",
    "offline",
    "online",
]

MAX_EVENT_BYTES = 4 * 1024
MAX_TOLD = 32
"""In one message."""


@dataclass(frozen=True, slots=True)
class Description:
    """What there is to know of one kind."""

    title: str
    """For people, where an event has no words of its own."""
    severity: Severity
    concerns: str
    """Which part of the device; `device` for all of it."""


KINDS: dict[EventKind, Description] = {
    "camera-failed": Description("Camera failed", "error", "camera"),
    "camera-recovered": Description("Camera works again", "info", "camera"),
    "data-cap-near": Description("Data plan nearly used up", "warning", "data-plan"),
    "data-cap-reached": Description("Data plan used up", "warning", "data-plan"),
    "events-lost": Description("Events were lost", "warning", "journal"),
    "mask-failed": Description("Privacy masks cannot be read: the picture is blank", "error", "masks"),
    "modem-recovered": Description("Modem works again", "info", "modem"),
    "modem-reset": Description("A step was taken to recover the modem", "warning", "modem"),
    "record-disk-full": Description("No room for recordings", "error", "record"),
    "record-failed": Description("Recording failed", "error", "record"),
    "record-recovered": Description("Recording works again", "info", "record"),
    "recordings-lost": Description("Pictures were not recorded", "warning", "record"),
    "recordings-near-full": Description("Much room is taken by locked recordings", "warning", "record"),
    "upload-failed": Description("Recordings are not sent to the store", "warning", "upload"),
    "upload-missed": Description("Recordings were removed before they were sent", "warning", "upload"),
    "upload-recovered": Description("Recordings are sent again", "info", "upload"),
    "serial-lost": Description("A serial port was lost", "warning", "serial"),
    "serial-recovered": Description("A serial port is back", "info", "serial"),
    "settings-changed": Description("Settings changed", "info", "settings"),
    "settings-given-back": Description("A change of settings was given back", "warning", "settings"),
    "motion": Description("Motion", "info", "motion"),
    # Says of the `motion` that its detail `begun` names when it was over; a portal makes one of both.
    "motion-ended": Description("Motion is over", "info", "motion"),
    # Says what was seen of it since: another label, or another zone. What was known before stands beside it
    # (`known_label`, `known_zones`), so that a rule which answered then does not answer again.
    "motion-seen": Description("Motion, seen more of", "info", "motion"),
    "ptz-fault": Description("The camera's head does not answer", "warning", "ptz"),
    "modem-absent": Description("No modem", "error", "modem"),
    "sim-missing": Description("No SIM card", "error", "modem"),
    "signal-poor": Description("Poor signal", "warning", "modem"),
    # These two are the portal's own: a device that is away cannot tell.
    "offline": Description("Went offline", "error", "device"),
    "online": Description("Is online again", "info", "device"),
}


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    id: Id
    """No other event of this device ever has it."""
    kind: Code
    """One of `EventKind`, or what a newer device says."""
    severity: Code
    """One of `Severity`, or what a newer device says."""
    concerns: Code
    at: UnixTime
    """When it began."""
    message: Text
    clock: Code
    """One of `Clock`."""
    until: UnixTime | None = None
    """When it was over; None for a moment."""
    thumbnail: Text | None = None
    """How the device calls the picture of it."""
    details: Annotated[dict[DetailName, Detail], Field(max_length=16)] = field(default_factory=dict)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Events:
    """Device to portal: the oldest that no portal has confirmed, in their order."""

    said_at: UnixTime
    """By the device's clock."""
    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=MAX_TOLD)]
    type: Literal["events"] = "events"
    v: Version = VERSION


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Confirm:
    """Portal to device: these are in the portal's store."""

    events: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_TOLD)]
    type: Literal["confirm"] = "confirm"
    v: Version = VERSION
