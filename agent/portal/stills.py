"""The newest still of each camera, for those that rest: kept in the state folder, asked for when looked at.

A still is at most 40 kB, which is 73 kB on the camera's link: base64, signed, in base64 again. So a camera
that somebody has in sight all day long sends at most 7 MB for it, and one with a data plan 1.8 MB.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigError, MessageError
from agent.model.command import COMMANDS, CommandKind
from agent.model.disk import make_private_folder, write_whole
from agent.model.ids import is_id
from agent.model.log_limit import LogLimit
from agent.model.sections import Sections
from agent.model.signal import JsonObject, Result
from agent.model.still import MAX_SMALL_BYTES
from agent.portal.accounts.access import Identity

STALE_S, STALE_ON_PLAN_S = 900.0, 3600.0
"""From this age on a newer still is asked for, when somebody looks; less often of one with a data plan."""
WITHOUT_S = 6 * 3600.0
"""A camera that does not know the command, or whose settings refuse it, is not asked sooner."""
MAX_ASKED = 8
"""At a time, of all cameras: a page with a hundred of them shall not fill the broker's queue."""
LIFE_S = 30.0
MAX_BYTES = 100_000_000
"""Of 2500 cameras, where each still is as large as it may be; the oldest goes."""
MAX_CAMERAS = 4096
JPEG_MARK = b"\xff\xd8\xff"
SUFFIX = ".jpg"

log = logging.getLogger(__name__)

AskCamera = Callable[[str, CommandKind, JsonObject, Identity, float], Awaitable[Result]]
"""`ask(device, kind, arguments, who, life_s)`: what became of it. Raises MessageError."""
ReadSections = Callable[[str], Sections | None]
"""What a camera says of itself; None where it is away."""


@dataclass(frozen=True, slots=True)
class KeptStill:
    """One camera's."""

    jpeg: bytes
    taken_at: float
    """Unix time."""


class Stills:
    """Portals of one fleet share the folder. A full disk costs stills, and nothing else."""

    def __init__(
        self,
        folder: Path,
        ask: AskCamera,
        sections: ReadSections,
        masks: Callable[[str], int | None] = lambda _: 0,
        unix_s: Callable[[], float] = time.time,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`masks` says the version of a camera's masks, None of one that is not known.

        No still from behind others is shown, whatever any clock says.
        """
        self._folder, self._ask, self._sections = folder, ask, sections
        self._masks = masks
        self._unix_s, self._mono_s = unix_s, mono_s
        self._not_before_s: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """When a camera that was asked may be asked again, while its masks are of this version."""
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._faults = LogLimit(60.0)

    async def find(self, device: str) -> KeptStill | None:
        """The newest that is known."""
        if not is_id(device) or (version := self._masks(device)) is None:
            return None
        return await asyncio.to_thread(self._read, device, version)

    def want_newer(self, device: str, than: float, who: Identity) -> bool:
        """Somebody looks, and the newest was taken at `than`: whether another is on its way."""
        if device in self._asking:
            return True
        sections, now_s = self._sections(device), self._mono_s()
        if sections is None or len(self._asking) >= MAX_ASKED or not is_id(device):
            return False
        if (version := self._masks(device)) is None:
            return False
        plan = sections.get("plan") or {}
        stale_s = STALE_ON_PLAN_S if plan else STALE_S
        is_stale = abs(self._unix_s() - than) >= stale_s  # abs: a wrong clock's still is no newest for ever
        waits_for, until_s = self._not_before_s.get(device, (version, now_s))
        if plan.get("is_exceeded") or not is_stale or (waits_for == version and now_s < until_s):
            return False
        self._wait(device, version, now_s + stale_s)
        fetching = self._fetch(device, version, who)
        task = self._asking[device] = asyncio.create_task(fetching, name=f"still of {device}")
        task.add_done_callback(lambda _: self._asking.pop(device, None))
        return True

    async def forget(self, device: str) -> None:
        """It was revoked, and who enrols under its name is another camera."""
        self._not_before_s.pop(device, None)
        if is_id(device):
            await asyncio.to_thread(self._remove, device)

    async def close(self) -> None:
        """Wait for nobody any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wait(self, device: str, version: int, until_s: float) -> None:
        self._not_before_s[device] = version, until_s
        self._not_before_s.move_to_end(device)
        if len(self._not_before_s) > MAX_CAMERAS:
            self._not_before_s.popitem(last=False)

    async def _fetch(self, device: str, version: int, who: Identity) -> None:
        """`version` is that of the masks when it is asked: what we know is never newer than the camera's."""
        try:
            result = await self._ask(device, COMMANDS["snapshot"], {}, who, LIFE_S)
            if not result.ok:
                if result.code in ("unknown-command", "switched-off"):
                    self._wait(device, version, self._mono_s() + WITHOUT_S)
                log.debug("camera %s made no still: %s: %s", device, result.code, result.message)
                return
            jpeg = parse_jpeg(result.value.get("jpeg"), MAX_SMALL_BYTES)
            taken_at = result.value.get("taken_at")
            at = float(taken_at) if isinstance(taken_at, int | float) else self._unix_s()
            still = KeptStill(jpeg, min(at, self._unix_s()))
            if self._masks(device) == version:
                await asyncio.to_thread(self._write, device, version, still)
        except MessageError as exc:
            log.debug("camera %s made no still: %s", device, exc)
        except (OSError, ConfigError) as exc:
            self._complain(f"stills are not kept: {self._folder}: {exc}")

    def _file(self, device: str, version: int) -> Path:
        return self._folder / f"{device}.{version}{SUFFIX}"  # no id has a dot

    def _remove(self, device: str, but: Path | None = None) -> None:
        """All of a camera's, also what a release before this one kept."""
        try:
            for file in (self._folder / f"{device}{SUFFIX}", *self._folder.glob(f"{device}.*{SUFFIX}")):
                if file != but:
                    file.unlink(missing_ok=True)
        except OSError as exc:
            self._complain(f"a still cannot be removed: {self._folder}: {exc.strerror}")

    def _read(self, device: str, version: int) -> KeptStill | None:
        try:
            file = self._file(device, version)
            return KeptStill(file.read_bytes(), file.stat().st_mtime)
        except FileNotFoundError:
            return None
        except OSError as exc:
            self._complain(f"a still cannot be read: {self._folder}: {exc.strerror}")
            return None

    def _write(self, device: str, version: int, still: KeptStill) -> None:
        make_private_folder(self._folder)
        self._make_room(len(still.jpeg))
        file = self._file(device, version)
        write_whole(file, still.jpeg)
        os.utime(file, (still.taken_at, still.taken_at))
        self._remove(device, but=file)

    def _make_room(self, size_bytes: int) -> None:
        with os.scandir(self._folder) as entries:
            found = [
                (entry.stat().st_mtime, entry.path, entry.stat().st_size)
                for entry in entries
                if entry.name.endswith(SUFFIX)
            ]
        total_bytes = sum(size for _, _, size in found) + size_bytes
        for _, path, size in sorted(found):
            if total_bytes <= MAX_BYTES:
                break
            with contextlib.suppress(OSError):
                Path(path).unlink()
            total_bytes -= size

    def _complain(self, words: str) -> None:
        if self._faults.note(self._mono_s()):
            log.warning("%s", words)


def parse_jpeg(text: object, max_bytes: int) -> bytes:
    """A JPEG that a camera sent as base64. Raises MessageError."""
    try:
        jpeg = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MessageError("invalid", "the camera's picture is no base64") from exc
    if not jpeg.startswith(JPEG_MARK) or len(jpeg) > max_bytes:
        raise MessageError("invalid", "what the camera sent is no JPEG, or too large")
    return jpeg
