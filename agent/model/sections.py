"""The state of a device, in sections, each of one room.

A field is added to its dataclass here, with a default since older devices do not say it, by the room that
knows it, and where it is shown. All that carry it there take along what they do not know, unread, within
these bounds.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, with_config

from agent.model.ids import Id
from agent.model.lapse import LapseSection
from agent.model.motion import MotionSection
from agent.model.signal import (
    OPEN,
    STRICT,
    VERSION,
    CameraState,
    Detail,
    DetailName,
    Seq,
    Text,
    UnixTime,
    Version,
)
from agent.model.text import clip
from agent.model.upload import UploadSection

MAX_SECTIONS_BYTES = 8 * 1024
"""Of one device. A portal keeps them for 4096, and one message takes them and the rest to a browser."""

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
Record = Annotated[dict[Key, Detail], Field(max_length=64)]
Value = Detail | Record | Annotated[list[Detail | Record], Field(max_length=32)]
"""Nothing is nested deeper."""
Fields = Annotated[dict[DetailName, Value], Field(max_length=32)]
Sections = dict[str, dict[str, Any]]
"""As they were said, in the shapes of `SectionsMessage.sections`."""
ReadSection = Callable[[], object | None]
"""Gives a room's section, one of the dataclasses below; None where there is nothing to say."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SectionsMessage:
    """Device to portal, retained: what `State` has no key for. See `agent/model/flat.py`."""

    boot_id: Id
    """Of the device's `state`, and of no other."""
    seq: Seq
    """Counts up from each start: an older one that is said again changes nothing."""
    sections: Annotated[dict[DetailName, Fields], Field(max_length=32)]
    type: Literal["sections"] = "sections"
    v: Version = VERSION


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class AgentSection:
    """The program."""

    name: Text
    """What the device calls itself; what people read is the portal's word."""
    version: Text


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class CameraSection:
    """What the camera does."""

    state: CameraState
    kind: Text
    """`picamera`, `v4l2`, `replay` or `synthetic`; empty until it is known."""
    problem: Text
    """Why `state` is `failed`, and what to do."""
    has_stamp: bool
    """The picture carries a time stamp as in `agent/model/stamp.py`."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class MasksSection:
    """How the privacy masks stand; what they cover is told to who may manage the camera, by a command."""

    state: Text = ""
    """`none`, `in-force`, or `blank`: then the whole picture is black. Or what a newer device says."""
    problem: Text = ""
    """Why it is blank, and what to do."""
    version: int = 0
    """Counts up with each change; 0 where there never was one."""
    since: UnixTime = 0.0
    """When they were set, by the device's clock: a picture from before may show what is covered now."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class StreamSection:
    """What one stream looks like."""

    width_px: int
    height_px: int
    fps: float
    bitrate_bps: int
    """The most that its encoder makes."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class StreamsSection:
    """By stream; None where the camera has it not, or has not run yet."""

    main: StreamSection | None = None
    preview: StreamSection | None = None


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class ViewersSection:
    """Who watches."""

    count: int


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class ReleaseSection:
    """How the device's releases fare."""

    on_trial: bool = False
    """The version that runs has yet to prove itself."""
    since: UnixTime = 0.0
    """When the device turned to the version that runs; 0 where nobody knows."""
    given_back: Text = ""
    """The version that was last rolled back, and why; empty where none was."""
    reason: Text = ""
    given_back_at: UnixTime = 0.0


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class PlanSection:
    """What the SIM card's plan allows, and what is used of it."""

    since: Text
    """First day of the month that is counted, `YYYY-MM-DD`."""
    used_bytes: int
    cap_bytes: int
    is_exceeded: bool
    """The streams are held down."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class RecordSection:
    """What is kept on the device; see `agent/record/`."""

    mode: Text = "off"
    """`off`, `event`, `continuous` or `schedule`."""
    state: Text = "off"
    """`off`, `waiting`, `recording` or `failed`."""
    cause: Text = ""
    """What it records for now, with commas between; empty where its mode alone has it record."""
    problem: Text = ""
    """Why `state` is `failed`, and what to do."""
    streams: Text = ""
    """Which, with commas between."""
    used_bytes: int = 0
    locked_bytes: int = 0
    """Of them those that are never removed by themselves."""
    cap_bytes: int = 0
    """The most that there may be, by the settings and the disk; 0 while that is not known."""
    free_bytes: int = 0
    """Of its file system."""
    oldest_at: UnixTime = 0.0
    """When the oldest recording begins; 0 where there is none."""
    written_bytes: int = 0
    """To the card since the agent's start: cards wear by it."""
    lost: int = 0
    """Pictures since then that were to be recorded and were not."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class SettingsSection:
    """What was changed from afar; see `agent/device/changes.py`."""

    version: int
    """0 where nothing was."""
    on_trial: bool
    """The newest change has yet to prove itself."""
    problem: Text
    """Why what was changed does not count."""
    went_back: int
    """The version that the device last gave back, and why; 0 where its last change proved itself."""
    reason: Text
    went_back_at: UnixTime
    """The last time that a change was given back, also where newer ones proved themselves; 0 for never."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class InterfaceBytes:
    """What one network interface carried since the machine started, or since it was plugged in."""

    name: Text
    received_bytes: int
    sent_bytes: int


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class ModemSection:
    """The mobile modem, of a device that has one; see `agent/serial/modem/status.py`.

    No IMSI, ICCID, IMEI or telephone number is in it.
    """

    source: Text = ""
    """Who was asked: `modemmanager` or `at`."""
    state: Text = ""
    """One of `ModemState`, or what a newer device says."""
    reason: Text = ""
    """Why it is not `connected`, for people."""
    model: Text = ""
    operator: Text = ""
    technology: Text = ""
    """Such as `LTE`."""
    band: Text = ""
    """Such as `B20`."""
    cell: Text = ""
    """`MCC-MNC-TAC-CELL`, in hexadecimal but for the first two. It tells where the device stands: only those
    who may manage it are shown it."""
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    signal: Text = ""
    """`good`, `fair`, `weak` or `poor`; empty where it is unknown."""
    signal_bars: int = 0
    """0 to 5."""
    registration: Text = ""
    """`home`, `roaming`, `searching`, `denied`, `idle`; empty where it is unknown."""
    reject_cause: Text = ""
    """Why the network refused it, by 3GPP TS 24.301 section 9.9.3.9; empty where it did not."""
    roaming: bool = False
    temperature_c: float | None = None
    sim: Text = ""
    """`ready`, `missing`, `pin`, `puk` or `failed`; empty where it is unknown."""
    data_since: Text = ""
    """First day of the month in which the next two are counted, `YYYY-MM-DD`; empty where nobody counts."""
    received_bytes: int | None = None
    """Of all programs: by the modem's own counters, or the kernel's of its interface where it has none."""
    sent_bytes: int | None = None
    interfaces: tuple[InterfaceBytes, ...] = ()
    """By the kernel: the modem's, and beside it cable and Wi-Fi."""
    resets: int = 0
    """Steps of recovery that were taken so far."""
    last_step: Text = ""
    """The last of them."""
    recovery: Text = ""
    """Of an outage that is, or was within a day: why no step helped, and what is taken for its cause."""
    sms_done: int = 0
    sms_refused: int = 0
    """Commands by SMS so far; refused are forged, old, repeated and damaged ones, and those that failed."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class PtzPreset:
    """A place that a head has kept."""

    number: int
    name: Text = ""
    picture_at: UnixTime = 0.0
    """When its picture was taken, which `ptz-picture` brings; 0 where it has none."""


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class PtzSection:
    """The head, of a camera that has one; see `agent/serial/ptz`."""

    protocol: Text = ""
    state: Text = ""
    """`ready`, also of one that never answers; `silent`: it should and does not; `absent`: no port."""
    holder: Text | None = None
    """Who moves it."""
    can_position: bool = False
    """It tells where it points."""
    can_move: bool = False
    """`ptz-move` works."""
    can_zoom_to: bool = False
    """With a box too."""
    zoom_max: float | None = None
    """Magnification at the tele end; None where nobody said."""
    touring: bool = False
    presets: tuple[PtzPreset, ...] = ()


@with_config(OPEN)
@dataclass(frozen=True, slots=True)
class GnssSection:
    """Where the device is, as far as its settings let others know; share links never show it."""

    state: Text = ""
    """`fix`, `searching` or `absent`, or what a newer device says."""
    problem: Text = ""
    """Why it is `absent`, and what to do."""
    source: Text = ""
    """Who reads the receiver: `gpsd`, or `nmea` for the agent itself."""
    since: UnixTime = 0.0
    """When `state` became what it is."""
    satellites: int = 0
    """That were used when the section last changed."""
    rollovers: int = 0
    """The receiver's date is so many times 1024 weeks behind; the agent corrects it, others may not."""
    latitude_deg: float | None = None
    """WGS 84, rounded; the last that was known. None where the settings do not let it out."""
    longitude_deg: float | None = None


_KNOWN = {
    "agent": AgentSection,
    "camera": CameraSection,
    "streams": StreamsSection,
    "masks": MasksSection,
    "viewers": ViewersSection,
    "release": ReleaseSection,
    "plan": PlanSection,
    "record": RecordSection,
    "modem": ModemSection,
    "ptz": PtzSection,
    "settings": SettingsSection,
    "gnss": GnssSection,
    "motion": MotionSection,
    "lapse": LapseSection,
    "upload": UploadSection,
}


def is_sound(name: str, section: Mapping[str, Any]) -> bool:
    """Whether a section is one that nobody here reads, or holds what its dataclass says."""
    try:
        return name not in _KNOWN or _adapter(name).validate_json(json.dumps(section)) is not None
    except ValidationError:
        return False


def known_part(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """What this release knows of a section that is sound; the whole of one of which it has no dataclass."""
    if name == "streams":
        streams = _fields(StreamsSection, section).items()
        return {key: _fields(StreamSection, stream) for key, stream in streams if stream is not None}
    return _fields(_KNOWN[name], section) if name in _KNOWN else dict(section)


def _fields(of: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: said[each.name] for each in fields(of) if each.name in said}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    """Made when it is wanted: a device needs none."""
    return TypeAdapter(_KNOWN[name])


def read_sections(rooms: Mapping[str, ReadSection]) -> Sections:
    """What the rooms say now. What is None is left out, and text is what UTF-8 and `Text` can carry."""
    said = ((name, read()) for name, read in rooms.items())
    return {name: fields_of(section) for name, section in said if section is not None}


def fields_of(section: Any) -> dict[str, Any]:
    """One section as it goes on the wire."""
    made: dict[str, Any] = _plain(asdict(section))
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return clip(value) if isinstance(value, str) else value
