"""What each Raspberry Pi can capture and encode, to start from."""

from dataclasses import dataclass
from pathlib import Path

MODEL_FILE = Path("/proc/device-tree/model")


@dataclass(frozen=True, slots=True)
class Board:
    """Defaults where the settings leave a choice."""

    width_px: int
    height_px: int
    fps: float
    buffer_count: int
    """Frame buffers of libcamera: they come from CMA, and 512 MB boards have little."""
    has_preview: bool = True
    """Whether there is memory and time for a second stream."""


_DEFAULT = Board(1280, 720, 30, 5)
_BOARDS = (
    ("Zero 2", Board(1280, 720, 25, 4, has_preview=False)),
    ("Pi 4", Board(1920, 1080, 30, 5)),
    ("Compute Module 4", Board(1920, 1080, 30, 5)),
)
"""The rest (3B+, 5 and what is unknown) does 720p30."""


def board_of(model: str) -> Board:
    """The defaults of a board by its device tree's `model`."""
    return next((board for name, board in _BOARDS if name in model), _DEFAULT)


def read_model(path: Path = MODEL_FILE) -> str:
    """The device tree's `model`, or nothing where there is none."""
    try:
        return path.read_bytes().rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        return ""
