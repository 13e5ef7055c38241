"""What a portal hears of changes, when the notification comes and when it does not."""

import asyncio
import contextlib
import os

import pytest
from fakes.clock import LoopClock

from agent.portal import changes
from agent.portal.changes import Changes, ListenError


class Server:
    """PostgreSQL, as far as it tells."""

    def __init__(self):
        self.revision = 1
        self.listeners = []
        self.opened = 0
        self.is_deaf = self.is_away = self.hangs = False

    async def open(self, channel):
        if self.is_away:
            raise ListenError("connection refused")
        self.opened += 1
        self.listeners.append(Listener(channel))
        return self.listeners[-1]

    async def tell(self, channel):
        if self.is_away:
            raise ListenError("connection refused")
        if self.hangs:
            await asyncio.Event().wait()
        self.say(channel, to=channel)
        return self.revision

    def change(self):
        self.revision += 1
        self.say("")

    def say(self, word, to=None):
        for one in self.listeners:
            if not self.is_deaf and to in (None, one.channel):
                one.say(word)

    def kill(self):
        for one in self.listeners:
            one.say(None)
        self.listeners.clear()


class Listener:
    def __init__(self, channel):
        self.channel = channel
        self.said = []
        self.fileno, self._write = os.pipe()

    def say(self, word):
        self.said.append(word)
        os.write(self._write, b".")

    def take(self):
        os.read(self.fileno, 100)
        said, self.said = self.said, []
        if None in said:
            raise ListenError("server closed the connection")
        return said

    def close(self):
        os.close(self.fileno)
        os.close(self._write)


@pytest.fixture
def server():
    return Server()


@contextlib.asynccontextmanager
async def listening(server, on_event=lambda: None):
    heard, clock = Changes(server.open), LoopClock()
    task = asyncio.create_task(heard.run(server.tell, on_event))
    try:
        yield heard, clock
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_change_is_heard_and_nothing_else_is_one(server):
    async with listening(server) as (heard, clock):
        assert heard.version() is None
        before = await clock.until(heard.version)
        await clock.after(10 * changes.PROOF_S)
        assert heard.version() == before
        server.change()
        await clock.after(0.1)
        assert heard.version() not in (None, before)
        assert server.opened == 1


async def test_while_the_connection_is_lost_everybody_asks_and_hears_again_when_it_is_back(server):
    async with listening(server) as (heard, clock):
        before = await clock.until(heard.version)
        server.is_away = True
        server.kill()
        await clock.after(0.1)
        assert heard.version() is None
        server.change()
        await clock.after(4 * changes.RETRY_S)
        assert heard.version() is None
        server.is_away = False
        assert await clock.until(heard.version) != before


async def test_a_connection_that_nothing_comes_through_is_found_out(server):
    """As behind a pooler, or where a router has forgotten it."""
    async with listening(server) as (heard, clock):
        await clock.until(heard.version)
        server.is_deaf = True
        await clock.after(changes.PROOF_S + changes.PROOF_TIMEOUT_S + 1)
        assert heard.version() is None
        await clock.after(5 * changes.PROOF_S)
        assert heard.version() is None
        server.is_deaf = False
        await clock.until(heard.version)


async def test_a_server_that_does_not_answer_is_found_out(server):
    async with listening(server) as (heard, clock):
        await clock.until(heard.version)
        server.hangs = True
        await clock.after(changes.PROOF_S + changes.PROOF_TIMEOUT_S + 1)
        assert heard.version() is None


async def test_a_change_whose_notification_alone_was_lost_is_seen_at_the_next_proof(server):
    async with listening(server) as (heard, clock):
        before = await clock.until(heard.version)
        server.revision += 1
        await clock.after(changes.PROOF_S + 0.1)
        assert heard.version() not in (None, before)


async def test_an_event_is_no_change_and_is_told_of_and_so_is_when_one_may_be_missed(server):
    heard_it = []
    async with listening(server, lambda: heard_it.append(None)) as (heard, clock):
        before = await clock.until(heard.version)
        assert len(heard_it) == 1, "now it hears"
        server.say(changes.EVENT)
        await clock.after(0.1)
        assert len(heard_it) == 2
        assert heard.version() == before
        server.kill()
        await clock.after(0.1)
        assert len(heard_it) == 3, "now it does not"
        await clock.until(heard.version)
        assert len(heard_it) == 4


async def test_what_does_not_come_through_is_said_once(server, caplog):
    async with listening(server) as (_, clock):
        server.is_deaf = True
        await clock.after(10 * changes.PROOF_S)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "no notification comes through" in caplog.text
