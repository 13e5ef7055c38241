"""Who looks around now and then wakes the processor together with the others."""

import asyncio

from agent.model import beat


async def test_all_wake_at_the_same_multiple_of_their_period(monkeypatch):
    until = []

    async def note(seconds):
        until.append((loop.time() + seconds, seconds))

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(beat.asyncio, "sleep", note)
    for now_s in (100.2, 100.9, 101.0):
        monkeypatch.setattr(loop, "time", lambda now_s=now_s: now_s)
        await beat.next_beat(1.0)
        await beat.next_beat(5.0)
    assert [round(at_s, 6) for at_s, _ in until] == [101.0, 105.0, 101.0, 105.0, 102.0, 105.0]
    assert all(0 < seconds <= 5.0 for _, seconds in until)
