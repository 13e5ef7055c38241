"""The agent as a service: the real process watched as by systemd, and with nothing it likes there."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from parts.mosquitto import mosquitto
from parts.trust import peek

from agent.config import load
from agent.demo.enrolment import enroll_here

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30
STOP_S = 8
NO_CLOCK = "import time\n_now = time.time\n_start = _now()\ntime.time = lambda: 86_400 + _now() - _start\n"
"""A board without a battery: it believes to be on the second day of 1970."""


class Service:
    """A process with systemd's socket, and what it said there."""

    def __init__(self, folder, *, broker="mqtt://127.0.0.1:9", camera="synthetic", environ=()):
        config = folder / "pinhole.toml"
        config.write_text(
            f'[device]\nid = "cam"\nstate_dir = "camera"\n[broker]\nurl = "{broker}"\nversion = "3.1.1"\n'
            f'[camera]\nsource = "{camera}"\n'
        )
        settings = load(config)
        enroll_here(settings.device, settings.portal)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(0.2)
        self.said = []
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "run", "--config", str(config)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {
                    "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "900000", **dict(environ),
                },
            )  # fmt: skip

    def hear(self):
        """What was told since the last time, after a moment."""
        try:
            while True:
                self.said.append(self.notify.recv(4096).decode())
        except TimeoutError:
            return self.said

    def until(self, pattern):
        """Wait until a message says this; the messages so far."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self.process.poll() is None:
            if any(re.search(pattern, message) for message in self.hear()):
                return self.said
        pytest.fail(f"{pattern!r} was not said: {self.said}\n{self.log.read_text()}")

    def stop(self):
        """As systemd does; seconds that it took."""
        begin_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_S + 2)
        return time.monotonic() - begin_s


@pytest.fixture
def start(tmp_path):
    services = []

    def begin(**how):
        folder = tmp_path / str(len(services))
        folder.mkdir()
        services.append(Service(folder, **how))
        return services[-1]

    yield begin
    for service in services:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()
        service.notify.close()


def test_without_a_network_it_is_ready_and_says_what_is_missing(start):
    service = start()
    said = service.until(r"STATUS=degraded; no broker: mqtt://127\.0\.0\.1:9.*refused")
    assert said[0] == "READY=1"
    assert service.until("WATCHDOG=1")
    assert service.stop() < STOP_S
    assert service.hear()[-1] == "STOPPING=1"
    assert service.process.returncode == 0


def test_without_a_camera_it_is_ready_and_says_what_is_missing(start):
    with mosquitto() as broker:
        service = start(broker=broker.settings().url, camera="v4l2:/dev/video-none")
        said = service.until(r"STATUS=degraded; broker connected .*camera failed.*/dev/video-none")
        assert said[0] == "READY=1"
        assert service.stop() < STOP_S


def test_without_a_clock_it_is_ready_and_says_what_is_missing(start, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_CLOCK)
    service = start(environ={"PYTHONPATH": str(tmp_path)})
    said = service.until("the clock is not set: it says 1970-01-02")
    assert said[0] == "READY=1"


def test_a_stopped_process_starves_the_watchdog(start):
    service = start()
    service.until("WATCHDOG=1")
    service.process.send_signal(signal.SIGSTOP)
    service.hear()
    heard = len(service.said)
    time.sleep(1)  # longer than the watchdog that it was given
    assert len(service.hear()) == heard
    service.process.send_signal(signal.SIGCONT)
    service.until("WATCHDOG=1")


def test_a_crash_loses_nothing(start):
    """The will tells of it (at once, under MQTT 3.1.1), and the next start is as good as the first."""
    with mosquitto() as broker:
        url = broker.settings().url
        states = StateFollower(broker.ports["mqtt"])
        first = start(broker=url)
        first.until("STATUS=serving")
        born = states.until(is_whole)
        first.process.kill()
        first.process.wait()
        states.until(lambda state: not state["online"])
        second = start(broker=url)
        second.until("STATUS=serving")
        again = states.until(is_whole)
        assert again["boot_id"] != born["boot_id"]
        assert {**again, "boot_id": "", "since": 0} == {**born, "boot_id": "", "since": 0}
        assert second.stop() < STOP_S
        assert states.until(lambda state: not state["online"])["boot_id"] == again["boot_id"]
        states.close()


def is_whole(state):
    """It is there, and knows its camera: either may come first."""
    return state["online"] and state["camera_kind"]


class StateFollower:
    """A subscriber that sees a device's retained state."""

    def __init__(self, port):
        self.newest = None
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("pinhole/v1/cam/state", qos=1)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _client, _data, message):
        self.newest = peek(message.payload)

    def until(self, condition):
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            if (state := self.newest) is not None and condition(state):
                return state
            time.sleep(0.02)
        pytest.fail(f"the state stayed {self.newest}")

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
