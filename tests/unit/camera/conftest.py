import sys
from pathlib import Path

import pytest

FAKES = Path(__file__).parents[2] / "fakes"


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
