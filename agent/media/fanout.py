"""One camera, many viewers: each frame goes to every viewer's lane by reference."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.model.media import RtpFrame

Sink = Callable[[RtpFrame], None]
"""A viewer's lane takes a frame and returns at once; what it cannot send in time, it drops."""


class Fanout:
    """Hands each frame to every sink; never waits."""

    def __init__(self) -> None:
        self._sinks: list[Sink] = []

    def __len__(self) -> int:
        return len(self._sinks)

    @contextmanager
    def subscribed(self, sink: Sink) -> Iterator[None]:
        """Frames go to `sink` for the length of the block."""
        self._sinks.append(sink)
        try:
            yield
        finally:
            self._sinks.remove(sink)

    def push(self, frame: RtpFrame) -> None:
        """Hand a frame to every viewer."""
        for sink in tuple(self._sinks):
            sink(frame)
