"""One start of a camera, from its threads' side."""

import threading
from collections.abc import Callable
from typing import TypeVar

from agent.camera.handover import Handover
from agent.camera.source import Camera, Demands, Formats
from agent.errors import CameraError
from agent.model import threads
from agent.model.media import STREAMS, StreamName, Unit

T = TypeVar("T")


class HungError(CameraError):
    """A call into the camera did not return in time; its thread is left behind."""


async def call_in_thread(name: str, limit_s: float, call: Callable[[], T]) -> T:
    """As `threads.call_in_thread`, but raises HungError."""
    try:
        return await threads.call_in_thread(name, limit_s, call)
    except threads.HungCallError as exc:
        raise HungError(str(exc)) from exc


class Run:
    """A camera between its start and its stop; after `end` nothing comes out of it, even if it hangs."""

    def __init__(
        self, camera: Camera, wake: Callable[[], None], on_failure: Callable[["Run", Exception], None]
    ) -> None:
        """`wake` and `on_failure` are called from the camera's threads."""
        self.handovers: dict[StreamName, Handover] = {stream: Handover(wake) for stream in STREAMS}
        self._camera = camera
        self._on_failure = on_failure
        # A stop that overtakes a slow start waits for it, and so cleans up behind it however late it returns.
        self._calls = threading.Lock()
        self._ended = False

    def start(self, demands: Demands) -> Formats:
        """Blocks. Raises CameraError."""
        with self._calls:
            if self._ended:
                raise CameraError("the camera was stopped before it started")
            return self._camera.start(demands, self._unit, self._failure)

    def end(self) -> None:
        """Let nothing out any more; returns at once."""
        self._ended = True

    def stop(self) -> None:
        """Blocks. Raises CameraError where the driver hangs."""
        with self._calls:
            self._camera.stop()

    def _unit(self, stream: StreamName, unit: Unit) -> None:
        if not self._ended:
            self.handovers[stream].put(unit)

    def _failure(self, error: Exception) -> None:
        if not self._ended:
            self._on_failure(self, error)
