"""What waits to be sent on one WebSocket."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

MAX_QUEUED = 256


class Outbox:
    """Messages in order, bounded: a client that lets 256 of them pile up is closed.

    Devices that changed are kept by id and encoded when their turn comes, so that thousands of them coming
    back at once cost one message each and close nobody.
    """

    def __init__(self, encode_device: Callable[[str], str]) -> None:
        self._queue: deque[str] = deque()
        self._changed: dict[str, None] = {}
        self._encode_device = encode_device
        self._wake = asyncio.Event()
        self.close_code: int | None = None
        self.close_reason = ""

    def put(self, text: str) -> None:
        """Queue one message."""
        if len(self._queue) >= MAX_QUEUED:
            self.close(1013, "too slow: messages pile up")
        if self.close_code is None:
            self._queue.append(text)
            self._wake.set()

    def put_device(self, device: str) -> None:
        """Queue the newest state of a device."""
        if self.close_code is None:
            self._changed[device] = None
            self._wake.set()

    def forget_device(self, device: str) -> None:
        """Tell nothing of it that is still queued."""
        self._changed.pop(device, None)

    def close(self, code: int, reason: str) -> None:
        """End the stream after what is queued, or at once where it overflowed; the first reason stays."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._wake.set()

    async def stream(self) -> AsyncIterator[str]:
        """Yield messages until closed."""
        while True:
            if self._queue:
                yield self._queue.popleft()
            elif self.close_code is not None:
                return
            elif self._changed:
                device = next(iter(self._changed))
                del self._changed[device]
                yield self._encode_device(device)
            else:
                self._wake.clear()
                await self._wake.wait()
