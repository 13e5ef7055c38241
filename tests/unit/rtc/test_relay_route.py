"""Sending through a relay: the channel stays bound, whatever the clock on the wall does."""

import asyncio
import struct

import pytest

from agent.rtc import ice

PEER = ("203.0.113.5", 40000)
CHANNEL = 0x4000
PERMISSION_S = 300  # RFC 8656 section 9


class Clocks:
    """Stands in for the module `time`."""

    def __init__(self):
        self.mono_s, self.unix_s = 1_000.0, 1.8e9

    def monotonic(self):
        return self.mono_s

    def time(self):
        return self.unix_s


class Client:
    """aioice's TURN client, as far as a route needs it."""

    def __init__(self):
        self.transport = self
        self.peer_to_channel = {PEER: CHANNEL}
        self.channel_refresh_at = {CHANNEL: 1.8e9 + 500}
        self.binds, self.sent, self.fault = [], [], None

    def is_closing(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def _send(self, data):
        self.sent.append(data)

    async def channel_bind(self, channel, address):
        self.binds.append((channel, address))
        if self.fault:
            raise self.fault


class Relay:
    def __init__(self):
        self._TurnTransport__inner_protocol = Client()

    @property
    def client(self):
        return self._TurnTransport__inner_protocol


@pytest.fixture
def clocks(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(ice, "time", clocks)
    return clocks


@pytest.fixture
async def connection():
    return ice.IceConnection([], relay_only=True, on_candidate=print, on_server_error=print)


async def send(connection, relay, clocks, seconds):
    """Send a packet a second."""
    for _ in range(seconds):
        connection._relay_route(relay, PEER)(b"video")
        clocks.mono_s += 1
        clocks.unix_s += 1
        await asyncio.sleep(0)


async def test_packets_go_out_as_channel_data(connection, clocks):
    relay = Relay()
    await send(connection, relay, clocks, 1)
    assert relay.client.sent == [struct.pack("!HH", CHANNEL, 5) + b"video"]


@pytest.mark.parametrize("step_s", [-3600, 0, 3600], ids=["back", "none", "forward"])
async def test_a_step_of_the_clock_lets_no_permission_expire_and_causes_no_burst(connection, clocks, step_s):
    relay = Relay()
    await send(connection, relay, clocks, 10)
    clocks.unix_s += step_s
    before = len(relay.client.binds)
    await send(connection, relay, clocks, 2 * PERMISSION_S)
    assert 2 <= len(relay.client.binds) - before <= 3


async def test_a_refused_refresh_is_tried_again_but_not_with_each_packet(connection, clocks):
    relay = Relay()
    relay.client.fault = ConnectionError("refused")
    await send(connection, relay, clocks, 30)
    assert 3 <= len(relay.client.binds) <= 7
