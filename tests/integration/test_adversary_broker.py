"""What a camera's credential opens at a Mosquitto set up by us: its own topics, and nothing else."""

import itertools
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5
from parts.fleet_broker import fleet

from agent.model.ids import is_id

WAIT_S = 60.0
OWN_WRITE = ("state", "health", "event/camera-failed", "signal/s1/out")
OWN_READ = ("signal/s1/in",)
FENCE = b"fence "


@pytest.fixture(scope="module", params=["2.0", "2.1"])
def shared(request):
    with fleet(request.param) as one:
        for name in ("mine", "other"):
            one.enroll(name, one.claim())
        yield one


class Peer:
    """A client with somebody's certificate."""

    def __init__(self, one, name, client_id="x", *, will=None):
        self.heard, self._fences, self._confirmed, self.ends = [], set(), set(), []
        self._one, self._name = one, name
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        if name == "portal":
            folder, port = one.folder / "broker", one.portal_port
            self.client.tls_set(folder / "ca.pem", folder / "portal.pem", folder / "portal-key.pem")
        else:
            folder, port = one.state(name), one.port
            self.client.tls_set(folder / "broker-ca.pem", folder / "device.pem", folder / "device-key.pem")
        if will:
            self.client.will_set(will, b"gone", qos=1, retain=True)
        self.up = False
        self.client.on_connect = lambda *_: setattr(self, "up", True)
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = lambda _c, _u, number, *_: self._confirmed.add(number)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait(lambda: self.up)

    def _on_disconnect(self, *_):
        self.up = False
        self.ends.append("lost")

    def _on_message(self, _client, _data, message):
        if message.payload.startswith(FENCE):
            self._fences.add(message.payload)
        else:
            self.heard.append((message.topic, message.payload))

    def publish(self, topic, payload=b"x", retain=False):
        sent = self.client.publish(topic, payload, qos=1, retain=retain)
        sent.wait_for_publish(WAIT_S)

    def subscribe(self, topic):
        self.client.subscribe(topic, qos=1)

    def settle(self):
        """Until all that was said before has arrived: what the portal says now comes after it."""
        topic = f"pinhole/v1/{self._name}/signal/fence/{'out' if self._name == 'portal' else 'in'}"
        _, number = self.client.subscribe(topic, qos=1)
        wait(lambda: number in self._confirmed)
        portal, fence = Peer(self._one, "portal", "fence"), FENCE + b"%d" % time.monotonic_ns()
        portal.publish(topic, fence)
        wait(lambda: fence in self._fences)
        portal.close()

    def cut(self):
        """Vanish, so that the will is said."""
        self.client._sock.close()
        self.client.loop_stop()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def wait(condition):
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def every_topic(prefix="pinhole/v1"):
    """One of each kind: of this camera, of another, of all, and of nobody."""
    tails = ("state", "health", "event/camera-failed", "signal/s1/in", "signal/s1/out", "command/c1/in",
             "command/c1/out", "", "state/more", "signal", "signal/s1", "signal/s1/in/more")  # fmt: skip
    for device, tail in itertools.product(("mine", "other", "portal.pinhole", "keys"), tails):
        yield f"{prefix}/{device}/{tail}"
    yield from (
        "pinhole/v1/keys/k1", "pinhole/v2/mine/state", "pinhole/state", "pinhole", "mine/state", "/", "x",
        "$SYS/broker/uptime", "$CONTROL/dynamic-security/v1", "$share/g/pinhole/v1/other/state",
    )  # fmt: skip


def test_a_camera_writes_its_own_topics_and_nothing_else(shared):
    own = {f"pinhole/v1/mine/{tail}" for tail in OWN_WRITE}
    portal, camera = Peer(shared, "portal", "p1"), Peer(shared, "mine")
    for topic in ("+/state", "+/health", "+/event/+", "+/signal/+/out"):
        portal.subscribe(f"pinhole/v1/{topic}")
    reader = Peer(shared, "other")
    reader.subscribe("#")
    portal.settle()
    reader.settle()
    for topic in every_topic():
        if not topic.startswith("$share"):
            camera.publish(topic, topic.encode())
    portal.settle()
    reader.settle()
    said = {topic.encode() for topic in every_topic()}
    assert {topic for topic, payload in portal.heard if payload in said} == own
    assert [one for one in reader.heard if one[1] in said] == [], "another camera hears nothing of it"
    for one in (portal, camera, reader):
        one.close()


def test_a_camera_hears_its_own_offers_and_nothing_else(shared):
    portal, camera = Peer(shared, "portal", "p1"), Peer(shared, "mine")
    wild = ("#", "+/+/+/+", "pinhole/#", "pinhole/v1/+/signal/+/in", "$SYS/#", "$share/g/#")
    for topic in (*wild, *every_topic()):
        camera.subscribe(topic)
    camera.settle()
    for topic in ("mine/signal/s1/in", "other/signal/s1/in", "keys/k1", "other/state", "mine/command/c1/in"):
        portal.publish(f"pinhole/v1/{topic}", topic.encode())
    other = Peer(shared, "other")
    for tail in OWN_WRITE:
        other.publish(f"pinhole/v1/other/{tail}")
    camera.settle()
    allowed = {"pinhole/v1/mine/signal/s1/in", "pinhole/v1/keys/k1"}
    retained = {topic for topic, _ in camera.heard if topic.startswith("pinhole/v1/keys/")}
    assert {topic for topic, _ in camera.heard} - retained | {"pinhole/v1/keys/k1"} == allowed
    assert "pinhole/v1/keys/k1" in retained
    for one in (portal, camera, other):
        one.close()


def test_a_camera_leaves_nothing_behind_where_it_may_not_write(shared):
    """Retained messages and last wills go by the same rules."""
    camera = Peer(shared, "mine", will="pinhole/v1/other/state")
    camera.publish("pinhole/v1/other/state", b"retained", retain=True)
    camera.publish("pinhole/v1/keys/evil", b"retained", retain=True)
    camera.cut()
    portal = Peer(shared, "portal", "p2")
    portal.subscribe("pinhole/v1/+/state")
    other = Peer(shared, "other")
    other.subscribe("pinhole/v1/keys/+")
    portal.settle()
    other.settle()
    assert [one for one in portal.heard if "/other/" in one[0]] == []
    assert [one for one in other.heard if one[0].endswith("/evil")] == []
    portal.close()
    other.close()


def test_a_camera_pushes_no_other_camera_out(shared):
    other = Peer(shared, "other", "pinhole-other")
    for client_id in ("other", "pinhole-other", "p1"):
        Peer(shared, "mine", client_id).close()
    other.settle()
    assert other.ends == [], "a camera's client id is its certificate's name, whatever it says"
    other.close()


@pytest.mark.parametrize("credential", ["none", "a stranger's", "a camera's, where portals connect"])
def test_without_the_right_certificate_nobody_comes_in(shared, credential):
    folder, port = shared.state("mine"), shared.port
    context = ssl.create_default_context(cafile=folder / "broker-ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refusal is then told within the handshake
    if credential == "a stranger's":
        stranger = shared.folder / "broker"
        context.load_cert_chain(stranger / "portal.pem", stranger / "portal-key.pem")
    elif credential != "none":
        context.load_cert_chain(folder / "device.pem", folder / "device-key.pem")
        port = shared.portal_port
    refused = pytest.raises((ssl.SSLError, ConnectionError))
    with socket.create_connection(("127.0.0.1", port)) as plain, refused:
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_portal_that_comes_hears_of_every_camera(shared):
    """Mosquitto drops what a client's queue has no room for."""
    topics = [f"pinhole/v1/many-{number}/state" for number in range(1500)]
    portal = Peer(shared, "portal", "p1")

    def say(payload):
        for topic in topics:
            last = portal.client.publish(topic, payload, qos=1, retain=True)
        last.wait_for_publish(WAIT_S)

    say(b"x" * 1000)
    late = Peer(shared, "portal", "p2")
    late.subscribe("pinhole/v1/+/state")
    wait(lambda: set(topics) <= {topic for topic, _ in late.heard})
    say(b"")
    for one in (portal, late):
        one.close()


def test_mosquitto_has_nothing_to_say_about_its_configuration(shared):
    said = (shared.folder / "mosquitto.log").read_text()
    assert not re.findall(r".*(?:deprecated|recommended).*", said)


def test_nothing_is_said_in_the_clear(shared):
    for port in (shared.port, shared.portal_port):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.settimeout(WAIT_S)
            plain.sendall(bytes.fromhex("101000044d5154540402003c000474657374"))
            with suppress(ConnectionError):
                assert not plain.recv(64).startswith(b"\x20"), "no CONNACK"


def test_a_revoked_camera_is_put_out_and_stays_out(shared):
    shared.enroll("lost", shared.claim())
    lost, calm = Peer(shared, "lost"), Peer(shared, "other")
    shared.pinhole("portal", "device", "revoke", "lost", "-c", shared.config)
    wait(lambda: not lost.up)
    lost.client.loop_stop()
    folder = shared.state("lost")
    context = ssl.create_default_context(cafile=folder / "broker-ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "device.pem", folder / "device-key.pem")
    refused = pytest.raises((ssl.SSLError, ConnectionError))
    with socket.create_connection(("127.0.0.1", shared.port)) as plain, refused:
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    assert calm.up, "nobody else is put out"
    calm.close()


one_version = pytest.mark.parametrize("shared", ["2.0"], indirect=True)
"""What is the portal's own is not tried with each Mosquitto."""


@one_version
def test_a_claim_code_makes_nobody_the_portal(shared):
    """One code, and whoever has it asks for names that mean something elsewhere."""
    from agent.signaling.trust import SigningKey, make_signing_key

    key, code = SigningKey(make_signing_key()), shared.claim()
    forged = "x\n2030-01-01 00:00:00 INFO agent.server: all is well"
    for name in ("portal.pinhole", forged, "\x1b[2J", "+", "#", "../x", "portal-2"):
        body = json.dumps({"request": key.make_request(name), "code": code}).encode()
        asked = urllib.request.Request(
            f"{shared.url}/api/enroll", body, {"Content-Type": "application/json"}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=WAIT_S)
        assert refused.value.code in (400, 403)
    said = shared.log("portal")
    assert "\x1b" not in said
    assert "\n2030" not in said
    shared.enroll("honest", code)


@one_version
def test_no_camera_takes_the_portals_place_at_the_broker(shared):
    """A camera's client id is its name; a portal's is none that a camera can have."""
    port = urlsplit(shared.url).port
    for name in (f"pinhole-portal-{socket.gethostname()}-{port}", f"pinhole-portal-{socket.gethostname()}-0"):
        shared.enroll(name, shared.claim())
        Peer(shared, name, name).close()
    broker = (shared.folder / "mosquitto.log").read_text()
    [portal] = set(re.findall(r"New client connected from \S+ as (portal\.\S+)", broker))
    assert not is_id(portal)
    assert f"Client {portal} already connected" not in broker
