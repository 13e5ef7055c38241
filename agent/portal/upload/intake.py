"""Answers what cameras offer for the store: URLs with which they send a file, and then that it is there.

`agent/model/upload.py` says how. The store is asked each time and believed: what was begun, which parts came,
what is whole. So what is said twice, by whichever portal and after whatever start, ends in one object. None
that is whole is written again: a part goes to an upload, and that is over once it is complete.
"""

import asyncio
import contextlib
import json
import logging
import math
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from agent.config import UploadSettings
from agent.errors import MessageError
from agent.model.log_limit import LogLimit
from agent.model.signal import JsonObject
from agent.model.tasks import TaskGroup
from agent.model.upload import (
    MAX_WANTED,
    Upload,
    Uploaded,
    UploadNext,
    UploadPart,
    UploadSection,
    part_count,
    part_size,
)
from agent.portal.client import Clock
from agent.portal.devices import Directory
from agent.portal.rate_limit import MinuteLimit
from agent.portal.store import Store, StoreError
from agent.portal.upload.ledger import DAY_S, HELD_S, charge, forget, take
from agent.portal.upload.objects import KIND, BucketError, Part, folder_of, key_of

AT_ONCE = 8
"""Cameras that are answered at a time; each is some calls to the store."""
ANSWERS_PER_MINUTE = 60
"""Of one camera. Two files a minute are four; one that catches up has more."""
AGAIN_S, MOST_AGAIN_S = 60.0, 3600.0
"""An offer that stands, though it was answered, is answered again, ever more rarely."""
STORE_PAUSE_S, MOST_STORE_PAUSE_S = 5.0, 300.0
"""After the store did nothing for one camera, no other one asks it for so long."""
MAX_SWEPT = 100
"""Uploads of one camera that are aborted at a time."""
MAX_SHOWN = 3
REFUSAL_S = 600.0
"""A refusal of one camera's offers is logged no more often."""

log = logging.getLogger(__name__)

Tell = Callable[[str, str, JsonObject], object]
"""`tell(device, name, arguments)`: a command of the portal's own. Raises MessageError."""


class ObjectStore(Protocol):
    """What it needs of `Bucket`, which says what each is."""

    def opened(self) -> AbstractAsyncContextManager[None]: ...
    async def size(self, key: str) -> int | None: ...
    async def begun(self, key: str) -> list[str]: ...
    async def unfinished(self, prefix: str) -> list[tuple[str, str]]: ...
    async def begin(self, key: str, kind: str) -> str: ...
    async def parts(self, key: str, upload: str) -> list[Part]: ...
    async def complete(self, key: str, upload: str, parts: list[Part]) -> None: ...
    async def abort(self, key: str, upload: str) -> None: ...
    async def part_url(self, key: str, upload: str, number: int, size_bytes: int) -> str: ...


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a camera wants to hear of."""

    boot_id: str
    next: UploadNext
    want: tuple[int, ...]


@dataclass(slots=True)
class _Camera:
    """What is known of one that has offered something since this portal began."""

    due_s: float
    """When it is to be answered, by the monotonic clock."""
    pause_s: float = AGAIN_S
    answered: _Offer | None = None
    begun: tuple[str, str] | None = None
    """Key and upload of the file that is under way."""
    charged: tuple[int, int] = (0, 0)
    """The file's and its parts' bytes with which that upload was counted. Parts of another size would take
    the places of those that were counted, and hold more than they."""
    held_until: float = 0.0
    """Until then no other portal answers it; Unix time."""
    is_swept: bool = False
    """What it had begun before this portal did is aborted."""
    is_revoked: bool = False
    refusals: LogLimit = field(default_factory=lambda: LogLimit(REFUSAL_S))


class UploadIntake:
    """Belongs to one event loop."""

    def __init__(
        self,
        settings: UploadSettings,
        bucket: ObjectStore,
        store: Store,
        directory: Directory,
        tell: Tell,
        clock: Clock | None = None,
    ) -> None:
        self._settings, self._bucket = settings, bucket
        self._store, self._directory, self._tell = store, directory, tell
        self._clock = clock or Clock()
        self._portal = secrets.token_hex(16)
        self._cameras: dict[str, _Camera] = {}
        """No more than the directory has."""
        self._at_work: set[str] = set()
        self._used_up: dict[str, int] = {}
        """Cameras that may send no more on this day."""
        self._limit = MinuteLimit(ANSWERS_PER_MINUTE)
        self._wake = asyncio.Event()
        self._store_fault = ""
        self._rest_until_s, self._store_pause_s = -math.inf, STORE_PAUSE_S
        self._faults = LogLimit(60.0)

    @property
    def problem(self) -> str:
        """Why recordings wait, in words; empty where none do."""
        if self._store_fault:
            return f"recordings are not uploaded: {self._store_fault}"
        today = int(self._clock.unix_s() // DAY_S)
        over = sorted(device for device, day in self._used_up.items() if day == today)
        names = ", ".join(over[:MAX_SHOWN]) + (" …" if len(over) > MAX_SHOWN else "")
        return f"portal.upload.mb_a_day is used up by {names}" if over else ""

    def on_change(self, device: str) -> None:
        """What is known of a camera has changed: perhaps what it offers."""
        offer, camera = self._offer(device), self._cameras.get(device)
        if offer is None:
            if camera is not None:
                camera.answered = None
            self._end_fault()
            return
        if camera is None:
            camera = self._cameras[device] = _Camera(self._clock.mono_s())
        elif offer == camera.answered:
            return
        else:
            camera.due_s, camera.pause_s = min(camera.due_s, self._clock.mono_s()), AGAIN_S
        self._wake.set()

    def on_revoked(self, device: str) -> None:
        """The URLs that it has are to be good for nothing."""
        camera = self._cameras.setdefault(device, _Camera(0.0))
        camera.is_revoked, camera.due_s = True, self._clock.mono_s()
        self._wake.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        async with self._bucket.opened(), TaskGroup() as group:
            while True:
                self._wake.clear()
                for device in self._due():
                    self._at_work.add(device)
                    group.create_task(self._serve(device), name=f"upload of {device}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._rest_s()):
                        await self._wake.wait()

    def _due(self) -> list[str]:
        now_s = self._clock.mono_s()
        if now_s < self._rest_until_s:
            return []
        waiting = sorted((camera.due_s, device) for device, camera in self._waiting())
        return [device for due_s, device in waiting if due_s <= now_s][: AT_ONCE - len(self._at_work)]

    def _rest_s(self) -> float | None:
        """How long nothing is due; None where somebody has to come first."""
        if len(self._at_work) >= AT_ONCE:
            return None
        next_s = min((camera.due_s for _, camera in self._waiting()), default=math.inf)
        rest_s = max(next_s, self._rest_until_s) - self._clock.mono_s()
        return None if math.isinf(rest_s) else max(rest_s, 0.0)

    def _waiting(self) -> list[tuple[str, _Camera]]:
        return [each for each in self._cameras.items() if each[0] not in self._at_work]

    async def _serve(self, device: str) -> None:
        camera = self._cameras[device]
        # What comes while the store is asked makes it due again.
        camera.due_s = math.inf
        try:
            await self._answer(device, camera)
        except (BucketError, StoreError) as exc:
            self._on_fault(device, camera, exc)
        except MessageError as exc:
            if exc.code == "refused":
                self._on_refusal(device, camera, exc)
            else:
                log.debug("the upload of %s waits: %s", device, exc)
                self._later(camera)
        except Exception:  # the other cameras are served all the same
            if self._faults.note(self._clock.mono_s()):
                log.exception("an upload waits, by a fault of ours")
            self._later(camera)
        finally:
            self._at_work.discard(device)
            self._end_fault()
            self._wake.set()

    def _on_fault(self, device: str, camera: _Camera, exc: BucketError | StoreError) -> None:
        if isinstance(exc, BucketError):
            self._store_fault = str(exc)
        if isinstance(exc, BucketError) and not exc.is_down:
            self._on_refusal(device, camera, exc)
            return
        now_s = camera.due_s = self._clock.mono_s()
        self._rest_until_s = now_s + self._store_pause_s
        self._store_pause_s = min(2 * self._store_pause_s, MOST_STORE_PAUSE_S)
        if self._faults.note(now_s):
            log.warning("uploads wait: %s", exc)

    def _end_fault(self) -> None:
        """Where nobody needs the store, nobody would find out that it answers again."""
        needs = (one.is_revoked or self._offer(device) for device, one in self._cameras.items())
        if self._store_fault and not any(needs):
            self._store_fault = ""

    def _on_refusal(self, device: str, camera: _Camera, exc: BucketError | MessageError) -> None:
        """Of what this camera offers; others are served."""
        if camera.refusals.note(self._clock.mono_s()):
            log.warning("the upload of %s waits: %s", device, exc)
        self._later(camera)

    def _later(self, camera: _Camera, least_s: float = 0.0) -> None:
        if math.isinf(camera.due_s):  # else it has said something else meanwhile
            camera.due_s = self._clock.mono_s() + max(least_s, camera.pause_s)
            camera.pause_s = min(2 * camera.pause_s, MOST_AGAIN_S)

    def _offer(self, device: str) -> _Offer | None:
        """What it wants to hear of; None where that is nothing, or it is away."""
        boot_id = self._directory.boot_id(device)
        if boot_id is None or not self._directory.is_online(device):
            return None
        said = self._directory.get(device).sections.get("upload", {})
        if "next" not in said:
            return None
        try:
            section = _SECTION.validate_json(json.dumps(said))
        except ValidationError:
            return None
        offered = section.next
        if offered is None or not (section.want or offered.is_sent):
            return None
        return _Offer(boot_id, offered, section.want)

    async def _answer(self, device: str, camera: _Camera) -> None:
        if camera.is_revoked:
            await self._forget(device, camera)
        offer = self._offer(device)
        if offer is None:
            return
        now = self._clock.unix_s()
        if not self._limit.admits(device, self._clock.mono_s()):
            self._later(camera)
            return
        if not await self._take(device, camera, now):
            self._later(camera, HELD_S)  # another portal answers, while it lives
            return
        camera.answered = offer  # before it hears of it, for it may then say the same again
        key = key_of(self._settings.prefix, device, offer.next, now)
        await self._abort_others(device, camera, key)
        if await self._is_whole(key, offer.next):
            self._tell_whole(device, offer.next)
        else:
            await self._go_on(device, camera, key, offer)
        self._store_fault, self._store_pause_s = "", STORE_PAUSE_S
        self._later(camera)

    async def _take(self, device: str, camera: _Camera, now: float) -> bool:
        if camera.held_until - now > HELD_S / 2:
            return True
        is_ours = await self._store.run(partial(take, device=device, portal=self._portal, now=now))
        camera.held_until = now + HELD_S if is_ours else 0.0
        return is_ours

    async def _go_on(self, device: str, camera: _Camera, key: str, offer: _Offer) -> None:
        """Give URLs, or make the object; tomorrow, where it may send no more today."""
        offered = offer.next
        begun = await self._bucket.begun(key)
        upload = await self._upload(device, camera, key, begun, offered)
        if upload is None:
            camera.due_s = min(camera.due_s, self._clock.mono_s() + DAY_S - self._clock.unix_s() % DAY_S)
            return
        camera.begun = key, upload
        parts = {
            part.number: part
            for part in (await self._bucket.parts(key, upload) if begun else [])
            if part.bytes == part_size(part.number, offered.bytes, offered.part_bytes)
        }
        numbers = range(1, part_count(offered.bytes, offered.part_bytes) + 1)
        missing = [number for number in numbers if number not in parts]
        if missing:
            wanted = missing if offered.is_sent else [number for number in missing if number in offer.want]
            await self._give(device, camera.begun, offered, wanted[:MAX_WANTED], tuple(parts))
            return
        await self._bucket.complete(key, upload, [parts[number] for number in sorted(parts)])
        if not await self._is_whole(key, offered):
            raise BucketError("an object was completed and is not there", is_down=False)
        for other in begun[1:]:
            await self._bucket.abort(key, other)
        camera.begun = None
        self._tell_whole(device, offered)

    async def _upload(
        self, device: str, camera: _Camera, key: str, begun: list[str], offered: UploadNext
    ) -> str | None:
        """One that is counted, with as many bytes as are offered now; None where that is too much today."""
        is_ours = bool(begun) and camera.begun == (key, begun[0])
        if is_ours and (offered.bytes, offered.part_bytes) == camera.charged:
            return begun[0]
        if not await self._charge(device, offered.bytes):
            return None
        try:
            upload = begun[0] if begun else await self._bucket.begin(key, KIND)
        except BucketError:
            await self._charge(device, -offered.bytes)  # it is tried again, and counted again
            raise
        camera.charged = offered.bytes, offered.part_bytes
        return upload

    async def _charge(self, device: str, size_bytes: int) -> bool:
        now = self._clock.unix_s()
        most_bytes = self._settings.mb_a_day * 1_000_000
        count = partial(charge, device=device, size_bytes=size_bytes, most_bytes=most_bytes, now=now)
        if await self._store.run(count):
            self._used_up.pop(device, None)
            return True
        if self._used_up.get(device) != (today := int(now // DAY_S)):
            log.warning("camera %s has sent portal.upload.mb_a_day: the rest waits until tomorrow", device)
        self._used_up[device] = today
        return False

    async def _give(
        self,
        device: str,
        begun: tuple[str, str],
        offered: UploadNext,
        numbers: list[int],
        have: tuple[int, ...],
    ) -> None:
        # From before the first was signed: the camera asks sooner for others, not later.
        expires_at = self._clock.unix_s() + self._settings.url_life_s
        sizes = {number: part_size(number, offered.bytes, offered.part_bytes) for number in numbers}
        parts = [
            UploadPart(number, await self._bucket.part_url(*begun, number, size))
            for number, size in sizes.items()
        ]
        told = Upload(offered.file, offered.bytes, expires_at, tuple(parts), tuple(sorted(have)))
        self._tell(device, "upload", _UPLOAD.dump_python(told, mode="json"))

    def _tell_whole(self, device: str, offered: UploadNext) -> None:
        told = Uploaded(offered.file, offered.bytes)
        self._tell(device, "uploaded", _UPLOADED.dump_python(told, mode="json"))

    async def _is_whole(self, key: str, offered: UploadNext) -> bool:
        size = await self._bucket.size(key)
        if size is not None and size != offered.bytes:
            raise MessageError("refused", f"{key} is there already, with another size")
        return size is not None

    async def _abort_others(self, device: str, camera: _Camera, key: str) -> None:
        """A camera has one file under way: what it has begun and offers no more is there for nobody."""
        others = [camera.begun] if camera.begun and camera.begun[0] != key else []
        if not camera.is_swept:
            others += await self._bucket.unfinished(folder_of(self._settings.prefix, device))
        for other, upload in others[:MAX_SWEPT]:
            if other != key:
                await self._bucket.abort(other, upload)
        camera.is_swept = True

    async def _forget(self, device: str, camera: _Camera) -> None:
        camera.is_swept = False
        await self._abort_others(device, camera, key="")
        await self._store.run(partial(forget, device=device))
        camera.begun, camera.answered, camera.is_revoked = None, None, False
        camera.held_until = 0.0  # the row is gone, which also counts its day
        self._used_up.pop(device, None)


_SECTION, _UPLOAD, _UPLOADED = TypeAdapter(UploadSection), TypeAdapter(Upload), TypeAdapter(Uploaded)
