"""A camera with a good certificate turns on its broker: what it leaves there, and costs the others."""

import json
import re
import threading
import time
import urllib.request

import psutil
import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5
from parts.fleet_broker import fleet
from parts.portal import PASSWORD, USER

WAIT_S = 60.0


@pytest.fixture(scope="module")
def shared():
    with fleet() as one:
        for name in ("loud", "large", "hoarder", "litter", "leaver", "calm"):
            one.enroll(name, one.claim())
        one.start_agent("calm")
        yield one


class Camera:
    """A hostile client with a camera's certificate."""

    def __init__(self, one, name):
        folder = one.state(name)
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        self.client.tls_set(folder / "broker-ca.pem", folder / "device.pem", folder / "device-key.pem")
        self.client.max_queued_messages_set(1000)
        self.up = threading.Event()
        self.client.on_connect = lambda *_: self.up.set()
        self.client.connect("127.0.0.1", one.port)
        self.client.loop_start()
        assert self.up.wait(WAIT_S)

    def flood(self, topics, payload, is_over, *, retain=False):
        """Publish as fast as the broker takes it."""
        count = 0
        while not is_over():
            self.client.publish(topics(count), payload, retain=retain)
            count += 1

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def watch(one):
    """`pinhole watch` of the calm camera."""
    password = one.folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    return one.pinhole(
        "watch", "--portal", one.url, "--user", USER, "--password-file", password,
        "--device", "calm", "--seconds", "1", "--json", check=False,
    )  # fmt: skip


def health(one):
    with urllib.request.urlopen(f"{one.url}/healthz", timeout=WAIT_S) as answer:
        return json.load(answer)


@pytest.mark.parametrize(("name", "size"), [("loud", 100), ("large", 80_000)])
def test_a_flood_of_one_camera_keeps_no_other_from_its_first_picture(shared, name, size):
    loud, over = Camera(shared, name), threading.Event()
    flooding = threading.Thread(
        target=loud.flood,
        args=(lambda count: f"pinhole/v1/{name}/signal/s{count % 100}/out", b"x" * size, over.is_set),
    )
    flooding.start()
    try:
        time.sleep(3)
        began_s = time.monotonic()
        done = watch(shared)
        took_s = time.monotonic() - began_s
        wait(lambda: f"camera {name} is kept away from the broker" in shared.log("portal"))
    finally:
        over.set()
        flooding.join()
    print(
        f"a picture after {json.loads(done.stdout or '{}').get('first_frame_ms')} ms, {took_s:.1f} s in all"
    )
    assert done.returncode == 0, done.stderr
    wait(lambda: health(shared)["status"] == "fault")
    said = shared.log("portal")
    assert re.search(rf"refused \(too-fast, \d+ so far\): {name} says more than", said)
    assert said.count("too-fast") < 60, "told once a second"
    assert "Traceback" not in said
    loud.close()


class Watcher:
    """A client with the portal's certificate: what the broker keeps."""

    def __init__(self, one):
        folder = one.folder / "broker"
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="watcher", protocol=MQTTv5)
        self.client.tls_set(folder / "ca.pem", folder / "portal.pem", folder / "portal-key.pem")
        self.client.connect("127.0.0.1", one.portal_port)
        self.client.loop_start()

    def kept(self, name, below=("state", "health", "event/+", "signal/+/out")):
        """Topics below a camera's name on which something is retained; `event/+` is among those asked for."""
        found, end, told = set(), f"pinhole/v1/{name}/event/{time.monotonic_ns()}", threading.Event()

        def on_message(_client, _userdata, message):
            if message.topic == end:
                told.set()
            elif message.retain and message.payload:
                found.add(message.topic)

        self.client.on_message = on_message
        for tail in below:
            self.client.unsubscribe(f"pinhole/v1/{name}/{tail}")
            self.client.subscribe(f"pinhole/v1/{name}/{tail}", qos=1)
        self.client.publish(end, b"x", qos=1)  # what is retained comes before
        assert told.wait(WAIT_S)
        return found

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def wait(condition):
    deadline_s = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return found


def resident_mib(process):
    return psutil.Process(process.pid).memory_info().rss / 2**20


def test_what_a_camera_leaves_under_made_up_sessions_is_wiped(shared):
    """The broker's rules cannot bound the names of sessions."""
    hostile = Camera(shared, "litter")
    for count in range(60):
        topic = f"pinhole/v1/litter/signal/s{count}/out"
        hostile.client.publish(topic, b"x", qos=1, retain=True).wait_for_publish(WAIT_S)
    hostile.close()
    watcher = Watcher(shared)
    wait(lambda: watcher.kept("litter") == set())
    watcher.close()
    wait(lambda: "camera litter is kept away from the broker" in shared.log("portal"))


def test_a_revoked_camera_leaves_nothing_at_the_broker(shared):
    watcher, before = Watcher(shared), Camera(shared, "leaver")
    for tail in ("health", "event/camera-failed", "signal/s1/out"):
        topic = f"pinhole/v1/leaver/{tail}"
        before.client.publish(topic, b"x", qos=1, retain=True).wait_for_publish(WAIT_S)
    before.close()
    shared.start_agent("leaver")
    wait(lambda: watcher.kept("leaver") == {"pinhole/v1/leaver/state"})
    shared.pinhole("portal", "device", "revoke", "leaver", "-c", shared.config)
    wait(lambda: watcher.kept("leaver") == set())
    time.sleep(3)
    assert watcher.kept("leaver") == set(), "its last will does not come back"
    watcher.close()
    shared.stop_agent("leaver")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_camera_that_leaves_messages_at_the_broker_is_kept_out_before_they_are_many(shared):
    """Every topic that it may write, retained, as fast as the broker takes it."""
    # The last test here: to have all of that wiped takes minutes.
    before_mib = resident_mib(shared.broker)
    hostile, ends_s = Camera(shared, "hoarder"), time.monotonic() + 15
    tails = ("state", "health", "event/camera-failed", "event/made-up-{}", "signal/s{}/out", "signal/t{}/out")
    hostile.flood(
        lambda count: "pinhole/v1/hoarder/" + tails[count % len(tails)].format(count),
        b"x" * 1000, lambda: time.monotonic() > ends_s, retain=True,
    )  # fmt: skip
    hostile.close()
    wait(lambda: "camera hoarder is kept away from the broker" in shared.log("portal"))
    watcher = Watcher(shared)
    assert watcher.kept("hoarder", ("event/+",)) <= {"pinhole/v1/hoarder/event/camera-failed"}
    watcher.close()
    grown_mib = resident_mib(shared.broker) - before_mib
    print(f"the broker grew by {grown_mib:.1f} MiB")
    assert grown_mib < 256, "as much as it says until it is kept out, some seconds"
    wait(
        lambda: watch(shared).returncode == 0
    )  # what waited in the broker's queue may cost the first one its answer
