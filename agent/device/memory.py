"""Gives the system back what the C library keeps of freed memory.

Pictures and encoders come and go with every change of size and rate. Once it has freed a large block, glibc
takes the next ones from its heap (mallopt(3), M_MMAP_THRESHOLD), and by itself a heap shrinks at its end
alone: its holes stay the program's, and grow.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable

from agent.model.beat import next_beat

INTERVAL_S = 20.0
"""A change of size leaves ten megabytes; to collect and to give back takes some milliseconds."""

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Return every free page of every heap; does nothing where the C library is not glibc."""
    if _trim is not None:
        _trim(0)


async def stay_lean(frames: Callable[[], int]) -> None:
    """Do so now, after all that was imported, while the camera counts frames, and once after that.

    Runs until cancelled.
    """
    seen, was_busy = frames(), True
    while True:
        is_busy, seen = frames() != seen, frames()
        if is_busy or was_busy:
            # A viewer who left is in the libraries' reference cycles, with what was sent: 1 MB that waits for
            # long while others watch. What is collected may be of the event loop's, so not in the thread.
            gc.collect()
            await asyncio.to_thread(give_back)
        was_busy = is_busy
        await next_beat(INTERVAL_S)
