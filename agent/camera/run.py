"""One start of a camera, from its threads' side."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from agent.camera.handover import Handover
from agent.camera.source import Camera, Demands, Formats
from agent.errors import CameraError
from agent.model.media import STREAMS, StreamName, Unit

T = TypeVar("T")


class HungError(CameraError):
    """A call into the camera did not return in time; its thread is left behind."""


async def call_in_thread(name: str, limit_s: float, call: Callable[[], T]) -> T:
    """Run a call that may block in a daemon thread, so that one that hangs does not keep the process.

    Raises HungError after `limit_s`, and what the call raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T may be None

    def body() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as exc:  # noqa: BLE001  # it is raised in the loop
            error = exc
        call_soon(loop, settle, result, error)

    threading.Thread(target=body, name=name, daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            return await done
    except TimeoutError as exc:
        if done.done() and not done.cancelled():
            raise
        raise HungError(f"{name} did not return within {limit_s:g} s") from exc


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """`call_soon_threadsafe` from a thread that may outlive the loop."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, *args)


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
