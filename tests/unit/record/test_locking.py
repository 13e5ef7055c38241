"""What the recorder is told to lock."""

import asyncio
from types import SimpleNamespace

from agent import recordings
from agent.model.recording import Locked, RecordedTime
from agent.recordings import Recordings


async def test_one_lock_counts_what_the_one_before_it_has_locked(monkeypatch):
    """Both would fit alone; the share that may be locked is looked at and taken in one go."""
    at_work, most = 0, 0

    async def call_in_thread(_name, _limit_s, _call):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return Locked(1, 1)

    monkeypatch.setattr(recordings, "call_in_thread", call_in_thread)
    it = Recordings.__new__(Recordings)
    it._settings = SimpleNamespace(record=SimpleNamespace(mode="event"))
    it.recorder = SimpleNamespace(index=object())
    it.section = lambda: SimpleNamespace(problem="", cap_bytes=1)
    it._locking = asyncio.Lock()
    wish = RecordedTime(1.0, 2.0)
    await asyncio.gather(*(it._lock(wish, is_locked=True) for _ in range(3)))
    assert most == 1
