"""Pictures of events, which the cameras keep: fetched when somebody looks, the last ones held in memory."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from agent.errors import MessageError
from agent.model.command import COMMANDS
from agent.model.ids import is_id
from agent.model.still import MAX_THUMBNAIL_BYTES
from agent.portal.accounts.access import Identity
from agent.portal.stills import AskCamera, parse_jpeg

MAX_HELD_BYTES = 8_000_000
"""400 at least."""
ABSENT_S = 60.0
"""How long it is remembered that a camera has no picture, or is away: a list of many is looked at again."""
MAX_ABSENT = 2048
AT_ONCE, MAX_QUEUED = 2, 64
"""Of one camera: each is 37 kB on its link at most."""
LIFE_S = 10.0

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Camera and event."""


class EventPictures:
    """Who asks for the same at the same time waits for one answer."""

    def __init__(
        self,
        ask: AskCamera,
        is_online: Callable[[str], bool],
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._is_online, self._mono_s = ask, is_online, mono_s
        self._held: OrderedDict[Key, bytes] = OrderedDict()
        self._held_bytes = 0
        self._absent: OrderedDict[Key, float] = OrderedDict()
        self._asking: dict[Key, asyncio.Task[bytes | None]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def find(self, device: str, event: str, who: Identity) -> bytes | None:
        """The JPEG; None where there is none, or its camera is away."""
        key = device, event
        if jpeg := self._held.get(key):
            self._held.move_to_end(key)
            return jpeg
        if not is_id(event) or self._mono_s() < self._absent.get(key, 0.0):
            return None
        task = self._asking.get(key)
        if task is None:
            if not self._is_online(device) or sum(each == device for each, _ in self._asking) >= MAX_QUEUED:
                return None
            task = self._asking[key] = asyncio.create_task(self._fetch(key, who), name="event picture")
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for nobody any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, key: Key, who: Identity) -> bytes | None:
        device, event = key
        try:
            async with self._turns.setdefault(device, asyncio.Semaphore(AT_ONCE)):
                result = await self._ask(device, COMMANDS["thumbnail"], {"event": event}, who, LIFE_S)
            if result.ok:
                jpeg = parse_jpeg(result.value.get("jpeg"), MAX_THUMBNAIL_BYTES)
                self._hold(key, jpeg)
                return jpeg
            log.debug("no picture of event %s of camera %s: %s", event, device, result.code)
        except MessageError as exc:
            log.debug("no picture of event %s of camera %s: %s", event, device, exc)
        self._absent[key] = self._mono_s() + ABSENT_S
        if len(self._absent) > MAX_ABSENT:
            self._absent.popitem(last=False)
        return None

    def _hold(self, key: Key, jpeg: bytes) -> None:
        self._held[key] = jpeg
        self._held_bytes += len(jpeg)
        while self._held_bytes > MAX_HELD_BYTES:
            _, gone = self._held.popitem(last=False)
            self._held_bytes -= len(gone)
