import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from agent.camera import projector, replay, synthetic
from agent.camera.worker import Worker

FAKES = Path(__file__).parents[2] / "fakes"


class Haste:
    """The time of cameras that pace themselves: who waits is there at once."""

    def __init__(self) -> None:
        self.us = 1_000_000_000

    def worker(self, *arguments) -> Worker:
        it = Worker(*arguments)
        it._stopping.wait = partial(self._wait, it._stopping)
        return it

    def _wait(self, stopping: threading.Event, seconds: float) -> bool:
        self.us += round(seconds * 1e6)
        return stopping.is_set()


@pytest.fixture
def haste(monkeypatch):
    """No picture is waited for."""
    it = Haste()
    for module in (projector, replay, synthetic):
        monkeypatch.setattr(module, "now_us", lambda: it.us)
    monkeypatch.setattr(synthetic.time, "time_ns", lambda: it.us * 1000)
    monkeypatch.setattr(projector, "Worker", it.worker)


@pytest.fixture
def picamera2(monkeypatch):
    """The stand-in for picamera2, fresh for each test."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("picamera2", "libcamera")]:
            del sys.modules[name]

    forget()
    monkeypatch.syspath_prepend(str(FAKES))
    import picamera2

    yield picamera2
    forget()
