"""One camera, many viewers: each has a bounded queue of its own and can only harm itself."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.model.media import RtpFrame

MAX_QUEUED_FRAMES = 15
"""Half a second at 30 fps: a viewer further behind is better served by a new keyframe."""


class Subscription:
    """One viewer's queue. It begins at a keyframe, and at a keyframe again after it overflowed."""

    def __init__(self, request_keyframe: Callable[[], None]) -> None:
        self._request_keyframe = request_keyframe
        self._frames: deque[RtpFrame] = deque()
        self._arrived = asyncio.Event()
        self._needs_keyframe = True
        self.dropped_frames = 0

    async def next(self) -> RtpFrame:
        """The next frame to send."""
        while not self._frames:
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def resync(self) -> None:
        """Drop what waits and go on at the next keyframe, which is asked for."""
        self.dropped_frames += len(self._frames)
        self._frames.clear()
        self._needs_keyframe = True
        self._request_keyframe()

    def push(self, frame: RtpFrame) -> None:
        """Queue a frame, or drop it. Called by the fan-out."""
        if len(self._frames) >= MAX_QUEUED_FRAMES:
            self.resync()
        if self._needs_keyframe:
            if not frame.is_keyframe:
                self.dropped_frames += 1
                return
            self._needs_keyframe = False
        self._frames.append(frame)
        self._arrived.set()


class Fanout:
    """Hands each frame to every subscription, by reference; never waits."""

    def __init__(self, request_keyframe: Callable[[], None]) -> None:
        self._request_keyframe = request_keyframe
        self._subscriptions: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._subscriptions)

    @contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        """A viewer for the length of the block; gets a keyframe as soon as the encoder can make one."""
        subscription = Subscription(self._request_keyframe)
        self._subscriptions.add(subscription)
        self._request_keyframe()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def push(self, frame: RtpFrame) -> None:
        """Hand a frame to every viewer."""
        for subscription in self._subscriptions:
            subscription.push(frame)
