"""Sending through a relay: bound whatever the clock on the wall does, never queued, no task a datagram."""

import asyncio
import struct

import pytest
from aioice import stun

from agent.rtc import relay as relay_module
from agent.rtc.relay import MAX_UNSENT_BYTES, MAX_WAITING, RelayTransport, TcpClient, _allocate

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
    """aioice's TURN client, as far as a transport needs it; `answers` lets a binding go through."""

    refresh_task = None

    def __init__(self):
        self.transport = self
        self.peer_to_channel, self.channel_to_peer, self.peer_to_failed_channel = {}, {}, {}
        self.channel_number = CHANNEL
        self.binds, self.sent, self.fault = [], [], None
        self.answers = asyncio.Event()
        self.answers.set()
        self.unsent_bytes, self.is_gone = 0, False

    def is_closing(self):
        return self.is_gone

    def abort(self):
        self.is_gone = True

    def get_write_buffer_size(self):
        return self.unsent_bytes

    def _send(self, data):
        self.sent.append(data)

    async def channel_bind(self, channel, address):
        self.binds.append((channel, address))
        await self.answers.wait()
        if self.fault:
            raise self.fault

    async def delete(self):
        await self.answers.wait()


def channel_data(payload):
    return struct.pack("!HH", CHANNEL, len(payload)) + payload


async def settled():
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def clocks(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(relay_module, "time", clocks)
    return clocks


@pytest.fixture
async def client():
    return Client()


@pytest.fixture
async def relay(client):
    return RelayTransport(client)


@pytest.fixture
async def bound(relay, client):
    relay.sendto(b"check", PEER)
    await settled()
    client.sent.clear()
    return relay


async def send(relay, clocks, seconds):
    """Send a packet a second."""
    for _ in range(seconds):
        relay.route(PEER)([b"video"])
        clocks.mono_s += 1
        clocks.unix_s += 1
        await asyncio.sleep(0)


async def test_what_is_sent_before_there_is_a_channel_follows_in_order_and_binds_once(relay, client):
    client.answers.clear()
    for payload in (b"one", b"two", b"three"):
        relay.sendto(payload, PEER)
    await settled()
    assert (client.sent, client.binds) == ([], [(CHANNEL, PEER)])
    client.answers.set()
    await settled()
    assert client.sent == [channel_data(payload) for payload in (b"one", b"two", b"three")]


async def test_a_binding_that_takes_long_keeps_the_newest_alone(relay, client):
    client.answers.clear()
    for number in range(3 * MAX_WAITING):
        relay.sendto(b"%d" % number, PEER)
    await settled()
    client.answers.set()
    await settled()
    assert client.sent == [channel_data(b"%d" % number) for number in range(2 * MAX_WAITING, 3 * MAX_WAITING)]


async def test_a_refused_binding_is_tried_again_with_its_number(relay, client):
    client.fault = ConnectionError("refused")
    relay.sendto(b"lost", PEER)
    await settled()
    client.fault = None
    relay.sendto(b"sent", PEER)
    await settled()
    assert client.binds == [(CHANNEL, PEER), (CHANNEL, PEER)]
    assert client.sent == [channel_data(b"sent")]


async def test_a_datagram_costs_no_task(bound, client):
    before = asyncio.all_tasks()
    for _ in range(100):
        bound.sendto(b"rtcp", PEER)
        bound.route(PEER)([b"video"])
    assert asyncio.all_tasks() == before
    assert client.sent == [channel_data(b"rtcp"), channel_data(b"video")] * 100


async def test_a_server_that_takes_nothing_is_sent_nothing(bound, client):
    client.unsent_bytes = MAX_UNSENT_BYTES + 1
    assert bound.is_stalled
    bound.sendto(b"rtcp", PEER)
    assert client.sent == []
    client.unsent_bytes = 0
    bound.sendto(b"rtcp", PEER)
    assert client.sent == [channel_data(b"rtcp")]


async def test_a_server_that_is_gone_counts_as_stalled(bound, client):
    client.abort()
    assert bound.is_stalled
    bound.sendto(b"rtcp", PEER)
    assert client.sent == []


@pytest.mark.parametrize("step_s", [-3600, 0, 3600], ids=["back", "none", "forward"])
async def test_a_step_of_the_clock_lets_no_permission_expire_and_causes_no_burst(
    bound, client, clocks, step_s
):
    await send(bound, clocks, 10)
    clocks.unix_s += step_s
    before = len(client.binds)
    await send(bound, clocks, 2 * PERMISSION_S)
    assert 2 <= len(client.binds) - before <= 3


async def test_a_refused_refresh_is_tried_again_but_not_with_each_packet(bound, client, clocks):
    clocks.mono_s += PERMISSION_S
    client.fault = ConnectionError("refused")
    before = len(client.binds)
    await send(bound, clocks, 30)
    assert 3 <= len(client.binds) - before <= 7


async def test_the_end_waits_for_no_silent_server(bound, client, monkeypatch):
    monkeypatch.setattr(relay_module, "DELETE_TIMEOUT_S", 0.0)
    client.answers.clear()
    await bound.delete()
    assert client.is_gone


class Server(TcpClient):
    """A TURN server that refuses as told; notes which family each request names."""

    def __init__(self, *codes):
        super().__init__(("turn.test", 3478), None, None, 600, 600)
        self._codes = list(codes)
        self.families = []

    async def request_with_retry(self, request):
        relay_module._name_family(self.family, request)
        self.families.append(request.attributes.get("REQUESTED-ADDRESS-FAMILY"))
        response = stun.Message(stun.Method.ALLOCATE, stun.Class.ERROR)
        if self._codes:
            response.attributes["ERROR-CODE"] = (self._codes.pop(0), "refused")
            raise stun.TransactionFailed(response)
        response.attributes["LIFETIME"] = 600
        response.attributes["XOR-MAPPED-ADDRESS"] = ("2001:db8::1", 1)
        response.attributes["XOR-RELAYED-ADDRESS"] = ("2001:db8::2", 2)
        return response, ("turn.test", 3478)


async def test_a_server_that_relays_ipv6_alone_is_asked_for_that():
    server = Server(440)
    await _allocate(server)
    server.refresh_task.cancel()
    assert server.families == [None, 0x02000000]
    request = stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)
    request.attributes["REQUESTED-ADDRESS-FAMILY"] = 0x02000000
    assert bytes(request)[20:] == bytes.fromhex("0017000402000000")  # RFC 8656 section 18.6


async def test_another_refusal_is_the_end():
    server = Server(486)
    with pytest.raises(stun.TransactionFailed):
        await _allocate(server)
    assert server.families == [None]
