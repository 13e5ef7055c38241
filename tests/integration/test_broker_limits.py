"""Brokers that take less than ours usually does: their limits are kept, and what goes beyond is given up.

`tests/data/mosquitto` has the lines that make a broker odd.
"""

import asyncio
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from parts.mosquitto import PROGRAM, free_ports, wait_for_port
from parts.need import need
from parts.stack import running_stack

from agent.config import BrokerSettings
from agent.model.publication import Publication
from agent.mqtt.broker import Broker
from agent.mqtt.outbox import MAX_STRIKES

DATA = Path(__file__).resolve().parents[1] / "data" / "mosquitto"
WAIT_S = 30.0


@contextmanager
def odd_broker(folder, lines):
    need(PROGRAM, "needs mosquitto: sudo apt-get install mosquitto")
    port = free_ports("mqtt")["mqtt"]
    user = "user root\n" if os.geteuid() == 0 else ""
    (folder / "odd.conf").write_text(user + re.sub(r"(?m)^listener \d+", f"listener {port}", lines))
    with (folder / "odd.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-c", str(folder / "odd.conf"), "-v"], stdout=log, stderr=log)
    try:
        wait_for_port(port, process, (folder / "odd.log").read_text)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def await_health(url):
    """Until the portal has its broker back; it tries again within `WAIT_S` by itself."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=60) as answer:
                status = json.load(answer)["status"]
        except urllib.error.HTTPError as exc:
            status = json.load(exc)["status"]
        if status == "ok":
            return
        assert time.monotonic() < deadline_s, status
        time.sleep(0.1)


def lines_of(name):
    return (DATA / name).read_text()


def plain(extra):
    return f"listener 1883 127.0.0.1\nallow_anonymous true\n{extra}\n"


class Client:
    """A running Broker, what it heard, and what it gave up."""

    def __init__(self, url, version, client_id="odd", **options):
        self.messages, self.connections, self.refused = [], [], []
        self._changed = asyncio.Event()
        self.broker = Broker(
            BrokerSettings(url=url, version=version),
            client_id=client_id,
            password=None,
            subscriptions=("odd/#",),
            on_message=lambda *message: self._note(self.messages, message),
            on_connection=lambda *words: self._note(self.connections, words),
            on_refused=lambda *words: self._note(self.refused, words),
            **options,
        )

    def _note(self, where, what):
        where.append(what)
        self._changed.set()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def heard(self, *payloads):
        await self.until(lambda: set(payloads) <= {payload for _, payload in self.messages})


@asynccontextmanager
async def running(url, version, **options):
    client = Client(url, version, **options)
    task = asyncio.create_task(client.broker.run())
    try:
        await client.until(lambda: client.broker.connected)
        yield client
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            raise task.exception()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_message_over_the_limit_is_dropped_and_the_others_arrive(tmp_path, version):
    with odd_broker(tmp_path, lines_of("packet-2048.conf")) as url:
        async with running(url, version) as client:
            for i in range(5):
                client.broker.publish("odd/small", b"%d" % i)
            client.broker.publish("odd/large", b"x" * 5000)
            for i in range(5, 10):
                client.broker.publish("odd/small", b"%d" % i)
            await client.until(lambda: client.refused)
            await client.heard(*(b"%d" % i for i in range(10)))
            client.broker.publish("odd/small", b"later")
            await client.heard(b"later")
            [(topic, words)] = client.refused
            ends = [up for up, _ in client.connections].count(False)
    assert topic == "odd/large"
    if version == "5":
        assert ends == 0, "CONNACK had said it"
        assert "takes 2048 bytes" in words
    else:  # no words for it in that version: the broker hangs up, and we find out on what
        assert 1 <= ends <= MAX_STRIKES + 2
        assert f"hung up on it {MAX_STRIKES} times" in words


async def test_messages_that_a_broker_hangs_up_on_are_not_taken_for_a_twin(tmp_path):
    """Else each of them would keep us away from everybody for longer, up to ten minutes."""
    with odd_broker(tmp_path, lines_of("packet-2048.conf")) as url:
        async with running(url, "3.1.1") as client:
            for count in (1, 2, 3):
                client.broker.publish("odd/large", b"x" * 5000)
                await client.until(lambda count=count: len(client.refused) == count)
            client.broker.publish("odd/small", b"after them")
            await client.heard(b"after them")
    assert not [words for _, words in client.connections if "another client" in words]


async def test_a_message_exactly_at_the_limit_arrives(tmp_path):
    """The size is counted as the broker counts it: one byte more would cost the connection."""
    with odd_broker(tmp_path, lines_of("packet-2048.conf")) as url:
        async with running(url, "5") as client:
            overhead = 3 + 2 + len("odd/x") + 2 + 1 + 5
            client.broker.publish("odd/x", b"y" * (2048 - overhead), expiry_s=30)
            client.broker.publish("odd/x", b"z" * (2048 - overhead + 1), expiry_s=30)
            await client.until(lambda: client.messages and client.refused)
            assert client.broker.connected
            assert len(client.connections) == 1
    assert "this one has 2049" in client.refused[0][1]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_payload_that_the_broker_throws_away_stops_nothing(tmp_path, version):
    """`message_size_limit` is in no CONNACK: Mosquitto drops such a message, and says so to MQTT 5 alone."""
    with odd_broker(tmp_path, lines_of("message-size-2048.conf")) as url:
        async with running(url, version) as client:
            client.broker.publish("odd/large", b"x" * 5000)
            client.broker.publish("odd/small", b"after it")
            await client.heard(b"after it")
            if version == "5":
                await client.until(lambda: client.refused)
    assert {payload for _, payload in client.messages} == {b"after it"}


async def test_a_broker_without_retained_messages_is_served_and_named(tmp_path, caplog):
    will = Publication("odd/state", b"offline", retain=True)
    with odd_broker(tmp_path, lines_of("no-retain.conf")) as url:
        async with running(url, "5", will=will) as client:
            client.broker.publish("odd/state", b"online", retain=True)
            await client.heard(b"online")
    assert not client.refused
    said = [record.getMessage() for record in caplog.records]
    assert any("keeps no retained messages" in words and "retain_available" in words for words in said)


async def test_a_broker_without_quality_of_service_is_served_and_named(tmp_path, caplog):
    will = Publication("odd/state", b"offline", retain=True)
    with odd_broker(tmp_path, plain("max_qos 0")) as url:
        async with running(url, "5", will=will) as client:
            client.broker.publish("odd/state", b"online", retain=True)
            await client.heard(b"online")
    assert any("QoS 0 alone" in record.getMessage() for record in caplog.records)


async def test_no_more_is_under_way_than_the_broker_takes(tmp_path):
    with odd_broker(tmp_path, plain("max_inflight_messages 2\nmax_keepalive 10")) as url:
        async with running(url, "5") as client:
            for i in range(50):
                client.broker.publish("odd/n", b"%d" % i)
            await client.heard(*(b"%d" % i for i in range(50)))
            assert len(client.connections) == 1
            assert [int(payload) for _, payload in client.messages] == list(range(50))


async def test_the_brokers_own_keepalive_is_kept():
    """CONNACK's server keep alive of 1 s (MQTT 5 section 3.2.2.3.14) against ours of 30 s."""
    pinged = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"odd")  # CONNECT ends with the client id
        writer.write(bytes([0x20, 6, 0, 0, 3, 0x13, 0, 1]))
        subscribe = await reader.readuntil(b"odd/#\x01")
        writer.write(bytes([0x90, 4, *subscribe[2:4], 0, 1]))
        await reader.readuntil(b"\xc0\x00")  # PINGREQ
        pinged.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(url, "5"), asyncio.timeout(60):
            await pinged.wait()


@pytest.mark.parametrize("code", [0x8B, 0x8E], ids=["shutting-down", "taken-over"])
async def test_a_broker_that_ends_connections_for_its_own_reasons_gets_the_message_in_the_end(code):
    """DISCONNECT with a reason that is about no message (MQTT 5 section 3.14.2.1), always on the same one."""
    ends = 0

    async def serve(reader, writer):
        nonlocal ends
        await reader.readuntil(b"odd")  # CONNECT ends with the client id
        writer.write(bytes([0x20, 6, 0, 0, 3, 0x13, 0, 60]))
        subscribe = await reader.readuntil(b"odd/#\x01")
        writer.write(bytes([0x90, 4, *subscribe[2:4], 0, 1]))
        publish = await reader.readuntil(b"keep me")
        number = publish[publish.index(b"odd/n") + 5 :][:2]
        if ends < MAX_STRIKES:
            ends += 1
            writer.write(bytes([0xE0, 1, code]))
        else:
            writer.write(bytes([0x40, 2, *number]))
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(url, "5") as client:
            client.broker.publish("odd/n", b"keep me")
            async with asyncio.timeout(WAIT_S):
                while len(client.broker._outbox):
                    await asyncio.sleep(0.01)
            assert client.refused == []
            assert client.broker.dropped == 0
    assert ends == MAX_STRIKES


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_viewer_is_told_that_the_offer_is_too_large_and_the_portal_serves_on(tmp_path, version):
    """One viewer's offer once cut the portal off, for all cameras and for good."""
    with (
        odd_broker(tmp_path, lines_of("packet-2048.conf")) as url,
        running_stack(f'url = "{url}"\nversion = "{version}"') as stack,
    ):
        code, _, said = stack.watch("--seconds", "1", timeout_s=60)
        assert code != 0
        assert "MQTT broker" in said
        assert "(broker-refuses)" in said
        assert stack.log("portal").count("is dropped") == 1
        await_health(stack.url)  # 3.1.1 announces no size: the broker hung up before the offer was given up
        code, _, said = stack.watch("--seconds", "1", timeout_s=60)
        assert "(broker-refuses)" in said, "the portal has not lost its broker"
