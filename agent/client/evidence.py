"""`pinhole verify`: what is proven of an exported recording, and by which key."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.client.session import SignIn, signed_in
from agent.errors import ConfigError, PortalError
from agent.model.evidence import Manifest, Part
from agent.model.keys import PublicKey, decode_public

MAX_KEY_FILE_BYTES = 4096
_KEY = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A camera's public key, as its portal knows it."""

    key: PublicKey
    revoked_at: float | None = None


_DEVICE_KEY = TypeAdapter(DeviceKey)


def read_key(text: str) -> bytes:
    """The key itself as 43 characters, or a file that holds it. Raises ConfigError."""
    if not _KEY.fullmatch(text):
        file = Path(text)
        try:
            with file.open(encoding="ascii", errors="replace") as stream:
                text = stream.read(MAX_KEY_FILE_BYTES).strip()
        except OSError as exc:
            raise ConfigError(f"--key {file}: {exc.strerror}; or the key itself, 43 characters") from exc
        if not _KEY.fullmatch(text):
            raise ConfigError(f"--key {file}: must hold a public key, 43 characters of base64url")
    return decode_public(text)


async def ask_key(url: str, sign_in: SignIn, device: str) -> DeviceKey:
    """The key of a camera, by its portal. Raises PortalError."""
    async with signed_in(url, sign_in) as ask:
        status, said = await ask(f"/api/devices/{device}/key")
    try:
        return _DEVICE_KEY.validate_json(said)
    except ValidationError as exc:
        raise PortalError(f"{url} does not answer like a portal that knows keys: HTTP {status}") from exc


def describe(manifest: Manifest, key: DeviceKey | None, say: Callable[[str], None]) -> None:
    """For people: what the file is, and what that proves."""
    name = f" ({manifest.name})" if manifest.name else ""
    say(f"camera    {manifest.device}{name}, software {manifest.software}, stream {manifest.stream}")
    say(f"exported  {_time(manifest.made_at)}, for {_time(manifest.since)} to {_time(manifest.until)}")
    for part in manifest.parts:
        say(f"recorded  {_span(part)}")
    gaps = len(manifest.parts) - 1
    if gaps:
        say(f"          {gaps} gap{'s' if gaps > 1 else ''} between them: the film goes on at once there")
    if any(part.clock == "unset" for part in manifest.parts):
        say("          Where it says “clock not set”, nobody had set the camera's clock: times may be wrong.")
    if key and key.revoked_at is not None:
        when = "after" if manifest.made_at >= key.revoked_at else "before"
        say(f"          The camera was revoked at {_time(key.revoked_at)}. By its own word it exported")
        say(f"          this {when} that; who had its key could have signed this with any date.")


def as_json_text(manifest: Manifest | None, *, intact: bool, trusted: bool, words: str) -> str:
    """One JSON object."""
    made: dict[str, Any] = {"intact": intact, "key_is_trusted": trusted, "message": words}
    return json.dumps({**made, "manifest": manifest and asdict(manifest)})


def _span(part: Part) -> str:
    clock = "" if part.clock == "set" else " (clock not set)"
    return (
        f"{_time(part.since)} to {_time(part.until)}{clock}, {part.pictures} pictures, "
        f"from {part.at_s:.1f} s of the film on"
    )


def _time(unix_s: float) -> str:
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{unix_s:g} s after 1970"
