"""A device's end of signaling behind a real Mosquitto, with a hostile neighbour on its topics."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from parts.mosquitto import mosquitto
from parts.trust import BOOT, DEVICE, key_set, make_offer, seal, unseal

from agent.model.signal import MAX_MESSAGE_BYTES, Answer, Bye, Candidate, State
from agent.model.topics import Topic, device_filters, encode_topic, parse_topic, portal_filters
from agent.mqtt.broker import Broker
from agent.signaling.messages import encode, parse_from_device, parse_state
from agent.signaling.service import SignalingService

WAIT_S = 60.0


@pytest.fixture(scope="module")
def shared():
    with mosquitto() as broker:
        yield broker


class Device:
    """A device that answers every offer at once."""

    def __init__(self, settings, name):
        self.heard = []
        self.service = SignalingService(
            "pinhole", name, self._publish, self, key=DEVICE, portal_keys=key_set(), boot_id=BOOT
        )
        self.state = State(BOOT, online=True, since=time.time(), name=name)
        self.broker = Broker(
            settings,
            client_id=name,
            password=None,
            subscriptions=device_filters("pinhole", name),
            on_message=lambda *message: self.service.on_message(*message, time.time(), time.monotonic()),
            on_connection=self._on_connection,
            will=self.service.will(self.state),
        )

    def _publish(self, *args, **kwargs):
        return self.broker.publish(*args, **kwargs)

    def _on_connection(self, connected, _words):
        if connected:
            self.service.publish_state(self.state)
            self.service.republish_state()

    def on_offer(self, session, offer):
        self.heard.append(("offer", session))
        self.service.send_answer(session, offer.nonce, f"answer to {offer.sdp}")

    def on_portal_keys(self, keys):
        self.heard.append(("keys", keys.version))

    def on_candidate(self, session, candidate):
        self.heard.append(("candidate", session, candidate))

    def on_bye(self, session, _reason):
        self.heard.append(("bye", session))


class Portal:
    """The other end, which can also write what no portal would."""

    def __init__(self, settings, device):
        self.device = device
        self.out = []
        self.states = []
        self._changed = asyncio.Event()
        self.broker = Broker(
            settings,
            client_id=f"portal-{device}",
            password=None,
            subscriptions=portal_filters("pinhole"),
            on_message=self._on_message,
            on_connection=lambda *_: self._changed.set(),
        )

    def _on_message(self, topic, payload):
        parts = parse_topic("pinhole", topic)
        if parts.device == self.device and parts.channel == "out":
            self.out.append((parts.name, parse_from_device(unseal(topic, payload))))
        elif parts.device == self.device and parts.channel == "state":
            self.states.append(parse_state(unseal(topic, payload)))
        self._changed.set()

    def send(self, session, message):
        topic = encode_topic("pinhole", Topic(self.device, "in", session))
        assert self.broker.publish(topic, seal(topic, message))

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def answered(self, session):
        await self.until(lambda: any(name == session for name, _ in self.out))
        return [message for name, message in self.out if name == session]


@asynccontextmanager
async def pair(broker, name, version="5"):
    settings = broker.settings(version=version)
    device, portal = Device(settings, name), Portal(settings, name)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(end.broker.run()) for end in (device, portal)]
        try:
            await portal.until(lambda: portal.broker.connected and portal.states)
            yield device, portal
        finally:
            for task in tasks:
                task.cancel()


def offer(seq=0, ago_s=0.0):
    return make_offer(seq, now=time.time() - ago_s)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_session_from_offer_to_bye(shared, version):
    async with pair(shared, f"whole-{version.replace('.', '-')}", version) as (device, portal):
        assert portal.states[-1] == device.state
        first = offer()
        portal.send("s1", first)
        portal.send("s1", Candidate(1, "candidate:1"))
        portal.send("s1", Bye(2))
        assert (await portal.answered("s1"))[0] == Answer(0, first.nonce, "answer to v=0")
        portal.send("s2", offer())
        await portal.answered("s2")
        assert device.heard == [
            ("offer", "s1"),
            ("candidate", "s1", "candidate:1"),
            ("bye", "s1"),
            ("offer", "s2"),
        ]
        assert [type(said) for said in await portal.answered("s1")] == [Answer, Bye]
        assert not device.service.refused


async def test_hostile_payloads_change_nothing_and_are_counted(shared):
    payloads = {
        "too-large": b"x" * (MAX_MESSAGE_BYTES + 1),
        "malformed": bytes(range(256)) * 16,
        "unknown-version": b'{"v":2,"type":"offer"}',
        "unknown-type": encode(Answer(0, "n" * 22, "v=0")),
        "invalid": b'{"v":1,"type":"offer","seq":0,"expires_at":1e99,"user":"","sdp":"x"}',
        "expired": encode(offer(1, ago_s=90)),
    }
    async with pair(shared, "target") as (device, portal):
        playing = offer()
        portal.send("playing", playing)
        await portal.answered("playing")
        for code, payload in payloads.items():
            portal.send("playing", payload)
            portal.send(f"new-{code}", payload)
        portal.send("none", Candidate(0, "candidate:1"))
        portal.send("last", offer())
        await portal.answered("last")
        assert device.heard == [("offer", "playing"), ("offer", "last")]
        assert device.service.refused == dict.fromkeys(payloads, 2) | {"unknown-session": 1}
        assert await portal.answered("playing") == [Answer(0, playing.nonce, "answer to v=0")]
        assert not any(name == "new-too-large" for name, _ in portal.out), (
            "what is not proven is not answered"
        )
        for code in payloads.keys() - {"too-large"}:
            [reject] = await portal.answered(f"new-{code}")
            assert reject.code == code


async def test_a_copy_of_an_offer_starts_nothing(shared):
    async with pair(shared, "copied") as (device, portal):
        first = offer()
        portal.send("s1", first)
        portal.send("s1", first)
        portal.send("s2", offer())
        await portal.answered("s2")
        assert await portal.answered("s1") == [Answer(0, first.nonce, "answer to v=0")]
        assert device.service.refused == {"duplicate": 1}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_an_offer_that_waited_too_long_at_the_broker_is_not_answered(shared, version):
    """The broker replays what came while the device was away; by then the viewer has given up."""
    name = f"sleeper-{version.replace('.', '-')}"
    settings = shared.settings(version=version)
    async with pair(shared, name, version) as (first, portal):
        assert first.broker.connected
    async with asyncio.TaskGroup() as group:
        portal = Portal(settings, name)
        tasks = [group.create_task(portal.broker.run())]
        await portal.until(lambda: portal.broker.connected)
        portal.send("stale", offer(ago_s=40))
        portal.send("fresh", offer())
        again = Device(settings, name)
        tasks.append(group.create_task(again.broker.run()))
        assert [type(message) for message in await portal.answered("fresh")] == [Answer]
        assert [message.code for message in await portal.answered("stale")] == ["expired"]
        assert again.heard == [("offer", "fresh")]
        for task in tasks:
            task.cancel()
