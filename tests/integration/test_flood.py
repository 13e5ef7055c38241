"""Floods of what anybody may send, bounded in number and time: memory stays flat, who watches watches on."""

import asyncio
import contextlib
import json
import socket
import struct

import aiohttp
import aiomqtt
import psutil
import pytest
from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER, portal
from parts.stack import running_stack

from agent.model.signal import MAX_MESSAGE_BYTES, State
from agent.model.signal import Candidate as CandidateMessage
from agent.model.topics import Topic, encode_topic
from agent.portal.limits import MAX_CLIENTS_PER_OWNER
from agent.rtc.ice import MAX_WAITING_DATAGRAMS, IceConnection
from agent.rtc.sockets import adopt, open_socket
from agent.signaling.messages import encode
from agent.signaling.trust import MAX_SEALED_BYTES

MIB = 2**20
MESSAGES = 20_000
LARGE_MESSAGES = 400
DATAGRAMS = 20_000
MAX_GROWTH_MIB = 12
FLOOD_TIMEOUT_S = 90


@pytest.fixture(scope="module")
def stack():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as running:
        yield broker, running


def hostile(number):
    """Topic and payload of one message of a flood on the device's topics."""
    session = f"s{number}" if number % 3 else "playing"
    kinds = (
        bytes(range(256)),
        b'{"v":1,"type":"offer","seq":%d,"expires_at":1e9,"user":"eve","sdp":"v=0"}' % number,
        b'{"v":1,"type":"candidate","seq":%d,"candidate":"candidate:1"}' % number,
        b'{"v":1,"type":"bye","seq":%d}' % number,
        b"{" * 500,
        b"",
    )
    return encode_topic("pinhole", Topic("cam", "in", session)), kinds[number % len(kinds)]


def large(count):
    """Messages around the largest size that is read."""
    topic = encode_topic("pinhole", Topic("cam", "in", "large"))
    for number in range(count):
        yield topic, b'{"v":1,"type":"offer","sdp":"' + b"x" * (MAX_SEALED_BYTES - 200 + number)


async def flood(broker, messages):
    """Publish all of it as fast as the broker takes it."""
    settings = broker.settings()
    port = int(settings.url.rpartition(":")[2])
    async with asyncio.timeout(FLOOD_TIMEOUT_S), aiomqtt.Client("127.0.0.1", port) as attacker:
        attacker.pending_calls_threshold = 10**6
        for number, (topic, payload) in enumerate(messages):
            await attacker.publish(topic, payload, qos=1 if number % 100 == 0 else 0)


def resident_mib(process):
    return psutil.Process(process.pid).memory_info().rss / MIB


async def watched(stack, seconds):
    """What a viewer sees in so many seconds."""
    code, seen, said = await asyncio.to_thread(stack.watch, "--seconds", str(seconds))
    assert code == 0, said
    return seen


async def test_a_flood_on_a_devices_topics_costs_it_nothing_that_stays(stack):
    broker, running = stack
    await watched(running, 1)
    await flood(broker, (hostile(number) for number in range(MESSAGES // 4)))
    await flood(broker, large(LARGE_MESSAGES // 4))  # caches and pools are full now
    await asyncio.sleep(1)
    before = resident_mib(running.agent)
    calm = await watched(running, 5)
    viewer = asyncio.create_task(watched(running, 15))
    await asyncio.sleep(2)
    await flood(broker, (hostile(number) for number in range(MESSAGES)))
    await flood(broker, large(LARGE_MESSAGES))
    seen = await viewer
    await watched(running, 1)  # and a new one is let in at once
    after = resident_mib(running.agent)
    print(f"agent {before:.1f} to {after:.1f} MiB; {calm['fps']} fps in calm, {seen['fps']} in the flood")
    assert after - before < MAX_GROWTH_MIB
    assert seen["frames"] > 0.5 * 15 * calm["fps"], "the viewer watched on"
    log = running.log("agent")
    assert "message refused" in log
    assert log.count("message refused") < 500, "the log is no place to write to at will"
    assert "Traceback" not in log


async def test_a_flood_of_a_hostile_device_costs_the_portal_nothing_that_stays(stack):
    broker, running = stack
    await watched(running, 1)

    def messages(count, first=0):
        for number in range(first, first + count):
            words = {"name": "x" * 500, "problem": "y" * 500}
            state = State(f"b{number}", online=bool(number % 2), since=1.0, **words)
            yield encode_topic("pinhole", Topic(f"d{number % 50}", "state")), encode(state)
            yield (
                encode_topic("pinhole", Topic("cam", "out", f"{number:032x}")),
                encode(CandidateMessage(number, "")),
            )
            yield encode_topic("pinhole", Topic("cam", "out", f"{number:032x}")), b"\xff" * 100
            yield f"pinhole/v1/d{number % 50}/health", b"[" * 5000

    await flood(broker, messages(MESSAGES // 16))
    await asyncio.sleep(1)
    before = resident_mib(running.portal)
    await flood(broker, messages(MESSAGES // 4, first=MESSAGES))
    await watched(running, 1)
    after = resident_mib(running.portal)
    print(f"portal {before:.1f} to {after:.1f} MiB")
    assert after - before < MAX_GROWTH_MIB
    log = running.log("portal")
    assert 0 < log.count(" refused (") < 500, "told, but the log is no place to write to at will"
    assert "Traceback" not in log


class Beat:
    """How often the event loop came round, against how often it was asked to."""

    def __init__(self):
        self.count = 0

    async def run(self):
        while True:
            await asyncio.sleep(0.01)
            self.count += 1


async def test_a_flood_of_datagrams_at_an_ice_socket_is_dropped():
    connection = IceConnection(
        (), relay_only=False, on_candidate=lambda _: None, on_server_error=lambda *_: None
    )
    connection.remote_username, connection.remote_password = "view", "v" * 22
    protocol = adopt(await open_socket("127.0.0.1"), connection)
    connection._protocols.append(protocol)
    target = protocol.transport.get_extra_info("sockname")
    check = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"t" * 12)
    shapes = (b"\x80\xc8" + bytes(1200), check, b"\x16\xfe\xfd" + bytes(500), b"", bytes(64 * 1024 - 100))
    process, beat = psutil.Process(), Beat()
    beating = asyncio.create_task(beat.run())
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.settimeout(5)

            def send(count):
                for number in range(count):
                    attacker.sendto(shapes[number % len(shapes)], target)

            await asyncio.to_thread(send, DATAGRAMS // 4)
            before = process.memory_info().rss
            began = beat.count
            await asyncio.to_thread(send, DATAGRAMS)
            await asyncio.sleep(0.1)
        assert beat.count > began, "the event loop came round"
        assert connection._queue.qsize() <= MAX_WAITING_DATAGRAMS
        assert not connection._remote_candidates
        assert (process.memory_info().rss - before) / MIB < MAX_GROWTH_MIB
    finally:
        beating.cancel()
        await connection.close()


async def test_a_browser_that_floods_is_closed_and_the_others_are_not():
    async with portal() as part, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        calm, loud = [await http.ws_connect(f"{part.url}/api/ws") for _ in range(2)]
        for _ in range(5_000):
            if loud.closed:
                break
            try:
                await loud.send_str('{"type":"ping"}')
            except (ConnectionError, aiohttp.ClientError):
                break
            await asyncio.sleep(0)
        closed = await closing(loud)
        assert closed.data == 1008
        await calm.receive()
        await calm.send_str('{"type":"ping"}')
        assert json.loads((await calm.receive()).data) == {"type": "pong"}


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 20 * MIB])
async def test_a_message_that_is_too_large_ends_its_websocket_before_it_is_kept(size):
    async with portal() as part, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        socket_ = await http.ws_connect(f"{part.url}/api/ws")
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await socket_.send_str("x" * size)
        closed = await closing(socket_)
        assert closed.data in (1009, None, 1006)


async def test_there_are_so_many_websockets_and_no_more():
    async with (
        portal() as part,
        aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0)
        ) as http,
    ):
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        opened = [await http.ws_connect(f"{part.url}/api/ws") for _ in range(MAX_CLIENTS_PER_OWNER)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{part.url}/api/ws")
        assert refused.value.status == 503
        await opened.pop().close()
        async with asyncio.timeout(60):
            while True:
                try:
                    opened.append(await http.ws_connect(f"{part.url}/api/ws"))
                    break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.05)


async def closing(socket_):
    """The frame that ends a WebSocket."""
    async with asyncio.timeout(60):
        while True:
            frame = await socket_.receive()
            if frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return frame
