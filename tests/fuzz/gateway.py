"""A gateway with one camera and two browsers, and what must always hold of it."""

import json

from fakes.bus import FakeBus, state

from agent.model.signal import IceServer
from agent.portal.accounts.access import Access, Identity
from agent.portal.client import Clock
from agent.portal.farewells import MAX_FAREWELLS
from agent.portal.gateway import Gateway
from agent.portal.limits import MAX_SESSIONS
from agent.portal.messages import MAX_MESSAGE_BYTES
from agent.portal.outbox import MAX_QUEUED
from agent.portal.turn import IceServers
from agent.signaling.messages import encode, parse_to_device

SERVERS = IceServers((IceServer(("stun:s.example:3478",)),))


def identity(user: str) -> Identity:
    """A user who may see everything."""
    return Identity(f"session of {user}", user, Access("viewer"), 1e12, user_id=sum(user.encode()))


class World:
    """`say` is a browser's text."""

    def __init__(self) -> None:
        self.now_s = 10_000.0
        self.bus = FakeBus()
        clock = Clock(unix_s=lambda: self.now_s, mono_s=lambda: self.now_s)
        self.gateway = Gateway(self.bus.send, SERVERS, "1.2.3", clock)
        self.gateway.on_broker(connected=True)
        self.gateway.on_state("front", state(understands=("lease",)))
        joined = (self.gateway.join(identity(user)) for user in ("ann", "eve"))
        self.clients = [client for client in joined if client is not None]

    def say(self, number: int, text: str) -> None:
        """A message of browser 0 or 1."""
        self.gateway.receive(self.clients[number], text)

    def check(self) -> None:
        """What is kept has a bound; browsers get JSON, devices messages that they would take."""
        assert len(self.gateway.sessions.table) <= MAX_SESSIONS * len(self.clients)
        assert len(self.gateway.sessions.farewells) <= MAX_FAREWELLS
        for client in self.clients:
            assert len(client.outbox._queue) <= MAX_QUEUED
            for text in client.outbox._queue:
                assert len(text.encode()) <= MAX_MESSAGE_BYTES
                assert "type" in json.loads(text)
        for device, _session, message in self.bus.sent:
            assert device == "front"
            assert parse_to_device(encode(message)) == message
