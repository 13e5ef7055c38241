"""What stands in the files, as types: a manifest, what is installed, what was tried."""

from typing import Literal, NotRequired, TypedDict


class FileInfo(TypedDict):
    """Of a file in a release."""

    sha256: str
    size: int
    """In bytes."""


class SystemFile(TypedDict):
    """A file of a release that goes elsewhere."""

    file: str
    path: str


class Manifest(TypedDict):
    """manifest.json: what was signed."""

    format: int
    version: str
    serial: int
    """Counts up with each release."""
    files: dict[str, FileInfo]
    targets: dict[str, list[str]]
    """The wheels of each kind of machine, as in device/aarch64/cp311."""
    system: list[SystemFile]
    expires: NotRequired[int]
    """Unix time from which it counts as old."""
    down_from: NotRequired[int]
    """Serials from here on were a mistake."""
    signers: NotRequired[list[str]]
    """The keys that count once it is good."""


class Installed(TypedDict):
    """release.json: a release that is whole."""

    version: str
    serial: int
    python: str
    """The minor version that it was built with."""
    wheels: dict[str, str]
    """Their digests, by name."""
    system: list[SystemFile]
    signers: NotRequired[list[str]]


class Trial(TypedDict):
    """The release that has yet to prove itself."""

    version: str
    previous: str | None
    since: float
    """Unix time."""
    stage: Literal["starting", "running", "healthy", "returning"]
    needs_confirmation: bool
    """Somebody outside must have seen its pictures."""


class Rollback(TypedDict):
    """A release that was tried, or in use, and was not kept."""

    version: str
    reason: str
    at: float
    """Unix time."""
    serial: int
