"""What was freed is the system's again."""

import ctypes
from pathlib import Path

import pytest

from agent.device import memory

BLOCK_BYTES, BLOCKS = 60_000, 1000
"""Below what glibc maps alone, and far above a page."""


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_holes_between_what_is_in_use_are_given_back():
    blocks = [bytearray(BLOCK_BYTES) for _ in range(BLOCKS)]
    kept = blocks[::50]
    del blocks
    before_bytes = resident_bytes()
    memory.give_back()
    assert before_bytes - resident_bytes() > BLOCK_BYTES * BLOCKS / 2
    assert kept[-1] == bytes(BLOCK_BYTES)


async def test_it_is_done_at_the_start_while_frames_come_and_once_after(monkeypatch):
    done, frames = [], [0, 0, 30, 60, 60, 60, 60]

    async def beat(period_s):
        assert period_s == memory.INTERVAL_S
        done.append(frames.pop(0))
        if len(frames) == 1:
            raise InterruptedError

    monkeypatch.setattr(memory, "_trim", lambda _: done.append("given back"))
    monkeypatch.setattr(memory, "next_beat", beat)
    with pytest.raises(InterruptedError):
        await memory.stay_lean(lambda: frames[0])
    assert done == ["given back", 0, 0, "given back", 30, "given back", 60, "given back", 60, 60]


def test_another_c_library_has_nothing_to_give(monkeypatch):
    monkeypatch.setattr(memory, "_trim", None)
    memory.give_back()
