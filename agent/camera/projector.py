"""Shows pictures of its own making to the encoders, at their pace: for cameras without a device."""

import threading
from collections.abc import Callable

from agent.camera.duo import Duo
from agent.camera.source import Formats
from agent.camera.worker import Worker
from agent.model.clock import now_us
from agent.model.media import EncoderDemand, StreamName


class Projector:
    """A thread and what it feeds, from a start to the stop; see `agent.camera.source.Camera`."""

    def __init__(self, name: str) -> None:
        """`name` of the thread."""
        self._name = name
        self._worker: Worker | None = None
        self._duo: Duo | None = None

    def start(
        self, duo: Duo, show: Callable[[threading.Event], None], on_failure: Callable[[Exception], None]
    ) -> Formats:
        """Call `show` in the thread; it returns when its argument is set."""
        self._duo, self._worker = duo, Worker(self._name, show, on_failure)
        self._worker.start()
        return duo.formats

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        if self._duo:
            self._duo.apply(stream, demand)

    def stop(self) -> None:
        worker, self._worker, self._duo = self._worker, None, None
        if worker:
            worker.stop()


def seconds_to(due_us: int) -> float:
    """From now on, and never less than none."""
    return max(0.0, (due_us - now_us()) / 1e6)
