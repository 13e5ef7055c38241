"""An exported recording as evidence: its last box is a manifest that the device has signed. Pure but for IO.

The manifest holds the SHA-256 of every byte before it, and is a compact JWS of the device's key, under a
topic of its own that no message has. So one bit that is changed anywhere, in a picture, in any box of the MP4
or in the manifest, is found. Players pass over a box of a kind that they do not know (ISO 14496-12, 4.2).
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, with_config

from agent.errors import MessageError, PinholeError
from agent.model.ids import Id
from agent.model.keys import PublicKey
from agent.model.media import StreamName
from agent.model.signal import Text, UnixTime, Version

MANIFEST_UUID = bytes.fromhex("8f0a6d1c5b7e4c5c9a52e3d07b1f4a03")
TOPIC = "export"
"""What a manifest is signed for; a topic of MQTT that we use has levels."""
MAX_PARTS = 200
MAX_MANIFEST_BYTES = 64 * 1024
CHUNK_BYTES = 256 * 1024
_MARK = b"uuid" + MANIFEST_UUID
_HEAD_BYTES = 4 + len(_MARK)
_JWS = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{86})")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]


class EvidenceError(PinholeError):
    """A file is not, or no more, what a device has exported."""


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Part:
    """A stretch without a gap; the next one follows it in the file at once."""

    at_s: Annotated[float, Field(ge=0)]
    """Where it begins in the file."""
    since: UnixTime
    until: UnixTime
    """By the device's clock."""
    clock: Literal["set", "unset"]
    """Whether a time service had set that clock."""
    boot: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """Which start of the machine recorded it."""
    pictures: Count


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Manifest:
    """What a device says of a file that it exported."""

    device: Id
    name: Text
    """What it called itself."""
    key: PublicKey
    """Of the device, so that the file can be checked alone; whose it is, somebody else has to say."""
    software: Text
    stream: StreamName
    since: UnixTime
    until: UnixTime
    """What was asked for; what there is stands in `parts`."""
    made_at: UnixTime
    size_bytes: Count
    """Of the file before the manifest."""
    sha256: Sha256
    """Of these bytes."""
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=MAX_PARTS)]
    type: Literal["export"] = "export"
    v: Version = 1


_MANIFEST = TypeAdapter(Manifest)
Open = Callable[[str, bytes], bytes]
"""`open(topic, sealed)`: what is in a signed message. Raises MessageError."""


def encode_manifest(manifest: Manifest) -> bytes:
    """What is to be signed."""
    return _MANIFEST.dump_json(manifest)


def encode_box(sealed: bytes) -> bytes:
    """The last box of a file, with the signed manifest in it."""
    return struct.pack(">I", _HEAD_BYTES + len(sealed)) + _MARK + sealed


def read_sealed(file: Path) -> tuple[int, bytes]:
    """Where the manifest's box begins, and the signed manifest in it. Raises EvidenceError, OSError."""
    size_bytes = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size_bytes - MAX_MANIFEST_BYTES - _HEAD_BYTES))
        tail = stream.read()
    at = tail.rfind(_MARK) - 4
    if at < 0:
        raise EvidenceError(
            "it holds no manifest: it is no export of ours (recordings from a card or a store are not "
            "signed), or it was cut or changed"
        )
    sealed = tail[at + _HEAD_BYTES :]
    if int.from_bytes(tail[at : at + 4], "big") != _HEAD_BYTES + len(sealed):
        raise EvidenceError("the size of its manifest was changed, or something was added behind it")
    match = _JWS.fullmatch(sealed)
    if match is None or not _is_canonical(match[1]):
        raise EvidenceError("its manifest was changed")
    return size_bytes - len(tail) + at, sealed


def peek(file: Path) -> Manifest:
    """What a file says of itself, before anything of it is proven. Raises EvidenceError, OSError."""
    _, sealed = read_sealed(file)
    payload = sealed.split(b".")[1]
    try:
        words = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        return _MANIFEST.validate_json(words)
    except (binascii.Error, ValueError) as exc:
        raise EvidenceError("its manifest was changed, or is of a newer release") from exc


def verify(file: Path, open_sealed: Open, on_progress: Callable[[float], None] = lambda _: None) -> Manifest:
    """The manifest, once the whole file is proven to be what its device signed.

    Raises EvidenceError, OSError. `on_progress` hears the share that is done.
    """
    at, sealed = read_sealed(file)
    try:
        manifest = _MANIFEST.validate_json(open_sealed(TOPIC, sealed))
    except MessageError as exc:
        raise EvidenceError(f"its manifest was changed, or is another device's: {exc}") from exc
    except ValidationError as exc:
        raise EvidenceError("its manifest is of a newer release, or none") from exc
    if at != manifest.size_bytes:
        raise EvidenceError(f"it has {at} bytes before the manifest, and had {manifest.size_bytes}")
    if digest(file, at, on_progress) != manifest.sha256:
        raise EvidenceError("its bytes are not those that were exported: at least one was changed")
    return manifest


def digest(file: Path, size_bytes: int, on_progress: Callable[[float], None] = lambda _: None) -> str:
    """SHA-256 of so many bytes of a file, in hexadecimal digits. Raises OSError."""
    made, left = hashlib.sha256(), size_bytes
    with file.open("rb") as stream:
        while left > 0 and (chunk := stream.read(min(CHUNK_BYTES, left))):
            made.update(chunk)
            left -= len(chunk)
            on_progress(1 - left / size_bytes)
    return made.hexdigest()


def _is_canonical(signature: bytes) -> bool:
    """Whether it is the one spelling of its bytes: 86 digits are 516 bits, of which a decoder drops four."""
    try:
        decoded = base64.b64decode(signature + b"==", altchars=b"-_", validate=True)
    except binascii.Error:
        return False
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") == signature
