"""The broker client against a real Mosquitto: every transport, every way to be refused, and outages."""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager

import pytest
import trustme
from parts.mosquitto import PASSWORD, Mosquitto, mosquitto

from agent.config import BrokerSettings
from agent.errors import BrokerError
from agent.model.publication import Publication
from agent.mqtt.broker import MAX_INFLIGHT, MAX_PACKET_BYTES, URGENT_S, Broker
from agent.mqtt.outbox import MAX_QUEUED

WAIT_S = 60.0
BACK_WITHIN_S = 5.0
"""What the product promises after the broker's return."""


@pytest.fixture(scope="module")
def shared():
    with mosquitto() as broker:
        yield broker


@pytest.fixture
def own():
    with mosquitto() as broker:
        yield broker


class Client:
    """A running Broker and what it heard."""

    def __init__(self, settings, client_id, *, password=None, topics=(), will=None, unkept=(), optional=()):
        self.messages = []
        self.retained = []
        self.connections = []
        self._changed = asyncio.Event()
        self.broker = Broker(
            settings,
            client_id=client_id,
            password=password,
            subscriptions=tuple(topics),
            on_message=self._on_message,
            on_connection=self._on_connection,
            on_retained=self.retained.append,
            unkept=unkept,
            optional=optional,
            will=will,
        )

    def _on_message(self, topic, payload):
        self.messages.append((topic, payload))
        self._changed.set()

    def _on_connection(self, connected, words):
        self.connections.append((connected, words))
        self._changed.set()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def heard(self, *payloads):
        await self.until(lambda: set(payloads) <= {payload for _, payload in self.messages})

    async def refused(self):
        await self.until(lambda: self.connections)
        connected, words = self.connections[0]
        assert not connected
        return words


@asynccontextmanager
async def running(settings, client_id, *, wait=True, **options):
    client = Client(settings, client_id, **options)
    task = asyncio.create_task(client.broker.run())
    try:
        if wait:
            await client.until(lambda: client.broker.connected)
        yield client
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            raise task.exception()


def tasks_left():
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("transport", ["mqtt", "mqtts", "client-cert", "password", "ws", "wss"])
async def test_a_message_goes_round(shared: Mosquitto, transport, version):
    settings = shared.settings(transport, version=version)
    password = PASSWORD if transport == "password" else None
    payload = b"x" * 60_000
    async with running(settings, f"round-{transport}-{version}", password=password, topics=["r/+"]) as client:
        for i in range(3 * MAX_INFLIGHT):
            assert client.broker.publish("r/1", b"%d" % i, expiry_s=30)
        assert client.broker.publish("r/2", payload)
        await client.heard(payload)
        numbers = [int(message) for topic, message in client.messages if topic == "r/1"]
    assert numbers == list(range(3 * MAX_INFLIGHT))
    await asyncio.sleep(0)
    assert not tasks_left()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_retained_state_meets_a_later_client(shared: Mosquitto, version):
    settings = shared.settings(version=version)
    topic = f"state/{version}"
    async with running(settings, f"writer-{version}") as writer:
        writer.broker.publish(topic, b"online", retain=True)
    async with running(settings, f"reader-{version}", topics=[topic]) as reader:
        await reader.heard(b"online")


async def test_what_should_not_be_kept_comes_once_for_each_start(shared: Mosquitto):
    """Thousands of such messages with each connection would keep Mosquitto from confirming anything."""
    async with running(shared.settings(), "litterer") as litterer:
        for topic in ("once/state", "once/litter"):
            litterer.broker.publish(topic, b"x", retain=True)
    topics = {"topics": ["once/state", "once/litter", "once/fence"], "unkept": ["once/litter"]}
    for _ in range(2):  # the broker has a session of the first one's when the second starts
        async with (
            cuttable(shared.settings()) as (through, cut),
            running(through, "once", **topics) as client,
        ):
            await client.until(lambda: client.retained == ["once/state", "once/litter"])
            cut()
            await client.until(lambda: [up for up, _ in client.connections] == [True, False, True])
            client.broker.publish("once/fence", b"fence")
            await client.heard(b"fence")
            assert client.retained == ["once/state", "once/litter", "once/state"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_the_will_speaks_when_the_connection_is_cut(shared: Mosquitto, version, monkeypatch):
    monkeypatch.setattr("agent.mqtt.broker.WILL_DELAY_S", 1)
    settings = shared.settings(version=version)
    topic = f"will/{version}"
    will = Publication(topic, b"offline", retain=True)
    async with running(shared.settings(), f"watcher-{version}", topics=[topic]) as watcher:
        async with (
            cuttable(settings) as (through, cut),
            running(through, f"mortal-{version}", will=will) as mortal,
        ):
            mortal.broker.publish(topic, b"online", retain=True)
            await watcher.heard(b"online")
            cut(for_good=True)
            await watcher.heard(b"offline")
        assert [payload for _, payload in watcher.messages] == [b"online", b"offline"]
    async with running(shared.settings(), f"later-{version}", topics=[topic]) as later:
        await later.heard(b"offline")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_clean_end_sends_what_waits_and_no_will(shared: Mosquitto, version, monkeypatch):
    monkeypatch.setattr("agent.mqtt.broker.WILL_DELAY_S", 0)
    settings = shared.settings(version=version)
    topic = f"bye/{version}"
    async with running(shared.settings(), f"witness-{version}", topics=[f"{topic}/#"]) as witness:
        async with running(settings, f"leaver-{version}", will=Publication(topic, b"will")) as leaver:
            for i in range(100):
                leaver.broker.publish(f"{topic}/n", b"%d" % i)
            leaver.broker.publish(topic, b"offline", retain=True)
        await witness.heard(b"offline", b"99")
        witness.broker.publish(topic, b"fence")
        await witness.heard(b"fence")
        assert b"will" not in [payload for _, payload in witness.messages]


async def test_a_short_loss_of_the_link_is_not_news(shared: Mosquitto):
    """MQTT 5's will delay: a client that is back at once leaves no obituary."""
    will = Publication("blip/state", b"offline", retain=True)
    async with running(shared.settings(), "blip-watcher", topics=["blip/#"]) as watcher:
        async with (
            cuttable(shared.settings()) as (through, cut),
            running(through, "blip", will=will) as client,
        ):
            cut()
            await client.until(lambda: [up for up, _ in client.connections] == [True, False, True])
            client.broker.publish("blip/fence", b"fence")
            await watcher.heard(b"fence")
        assert [payload for _, payload in watcher.messages] == [b"fence"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_came_while_we_were_cut_off_is_delivered(shared: Mosquitto, version):
    topic = f"away/{version}"
    async with (
        cuttable(shared.settings(version=version)) as (through, cut),
        running(through, f"away-{version}", topics=[topic]) as client,
        running(shared.settings(), f"sender-{version}") as sender,
    ):
        cut()
        sender.broker.publish(topic, b"meanwhile")
        client.broker.publish(topic, b"mine")
        await client.heard(b"meanwhile", b"mine")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("transport", ["mqtt", "wss"])
async def test_after_kill_9_of_the_broker_both_are_back_within_5_s(own: Mosquitto, transport, version):
    settings = own.settings(transport, version=version)
    async with running(settings, "survivor", topics=["k/+"]) as client:
        own.kill()
        await client.until(lambda: not client.broker.connected)
        client.broker.publish("k/1", b"while away")
        await asyncio.sleep(3)
        await asyncio.to_thread(own.start)
        async with asyncio.timeout(BACK_WITHIN_S):
            await client.heard(b"while away")
            client.broker.publish("k/2", b"and now")
            await client.heard(b"and now")
    assert [connected for connected, _ in client.connections] == [True, False, True] or [
        connected for connected, _ in client.connections
    ] == [True, False, False, True]  # "lost", then "refused", where it tried while the broker was gone


async def test_an_outage_is_logged_once(own: Mosquitto, caplog):
    async with running(own.settings(), "quiet") as client:
        own.kill()
        await client.until(lambda: any("refused" in words for _, words in client.connections))
        await asyncio.sleep(3)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 2  # the connection was lost; connection refused


async def test_a_full_queue_drops_and_says_so(own: Mosquitto):
    own.kill()
    async with running(own.settings(), "hoarder", wait=False, topics=["q"]) as client:
        kept = [client.broker.publish("q", b"%d" % i) for i in range(MAX_QUEUED + 10)]
        assert kept == [True] * MAX_QUEUED + [False] * 10
        assert client.broker.dropped == 10
        await asyncio.to_thread(own.start)
        await client.heard(b"%d" % (MAX_QUEUED + 9))
        assert [int(payload) for _, payload in client.messages] == list(range(10, MAX_QUEUED + 10))


async def test_an_expired_message_is_not_sent_after_an_outage(own: Mosquitto):
    own.kill()
    async with running(own.settings(), "late", wait=False, topics=["e"]) as client:
        client.broker.publish("e", b"stale", expiry_s=0.01)
        await asyncio.sleep(0.05)
        client.broker.publish("e", b"fresh", expiry_s=30)
        await asyncio.to_thread(own.start)
        await client.heard(b"fresh")
    assert [payload for _, payload in client.messages] == [b"fresh"]


async def test_a_burst_larger_than_any_queue_is_read_in_full(shared: Mosquitto):
    """A portal that starts gets the retained state of every device at once."""
    async with running(shared.settings(), "fleet", topics=["fence"]) as fleet:
        for start in range(0, 1000, 200):
            for i in range(start, start + 200):
                fleet.broker.publish(f"fleet/{i}", b"online", retain=True)
            fleet.broker.publish("fence", b"%d" % start)
            await fleet.heard(b"%d" % start)
        assert fleet.broker.dropped == 0
    async with running(shared.settings(), "portal", topics=["fleet/+"]) as portal:
        await portal.until(lambda: len(portal.messages) >= 1000)
    assert len({topic for topic, _ in portal.messages}) == 1000


async def test_a_giant_message_never_reaches_us(shared: Mosquitto):
    async with (
        running(shared.settings(), "small", topics=["giant"]) as client,
        running(shared.settings(), "giant") as giant,
    ):
        giant.broker.publish("giant", b"x" * (4 * MAX_PACKET_BYTES))
        giant.broker.publish("giant", b"fence")
        await client.heard(b"fence")
    assert [payload for _, payload in client.messages] == [b"fence"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("password", ["wrong", None])
async def test_a_wrong_password_says_so(shared: Mosquitto, version, password):
    settings = shared.settings("password", version=version)
    async with running(settings, "stranger", wait=False, password=password) as client:
        words = await client.refused()
    assert "broker.username" in words
    assert "authorised" in words or "wrong user name or password" in words


@pytest.mark.parametrize("transport", ["mqtts", "wss"])
async def test_a_ca_we_do_not_trust_says_so(shared: Mosquitto, tmp_path, transport):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    settings = shared.settings(transport, ca_file=tmp_path / "other.pem")
    async with running(settings, "distrust", wait=False) as client:
        words = await client.refused()
    assert "not trusted" in words
    assert "broker.ca_file" in words


async def test_a_host_the_certificate_does_not_name_says_so(shared: Mosquitto):
    settings = shared.settings("mqtts", url=f"mqtts://localhost:{shared.ports['mqtts']}")
    async with running(settings, "misled", wait=False) as client:
        words = await client.refused()
    assert "localhost" in words
    assert "check broker.ca_file and the host" in words


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("certificate", ["none", "of another CA"])
async def test_a_refused_client_certificate_says_so(shared: Mosquitto, tmp_path, version, certificate):
    files = {"cert_file": None, "key_file": None}
    if certificate != "none":
        stranger = trustme.CA().issue_cert("stranger.example.org")
        stranger.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        stranger.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        files = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    settings = shared.settings("client-cert", version=version, **files)
    async with running(settings, "uncertified", wait=False) as client:
        words = await client.refused()
    assert "broker.cert_file" in words


@pytest.mark.parametrize(
    ("scheme", "port", "words"),
    [("mqtts", "mqtt", "TLS"), ("mqtt", "mqtts", "TLS"), ("ws", "mqtt", "websockets"), ("wss", "ws", "TLS")],
)
async def test_the_wrong_port_says_so(shared: Mosquitto, scheme, port, words):
    settings = shared.settings("mqtts", url=f"{scheme}://127.0.0.1:{shared.ports[port]}")
    async with running(settings, "lost", wait=False) as client:
        assert words in await client.refused()


async def test_nobody_there_says_so(own: Mosquitto):
    own.kill()
    async with running(own.settings(), "alone", wait=False) as client:
        assert "connection refused" in await client.refused()


async def test_an_unknown_host_says_so():
    async with running(BrokerSettings(url="mqtt://broker.invalid"), "nowhere", wait=False) as client:
        assert "unknown host" in await client.refused()


async def test_a_second_client_with_the_same_id_is_named(shared: Mosquitto):
    async with running(shared.settings(), "twin") as first, running(shared.settings(), "twin"):
        await first.until(lambda: any("another client" in words for _, words in first.connections))
    assert "the id twin" in next(words for _, words in first.connections if "another client" in words)


async def test_a_broker_that_restarts_is_not_taken_for_a_twin(own: Mosquitto, caplog):
    async with running(own.settings(), "restarted") as client:
        for _ in range(2):
            own.kill()
            await client.until(lambda: not client.broker.connected)
            await asyncio.to_thread(own.start)
            await client.until(lambda: client.broker.connected)
    assert not any("another client" in record.getMessage() for record in caplog.records)


async def test_a_topic_we_may_not_write_is_warned_of_once(shared: Mosquitto, caplog):
    async with running(shared.settings("rules"), "ruled", topics=["pinhole/+"]) as client:
        for _ in range(3):
            client.broker.publish("forbidden/x", b"no")
        client.broker.publish("pinhole/x", b"yes")
        await client.heard(b"yes")
    assert sum("access rules" in record.getMessage() for record in caplog.records) == 1


async def test_a_subscription_that_is_refused_says_so():
    """Mosquitto grants every subscription and filters later; other brokers refuse (SUBACK 0x80)."""

    async def refuse(reader, writer):
        await reader.readuntil(b"unwelcome")  # CONNECT ends with the client id
        writer.write(bytes([0x20, 2, 0, 0]))
        subscribe = await reader.readuntil(b"secret\x01")
        writer.write(bytes([0x90, 3, *subscribe[2:4], 0x80]))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = BrokerSettings(url=url, version="3.1.1")
        async with running(settings, "unwelcome", wait=False, topics=["secret"]) as client:
            words = await client.refused()
        assert "refuses the subscription to secret" in words
        async with running(settings, "unwelcome", topics=["secret"], optional=["secret"]) as client:
            assert client.connections[0][0], "without it"


@pytest.mark.parametrize("transport", ["mqtt", "mqtts", "wss"])
@pytest.mark.parametrize("end", ["timeout", "cancel"])
async def test_a_broker_that_says_nothing_is_left(shared: Mosquitto, transport, end):
    """TCP is accepted and nothing follows, as behind a proxy whose server is gone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = shared.settings(
            "mqtts", url=f"{transport}://127.0.0.1:{port}", connect_timeout_s=0.5 if end == "timeout" else 60
        )
        async with running(settings, "patient", wait=False) as client:
            if end == "timeout":
                assert "no answer in time" in await client.refused()
            else:
                held, _ = await asyncio.to_thread(silent.accept)
    async with asyncio.timeout(30):  # no thread is left in a handshake that lasts for ever
        await asyncio.get_running_loop().shutdown_default_executor()
    assert not tasks_left()
    if end == "cancel":
        held.close()


def test_an_unusable_certificate_file_ends_the_start(tmp_path):
    settings = BrokerSettings(url="mqtts://broker.example.org", ca_file=tmp_path / "none.pem")
    with pytest.raises(BrokerError, match=r"broker\.ca_file"):
        Client(settings, "early")


@asynccontextmanager
async def cuttable(settings):
    """A TCP relay in front of the broker, and a function that cuts its connections without a goodbye."""
    port = int(settings.url.rsplit(":", 1)[1])
    writers = set()

    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def relay(reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.update((writer, up_writer))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, up_writer))
                group.create_task(pump(up_reader, writer))
        except* OSError:
            pass
        finally:
            writer.close()
            up_writer.close()

    def cut(*, for_good=False):
        if for_good:
            server.close()
        for writer in writers:
            writer.transport.abort()
        writers.clear()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        through = server.sockets[0].getsockname()[1]
        yield settings.model_copy(update={"url": f"mqtt://127.0.0.1:{through}"}), cut
    finally:
        server.close()
        cut()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def muteable(settings):
    """A TCP relay in front of the broker, and a function that lets its connections stay open and silent."""
    port = int(settings.url.rsplit(":", 1)[1])
    mutes, tasks = [], set()

    async def pump(reader, writer, is_mute):
        while data := await reader.read(65536):
            if not is_mute.is_set():
                writer.write(data)

    async def relay(reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        is_mute = asyncio.Event()
        mutes.append(is_mute)
        for one in (pump(reader, up_writer, is_mute), pump(up_reader, writer, is_mute)):
            tasks.add(asyncio.create_task(one))

    def mute():
        for is_mute in mutes:
            is_mute.set()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        through = server.sockets[0].getsockname()[1]
        yield settings.model_copy(update={"url": f"mqtt://127.0.0.1:{through}"}), mute
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_half_open_connection_is_left_as_soon_as_something_urgent_stays_unconfirmed(
    shared: Mosquitto,
):
    async with (
        muteable(shared.settings()) as (settings, mute),
        running(shared.settings(), "urgent-listener", topics=["urgent"]) as listener,
        running(settings, "half-open") as client,
    ):
        mute()
        client.broker.publish("urgent", b"restart", is_urgent=True)
        async with asyncio.timeout(URGENT_S + BACK_WITHIN_S):
            await listener.heard(b"restart")


async def test_something_urgent_that_is_confirmed_leaves_the_connection_alone(shared: Mosquitto):
    """By the real pause: in a shorter one, a busy machine's confirmation would be missed."""
    async with running(shared.settings(), "calm", topics=["calm"]) as client:
        client.broker.publish("calm", b"restart", is_urgent=True)
        await client.heard(b"restart")
        await asyncio.sleep(URGENT_S + 0.1)
        assert client.broker.connected
        assert len(client.connections) == 1
