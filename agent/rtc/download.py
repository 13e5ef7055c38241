"""A file of the device to its viewer, over a data channel of its own: in chunks, and never in the way."""

import asyncio
import io
import json
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiortc.rtcdatachannel import RTCDataChannel

from agent.model.inside import open_inside
from agent.model.threads import HungCallError, call_in_thread
from agent.rtc.give_way import STEP_S, GiveWay, Link

log = logging.getLogger(__name__)

CHUNK_BYTES = 16 * 1024
"""What every browser takes as one message."""
MAX_BUFFERED_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
PATIENCE_S = 30.0
"""A viewer that takes nothing for so long has gone, or does not want it."""
DISK_S = 10.0
"""A disk that takes longer for a piece hangs."""
NO_FILE = "there is no such file, or not any more, or you may not have it"

T = TypeVar("T")


class Download:
    """One file. First comes `{"type": "file", "size_bytes"}`, then the bytes, then `{"type": "end"}`."""

    def __init__(
        self,
        channel: RTCDataChannel,
        find: Callable[[], Path | None],
        offset: int,
        read_link: Callable[[], Link],
        on_sent: Callable[[int], None],
    ) -> None:
        """From `offset` on.

        `find` gives the file while it is there and the viewer may have it; `read_link` tells how the live
        picture fares; `on_sent` counts bytes.
        """
        self._channel, self._find, self._offset = channel, find, offset
        self._read_link, self._on_sent = read_link, on_sent
        self._taken = asyncio.Event()
        channel.bufferedAmountLowThreshold = MAX_BUFFERED_BYTES // 2
        channel.on("bufferedamountlow", self._taken.set)
        self._give_way = GiveWay()
        self._due_s = self._looked_s = 0.0

    async def run(self) -> None:
        """Until it is there; returns early where the viewer has gone, or takes nothing any more."""
        try:
            file = await _on_disk(self._open)
        except (OSError, HungCallError):
            file = None
        if file is None:
            fail(self._channel, "no-file", NO_FILE)
            return
        try:
            descriptor = file.fileno()
            size_bytes = os.fstat(descriptor).st_size
            self._say({"type": "file", "size_bytes": size_bytes})
            for at in range(self._offset, size_bytes, READ_BYTES):
                if await _on_disk(self._find) is None:  # a right may go meanwhile
                    fail(self._channel, "no-file", NO_FILE)
                    return
                block = await _on_disk(partial(os.pread, descriptor, READ_BYTES, at))
                for start in range(0, len(block), CHUNK_BYTES):
                    await self._send(block[start : start + CHUNK_BYTES])
            self._say({"type": "end"})
        except (TimeoutError, ConnectionError) as exc:
            log.info("a file was not fetched to its end: %s", exc or "its viewer takes nothing")
        except OSError as exc:
            fail(self._channel, "disk", f"the file cannot be read: {exc.strerror}")
        except HungCallError:
            fail(self._channel, "disk", "the file cannot be read: its disk does not answer")
        finally:
            file.close()

    def _open(self) -> io.FileIO | None:
        """It closes itself where nobody waits for it any more."""
        file = self._find()
        return io.FileIO(open_inside(file)) if file else None

    async def _send(self, chunk: bytes) -> None:
        await self._pace(len(chunk))
        while self._is_open() and self._channel.bufferedAmount + len(chunk) > MAX_BUFFERED_BYTES:
            self._taken.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self._taken.wait()
        if not self._is_open():
            raise ConnectionError("its viewer has gone")
        self._channel.send(chunk)
        self._on_sent(len(chunk))

    async def _pace(self, size_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = max(self._due_s, loop.time() - STEP_S)
        while (left_s := self._due_s - loop.time()) > 0:
            self._look(loop.time())
            await asyncio.sleep(min(left_s, STEP_S))
        self._look(loop.time())
        self._due_s += size_bytes * 8 / self._give_way.rate_bps

    def _look(self, now_s: float) -> None:
        if now_s - self._looked_s >= STEP_S:
            self._looked_s = now_s
            self._give_way.look(self._read_link())

    def _is_open(self) -> bool:
        return bool(self._channel.readyState == "open")

    def _say(self, message: dict[str, str | int]) -> None:
        if self._is_open():
            self._channel.send(json.dumps(message))


def fail(channel: RTCDataChannel, code: str, words: str) -> None:
    """Say why there is no file."""
    if channel.readyState == "open":
        channel.send(json.dumps({"type": "error", "code": code, "message": words}))


async def _on_disk(work: Callable[[], T]) -> T:
    """What may wait for the disk. Raises OSError, HungCallError."""
    return await call_in_thread("download", DISK_S, work)
