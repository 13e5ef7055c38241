"""What DTLS sees of an ICE restart: nothing, whatever the path that is left does."""

import asyncio

import pytest

from agent.rtc.transport import IceTransport


class Path:
    """An ICE connection: `connected` lets it connect, `closing` lets it close."""

    def __init__(self):
        self.connected, self.closing = asyncio.Event(), asyncio.Event()
        self.incoming, self.sent = asyncio.Queue(), []
        self.is_closed = False

    async def connect(self):
        await self.connected.wait()
        if self.is_closed:
            raise ConnectionError("closed while connecting")

    async def recv(self):
        data = await self.incoming.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def send(self, data):
        self.sent.append(data)

    async def close(self):
        self.is_closed = True
        self.incoming.put_nowait(None)
        self.connected.set()
        await self.closing.wait()


@pytest.fixture
async def paths():
    old, new = Path(), Path()
    new.closing.set()
    return old, new


async def test_the_new_path_serves_both_ways_although_the_old_one_takes_its_time_to_close(paths):
    old, new = paths
    transport = IceTransport(old)
    reading = asyncio.create_task(transport._recv())
    new.connected.set()
    await transport.replace(new)
    await transport._send(b"out")
    new.incoming.put_nowait(b"in")
    assert await reading == b"in"
    assert (old.sent, new.sent) == ([], [b"out"])
    await asyncio.sleep(0)
    assert old.is_closed


async def test_the_old_path_serves_until_the_new_one_is_there(paths):
    old, new = paths
    transport = IceTransport(old)
    replacing = asyncio.create_task(transport.replace(new))
    await asyncio.sleep(0)
    await transport._send(b"out")
    old.incoming.put_nowait(b"in")
    assert await transport._recv() == b"in"
    assert old.sent == [b"out"]
    replacing.cancel()
    await asyncio.gather(replacing, return_exceptions=True)
    assert (old.is_closed, new.is_closed) == (False, True)


async def test_a_newer_restart_takes_the_place_of_one_under_way(paths):
    old, overtaken = paths
    newest = Path()
    newest.connected.set()
    transport = IceTransport(old)
    first = asyncio.create_task(transport.replace(overtaken))
    await asyncio.sleep(0)
    await transport.replace(newest)
    with pytest.raises(ConnectionError):
        await first
    assert transport.active is newest
    assert overtaken.is_closed


async def test_the_end_of_the_session_waits_for_what_still_closes(paths):
    old, new = paths
    transport = IceTransport(old)
    new.connected.set()
    await transport.replace(new)
    closing = asyncio.create_task(transport.close())
    await asyncio.sleep(0)
    assert not closing.done()
    old.closing.set()
    await closing
    assert new.is_closed


async def test_a_restart_after_the_end_leaves_nothing_open(paths):
    old, new = paths
    old.closing.set()
    transport = IceTransport(old)
    await transport.close()
    with pytest.raises(ConnectionError):
        await transport.replace(new)
    assert new.is_closed
