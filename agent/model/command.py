"""One table of commands: what may be asked of a device, by whom, on which way, and what comes back.

From it follow the device's dispatch and its check of permissions, the portal's route and check, the data
channel, the audit log, the dashboard's menu, the JSON Schemas and `pinhole do`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, with_config

from agent.errors import MessageError
from agent.model.export import Exported, ExportWanted
from agent.model.lapse import LapseFilm, LapseWanted
from agent.model.masks import SetMasks, ShownMasks
from agent.model.modem_history import ModemHistory
from agent.model.motion import MotionNow, Retuning, Tuning
from agent.model.recording import (
    Locked,
    Play,
    RecordedTime,
    RecordingsPage,
    RecordingsWanted,
    RecordNow,
    Seek,
    SheetWanted,
    ShownSheet,
    Step,
)
from agent.model.remote_settings import MAX_LINE_CHARS, Applied, Changes, ShownSettings
from agent.model.signal import STRICT, JsonObject, Permission, Result
from agent.model.still import Picture, Snapshot, Thumbnail, ThumbnailOf
from agent.model.upload import Upload, Uploaded

MAX_BLINK_S = 60.0
LATER = object()
"""What a handler returns whose answer comes when it is known."""

Way = Literal["broker", "session", "portal"]
"""From a user of the portal by MQTT; from a viewer over the data channel; from the portal itself by MQTT, in
nobody's name: then `Command.user` is empty."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Nothing:
    """No arguments, or nothing to tell but that it is done."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Blink:
    """How long the LED blinks."""

    seconds: Annotated[float, Field(ge=1, le=MAX_BLINK_S)] = 10.0


MAX_NAME_BYTES = 64


def _check_name(name: str) -> str:
    if not name.isprintable() or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise ValueError(f"must be printable, and at most {MAX_NAME_BYTES} bytes of UTF-8")
    return name


PresetNumber = Annotated[int, Field(ge=1, le=255)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PtzNumber:
    """A preset of the head."""

    number: PresetNumber


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PtzKeep:
    """Where the head points becomes a preset."""

    number: PresetNumber
    name: Annotated[str, Field(max_length=40), AfterValidator(_check_name)] = ""
    """Printable, since a section of the state has to hold 32 of them."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PtzTour:
    """From preset to preset."""

    seconds: Literal[0] | Annotated[float, Field(ge=5, le=3600)] = 30.0
    """At each; 0 ends the tour."""
    presets: Annotated[tuple[PresetNumber, ...], Field(max_length=32)] = ()
    """All that have a name, where it is empty."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PtzAim:
    """A place in the picture: from its middle, in widths of it, right and up."""

    x: Annotated[float, Field(ge=-1, le=1)]
    y: Annotated[float, Field(ge=-1, le=1)]
    width: Annotated[float, Field(ge=0.02, le=1)] = 1.0
    """Of the box that shall fill the picture."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PtzCalibrate:
    """How far a head turns in a time that cannot tell where it points."""

    axis: Literal["pan", "tilt"]
    seconds: Annotated[float, Field(ge=0.2, le=3)]
    moved: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """0 makes a pulse of so many seconds; else the picture moved by so many of its widths in one."""


@dataclass(frozen=True, slots=True)
class CommandKind:
    """One row of the table."""

    name: str
    permission: Permission
    label: str
    """On the dashboard's menu; empty where it has a page of its own there."""
    audit: str = ""
    """What somebody did by it, for the audit log; empty where nobody else notices anything."""
    arguments: Any = Nothing
    """The types of its arguments and of its result, as pydantic takes them; every argument has a default, or
    the dashboard's menu leaves the command out."""
    result: Any = Nothing
    ways: tuple[Way, ...] = ("broker", "session")
    question: str = ""
    """Asked before it is done, where one slip would cost much."""
    ends_agent: bool = False
    """Its answer is kept on disk, so that the next start of the agent does not do it again."""
    answers_late: bool = False
    """Its answer takes about as long as `life_s`, so that it never expires sooner."""
    life_s: float = 60.0
    """How long a device that is away may take to get it, where nobody says."""
    about: str = ""
    """In the terminal's list, where there is no label."""


COMMANDS: Mapping[str, CommandKind] = {
    kind.name: kind
    for kind in (
        CommandKind("keyframe", "watch", "Send a keyframe", ways=("session",)),
        # Neither is audited: dashboards ask for them by themselves, and nobody else notices anything.
        CommandKind(
            "snapshot", "watch", "", arguments=Snapshot, result=Picture, about="Take a picture"
        ),
        CommandKind(
            "thumbnail", "watch", "", arguments=ThumbnailOf, result=Thumbnail,
            about="The picture of an event",
        ),
        CommandKind("look", "control", "Look for a new release", "had it look for a new release"),
        CommandKind(
            "settings", "manage", "", result=ShownSettings,
            about="Show what can be set, and the last versions",
        ),
        CommandKind(
            "set", "manage", "", "changed its settings", Changes, Applied, ways=("broker",),
            ends_agent=True, answers_late=True, life_s=180.0,
            about="Try settings, and keep them where it still works",
        ),
        CommandKind(
            "modem-history", "control", "", result=ModemHistory, about="How its modem's signal was over a day"
        ),
        CommandKind("masks", "manage", "", result=ShownMasks, about="Show its privacy masks"),
        CommandKind(
            "set-masks", "manage", "", "set its privacy masks", SetMasks, ShownMasks,
            about="Cover these parts of its picture",
        ),
        # That somebody looks back is audited, but not each place at which they look.
        CommandKind(
            "play", "recordings", "", "looked back", Play, ways=("session",),
            about="Show what was recorded from a time on",
        ),
        CommandKind(
            "seek", "recordings", "", arguments=Seek, ways=("session",),
            about="Show another time, or faster",
        ),
        CommandKind(
            "step", "recordings", "", arguments=Step, ways=("session",), about="Show the next picture"
        ),
        CommandKind("live", "recordings", "", ways=("session",), about="Show the live picture again"),
        CommandKind(
            "sheet", "recordings", "", arguments=SheetWanted, result=ShownSheet, ways=("session",),
            about="Small pictures of several times",
        ),
        CommandKind("identify", "control", "Blink its LED", "had its LED blink", arguments=Blink),
        CommandKind("restart-stream", "control", "Restart the camera", "restarted the camera's stream"),
        CommandKind(
            "restart-agent", "manage", "Restart the software", "restarted the agent",
            question="Everybody who watches is cut off for some seconds.", ends_agent=True,
        ),
        CommandKind(
            "reboot", "manage", "Reboot the device", "rebooted the device",
            question="The device is away for a minute or two.", ends_agent=True,
        ),
        CommandKind(
            "recordings", "recordings", "", arguments=RecordingsWanted, result=RecordingsPage,
            about="List what it has recorded",
        ),
        CommandKind(
            "record", "control", "Record for a minute", "had it record", RecordNow,
        ),
        CommandKind(
            "export", "recordings", "", "exported a recording", ExportWanted, Exported,
            answers_late=True, life_s=300.0, about="Make one signed MP4 of a time that was recorded",
        ),
        CommandKind(
            "lapse-film", "recordings", "", "made a film of its time-lapse", LapseWanted, LapseFilm,
            answers_late=True, life_s=300.0, about="Make one MP4 of the stills by the clock of a day",
        ),
        CommandKind(
            "lock", "recordings", "", "locked recordings", RecordedTime, Locked,
            about="Keep what was recorded between two times until it is unlocked",
        ),
        CommandKind(
            "unlock", "recordings", "", "unlocked recordings", RecordedTime, Locked,
            about="Let recordings be removed again when their time has come",
        ),
        # Not audited: the portal gives them itself, and a URL is a secret.
        CommandKind(
            "upload", "manage", "", arguments=Upload, ways=("portal",),
            about="Send these parts of a file to the store",
        ),
        CommandKind(
            "uploaded", "manage", "", arguments=Uploaded, ways=("portal",), about="The store has this file"
        ),
        CommandKind("motion", "manage", "", result=Tuning, about="Show how motion is looked for"),
        CommandKind(
            "set-motion", "manage", "", "changed what counts as motion", Retuning, Tuning,
            about="Say how motion is looked for, at once; what is not named stays",
        ),
        # Five times a second in a session, while somebody tunes it.
        CommandKind(
            "motion-now", "manage", "", result=MotionNow, about="Show which cells move"
        ),
        CommandKind("ptz-stop", "control", "", "stopped its head", about="Have its head stand still"),
        CommandKind(
            "ptz-take", "manage", "", "took its head over", ways=("session",),
            about="Move its head, whoever does",
        ),
        CommandKind("ptz-home", "control", "", "turned it home", about="Turn its head home"),
        CommandKind("ptz-go", "control", "", "turned it to a preset", PtzNumber, about="Turn to a preset"),
        CommandKind("ptz-keep", "manage", "", "kept a preset", PtzKeep, about="Keep where it points"),
        CommandKind("ptz-forget", "manage", "", "forgot a preset", PtzNumber, about="Forget a preset"),
        # Not audited: dashboards ask by themselves.
        CommandKind(
            "ptz-picture", "control", "", arguments=PtzNumber, result=Thumbnail,
            about="The picture of a preset",
        ),
        CommandKind("ptz-tour", "control", "", "began or ended a tour", PtzTour, about="Tour its presets"),
        # Often, so that the audit log hears of it once a minute, as of what moves over the channel `ptz`.
        CommandKind(
            "ptz-move", "control", "", arguments=PtzAim, ways=("session",),
            about="Turn to a place in the picture",
        ),
        CommandKind(
            "ptz-calibrate", "manage", "", "calibrated its head", PtzCalibrate, ways=("session",),
            about="Learn how far its head turns in a time",
        ),
    )
}  # fmt: skip
"""Every command, by name. A row here, and a handler in `agent/app.py`, are a new one."""


@dataclass(frozen=True, slots=True)
class Order:
    """One command as it reaches a device, by whichever way, from somebody whom the portal vouches for."""

    id: str
    name: str
    arguments: JsonObject
    user: str
    permissions: tuple[Permission, ...]
    way: Way
    session: str = ""
    """Of the viewer, where it came from one."""


class CommandError(MessageError):
    """A command was understood and could not be done: `code` for machines, the words for people."""


@cache
def _arguments_of(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(COMMANDS[name].arguments)


@cache
def _result_of(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(COMMANDS[name].result)


def parse_arguments(kind: CommandKind, arguments: JsonObject) -> Any:
    """The arguments as their type. Raises MessageError `invalid`."""
    try:
        return _arguments_of(kind.name).validate_json(json.dumps(arguments))
    except ValidationError as exc:
        raise MessageError("invalid", f"{kind.name}: {_first_fault(kind, exc)}") from exc


def _first_fault(kind: CommandKind, exc: ValidationError) -> str:
    fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    key = ascii(fault["loc"][0])[1:-1][:80] if fault["loc"] else ""
    match fault["type"]:
        case "too_short":
            return "say key=value; `pinhole do DEVICE settings` lists the keys"
        case "unexpected_keyword_argument":
            names = ", ".join(argument_names(kind)) or "none"
            return f"{key}: no such argument. There are: {names}"
        case "string_pattern_mismatch" | "string_too_long" if fault["loc"][-1] == "[key]":
            return f"{key}: no key of a setting; `pinhole do DEVICE settings` lists them"
        case "missing":
            rule = arguments_schema(kind)["properties"][key]
            bounds = f"{rule['minimum']} … {rule['maximum']}" if "maximum" in rule else "…"
            return f"needs {key}={bounds}"
        case _ if len(fault["loc"]) > 1 and fault["type"] != "value_error":
            return f"{key}: neither number, true, false, null nor text of at most {MAX_LINE_CHARS} characters"
        case _:
            return (f"{key}: " if key else "") + fault["msg"].removeprefix("Value error, ")[:200]


def argument_names(kind: CommandKind) -> tuple[str, ...]:
    """Of those that have names of their own; `set` takes keys of settings."""
    return tuple(field.name for field in fields(kind.arguments)) if is_dataclass(kind.arguments) else ()


def list_names(kind: CommandKind) -> tuple[str, ...]:
    """Of those arguments that are lists."""
    rules = arguments_schema(kind).get("properties", {})
    return tuple(name for name, rule in rules.items() if rule.get("type") == "array")


def encode_result(kind: CommandKind, value: Any) -> JsonObject:
    """What a handler returned, as JSON has it."""
    made: JsonObject = _result_of(kind.name).dump_python(value, mode="json")
    return made


def is_audited(result: Result) -> bool:
    """Whether the audit log holds what became of it: any refusal, and what others may notice."""
    kind = COMMANDS.get(result.name)
    return not result.ok or kind is None or bool(kind.audit)


def outcome(result: Result) -> str:
    """What became of a command, as the audit log holds it."""
    if result.ok:
        return f"{result.name}: {result.message}" if result.message else result.name
    return f"{result.name}: {result.code}: {result.message}"


def check_result(kind: CommandKind, value: JsonObject) -> JsonObject:
    """What a device says of what it did, where it is of the table's type. Raises MessageError `invalid`."""
    try:
        return encode_result(kind, _result_of(kind.name).validate_json(json.dumps(value)))
    except ValidationError as exc:
        raise MessageError("invalid", f"the camera's answer to {kind.name} is none") from exc


def arguments_schema(kind: CommandKind) -> dict[str, Any]:
    """JSON Schema (2020-12) of the arguments."""
    return _arguments_of(kind.name).json_schema()


def result_schema(kind: CommandKind) -> dict[str, Any]:
    """JSON Schema (2020-12) of the result's value."""
    return _result_of(kind.name).json_schema()
