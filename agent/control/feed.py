"""The pictures that one viewer gets: of one stream, of another from a keyframe on, or recorded ones."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Self

from agent.model.media import RtpFrame, StreamName

Sink = Callable[[RtpFrame], None]
Subscribe = Callable[[StreamName, Sink], AbstractContextManager[None]]
"""Frames of a stream, which is encoded for as long."""

MIN_STEP = 90
"""1 ms at 90 kHz: two pictures of one viewer never share a time stamp, although two encoders may."""


class Feed:
    """One a viewer; RTP times go on over a change of streams."""

    def __init__(self, subscribe: Subscribe, stream: StreamName) -> None:
        self.stream: StreamName = stream
        """What the viewer gets now."""
        self._subscribe = subscribe
        self._is_live = True
        self._sink: Sink | None = None
        self._last_time: int | None = None
        self._next: StreamName | None = None
        self._subscription, self._next_subscription = ExitStack(), ExitStack()

    def __enter__(self) -> Self:
        """The stream is encoded from now on; frames go nowhere before `begin`."""
        self._subscription = self._open(self.stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._next_subscription.close()
        self._subscription.close()

    def begin(self, sink: Sink) -> None:
        """Hand frames to `sink`."""
        self._sink = sink

    def end(self) -> None:
        """Hand out no more."""
        self._sink = None

    def move(self, stream: StreamName) -> bool:
        """Go to another stream as soon as it has a keyframe; True where that is one to ask for."""
        if stream == (self._next or (self.stream if self._is_live else None)):
            return False
        self._next_subscription.close()
        self._next = None
        if stream == self.stream and self._is_live:
            return False
        self._next = stream
        self._next_subscription = self._open(stream)
        return True

    def leave_live(self) -> None:
        """No live frames any more, and none is encoded for this viewer; `show` hands out others."""
        self._next_subscription.close()
        self._subscription.close()
        self._next, self._is_live = None, False

    def go_live(self) -> None:
        """Back to the stream of before, from its next keyframe on: there is one to ask for."""
        if not self._is_live and self._next is None:
            self.move(self.stream)

    def show(self, frame: RtpFrame) -> None:
        """A frame that is not live; it begins with a keyframe."""
        if not self._is_live:
            self._hand_out(frame)

    def _open(self, stream: StreamName) -> ExitStack:
        subscription = ExitStack()
        subscription.enter_context(self._subscribe(stream, partial(self._on_frame, stream)))
        return subscription

    def _on_frame(self, stream: StreamName, frame: RtpFrame) -> None:
        if stream == self._next and frame.is_keyframe:
            self._subscription.close()
            self.stream, self._next, self._is_live = stream, None, True
            self._subscription, self._next_subscription = self._next_subscription, ExitStack()
        if stream == self.stream and self._is_live:
            self._hand_out(frame)

    def _hand_out(self, frame: RtpFrame) -> None:
        if self._sink is not None:
            if self._last_time is not None and frame.rtp_time < self._last_time + MIN_STEP:
                frame = replace(frame, rtp_time=self._last_time + MIN_STEP)
            self._last_time = frame.rtp_time
            self._sink(frame)
