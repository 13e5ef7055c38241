"""Settings that were changed from afar: what is asked, shown and kept."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints, with_config

from agent.model.ids import Id
from agent.model.signal import STRICT, Text, UnixTime

MAX_VERSIONS = 10
MAX_LINE_CHARS = 256

Key = Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+){1,2}$", max_length=80)]
"""As `camera.preview.fps`: the table and the key of `pinhole.toml`."""
Line = Annotated[str, StringConstraints(max_length=MAX_LINE_CHARS)]
Value = bool | int | float | Line | None
Changes = Annotated[dict[Key, Value], Field(min_length=1, max_length=64)]
"""What is asked; None takes a change back."""
Overlay = Annotated[dict[Key, Value], Field(max_length=64)]
"""All that differs from `pinhole.toml`."""
Number = Annotated[int, Field(ge=0, le=2**31)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that changes."""

    key: Key
    before: Value
    after: Value


Differences = Annotated[tuple[Difference, ...], Field(max_length=64)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Version:
    """What counted from then on."""

    number: Number
    at: UnixTime
    by: Text
    changes: Overlay


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Trial:
    """A change that has yet to prove itself."""

    command: Id
    version: Version
    changed: Differences


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class WentBack:
    """A change that did not."""

    number: Number
    at: UnixTime
    reason: Text
    changed: Differences


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Kept:
    """On the device's disk; the newest version first."""

    versions: Annotated[tuple[Version, ...], Field(max_length=MAX_VERSIONS)] = ()
    trial: Trial | None = None
    went_back: WentBack | None = None
    """The last that did not prove itself, also where newer ones did since."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Applied:
    """The result of `set`."""

    version: Number
    changed: Differences


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Setting:
    """One that may be changed."""

    key: Key
    value: Value
    standing: Value
    """As `pinhole.toml` has it, or by default."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ShownSettings:
    """The result of `settings`."""

    settings: Annotated[tuple[Setting, ...], Field(max_length=128)]
    versions: Annotated[tuple[Version, ...], Field(max_length=MAX_VERSIONS)]
    went_back: WentBack | None = None
