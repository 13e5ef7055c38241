"""`pinhole export`: has a camera export what it recorded, and fetches the file inside a session."""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from agent.client.peer import Peer
from agent.client.session import SignIn
from agent.client.watch import Call, Wish, calling, receive
from agent.errors import PinholeError
from agent.model.export import FILE_LABEL, Exported
from agent.model.media import StreamName
from agent.model.signal import Text
from agent.model.tasks import TaskGroup

MAKE_S = 300.0
CONNECT_S = 30.0
SILENCE_S = 45.0
"""The camera gives up after 30 s in which we take nothing."""

MAX_AGO_CHARS = 6

OnProgress = Callable[[int, int], None]
"""`on_progress(bytes that are here, bytes in all)`."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class _File(_Message):
    type: Literal["file"]
    size_bytes: int


class _End(_Message):
    type: Literal["end"]


class _Error(_Message):
    type: Literal["error"]
    code: Text
    message: Text = ""


_MESSAGE: TypeAdapter[_File | _End | _Error] = TypeAdapter(
    Annotated[_File | _End | _Error, Field(discriminator="type")]
)
_EXPORTED = TypeAdapter(Exported)


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What to export, and into which file."""

    portal: str
    sign_in: SignIn
    device: str
    from_at: float
    until_at: float
    stream: StreamName
    file: Path
    relay_only: bool = False


async def run_export(wish: ExportWish, say: Callable[[str], None], on_progress: OnProgress) -> Exported:
    """Export, fetch, and check what came against its SHA-256. Raises PinholeError."""
    part = wish.file.with_name(f"{wish.file.name}.part")
    call = Call()
    # The live picture comes along, as the small one: the camera serves no session without.
    watched = Wish(wish.portal, wish.sign_in, wish.device, relay_only=wish.relay_only, stream="preview")
    async with calling(watched, call) as peer, TaskGroup() as group:
        showing = group.create_task(receive(peer, call, lambda _: None, None), name="export: picture")
        say("asked; the camera makes the file")
        exported = await _make(peer, wish)
        say(f"{exported.size_bytes / 1e6:.1f} MB to fetch" + _gaps(exported))
        try:
            with part.open("xb") as out:
                made = await _fetch(peer, exported, out, on_progress)
        except FileExistsError as exc:
            raise PinholeError(f"{part}: is there already: does another export run? Else remove it") from exc
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        showing.cancel()
    if made != exported.sha256:
        part.unlink(missing_ok=True)
        raise PinholeError("what came is not what the camera exported: try again")
    part.replace(wish.file)
    return exported


async def _make(peer: Peer, wish: ExportWish) -> Exported:
    arguments: dict[str, JsonValue] = {
        "from_at": wish.from_at,
        "until_at": wish.until_at,
        "stream": wish.stream,
    }
    result = await peer.command("export", arguments, MAKE_S)
    if not result.ok:
        raise PinholeError(f"{result.code}: {result.message}")
    try:
        return _EXPORTED.validate_json(json.dumps(result.value))
    except ValidationError as exc:
        raise PinholeError("the camera's answer is none that we know: is its software newer?") from exc


async def _fetch(peer: Peer, exported: Exported, out: BinaryIO, on_progress: OnProgress) -> str:
    made, here = hashlib.sha256(), 0
    async for chunk in _chunks(peer, f"{exported.id}@0"):
        here += len(chunk)
        if here > exported.size_bytes:
            raise PinholeError("the camera sends more than it said")
        made.update(chunk)
        await asyncio.to_thread(out.write, chunk)
        on_progress(here, exported.size_bytes)
    out.flush()
    os.fsync(out.fileno())
    return made.hexdigest()


async def _chunks(peer: Peer, protocol: str) -> AsyncIterator[bytes]:
    arrived: asyncio.Queue[bytes | str | None] = asyncio.Queue()
    channel = peer.open_channel(FILE_LABEL, protocol)
    channel.on("message", arrived.put_nowait)
    channel.on("close", lambda: arrived.put_nowait(None))
    try:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await arrived.get()
            except TimeoutError as exc:
                raise PinholeError(f"nothing came for {SILENCE_S:g} s") from exc
            match message:
                case bytes():
                    yield message
                case None:
                    raise PinholeError("the camera ended the transfer")
                case str() if isinstance(_parse(message), _End):
                    return
    finally:
        with contextlib.suppress(Exception):
            channel.close()


def _parse(text: str) -> _File | _End:
    try:
        message = _MESSAGE.validate_json(text)
    except ValidationError as exc:
        raise PinholeError("the camera says something about the file that we do not know") from exc
    if isinstance(message, _Error):
        raise PinholeError(f"{message.code}: {message.message}")
    return message


def _gaps(exported: Exported) -> str:
    if not exported.gaps:
        return ""
    return f", with {exported.gaps} gap{'s' if exported.gaps > 1 else ''} in which nothing was recorded"


def parse_time(text: str, now: datetime) -> float:
    """Unix seconds of `2026-11-29T10:00`, `10:00` today, `15m` ago, or `now`. Raises PinholeError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if text[-1:] in units and text[:-1].isdecimal() and len(text) <= MAX_AGO_CHARS:
        return (now - timedelta(seconds=int(text[:-1]) * units[text[-1]])).timestamp()
    if text == "now":
        return now.timestamp()
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=now.tzinfo or UTC)).timestamp()
    with contextlib.suppress(ValueError):
        at = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M")  # noqa: DTZ007
        return now.replace(hour=at.hour, minute=at.minute, second=at.second, microsecond=0).timestamp()
    raise PinholeError(f"{text}: no time: 2026-11-29T10:00, 10:00 (today), 15m (ago) or now")
