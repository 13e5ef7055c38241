"""sd_notify over real datagram sockets, of both kinds."""

import asyncio
import logging
import os
import secrets
import socket

import pytest

from agent.device.heartbeat import BEATS, INTERVAL_S, MAX_STATUS, Heartbeat
from agent.device.vitals import Verdict

WELL = Verdict(is_alive=True, words="serving")


class Manager:
    """systemd's end."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(address)

    def said(self):
        """What was told since the last time."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def place(request, tmp_path):
    name = f"pinhole-{secrets.token_hex(8)}"
    address, told = {
        "path": (str(tmp_path / name), str(tmp_path / name)),
        "abstract": ("\0" + name, "@" + name),
    }[request.param]
    manager = Manager(address)
    yield manager, {"NOTIFY_SOCKET": told}
    manager.socket.close()


async def test_ready_comes_first_and_stopping_last(place):
    manager, environ = place
    heartbeat = Heartbeat(lambda: WELL, environ)
    task = asyncio.create_task(heartbeat.run(), name="heartbeat")
    async with asyncio.timeout(5):
        while not (said := manager.said()):
            await asyncio.sleep(0)
    heartbeat.stopping()
    task.cancel()
    assert [*said, *manager.said()] == ["READY=1", "WATCHDOG=1\nSTATUS=serving", "STOPPING=1"]


def test_the_watchdog_starves_when_the_agent_is_stuck(place, caplog):
    manager, environ = place
    verdicts = [
        WELL,
        WELL,
        Verdict(is_alive=False, words="stuck"),
        Verdict(is_alive=False, words="stuck"),
        WELL,
    ]
    heartbeat = Heartbeat(lambda: verdicts.pop(0), environ)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            heartbeat.beat()
    assert manager.said() == [
        "WATCHDOG=1\nSTATUS=serving",
        "WATCHDOG=1",
        "STATUS=stuck",
        "WATCHDOG=1\nSTATUS=serving",
    ]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"], "each change once"


def test_a_status_cannot_carry_another_field(place):
    manager, environ = place
    Heartbeat(lambda: Verdict(is_alive=False, words="x\nWATCHDOG=1\x1b" + "y" * 5000), environ).beat()
    (said,) = manager.said()
    assert said.startswith("STATUS=x WATCHDOG=1")
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) <= len("STATUS=") + MAX_STATUS


def test_without_a_service_manager_it_is_silent():
    Heartbeat(lambda: WELL, {}).beat()


def test_a_service_manager_that_is_gone_does_no_harm(tmp_path, caplog):
    Heartbeat(lambda: WELL, {"NOTIFY_SOCKET": str(tmp_path / "gone")}).beat()
    assert "cannot be told" in caplog.text


@pytest.mark.parametrize(
    ("environ", "expected_s"),
    [
        ({}, INTERVAL_S),
        ({"WATCHDOG_USEC": "3000000"}, 3 / BEATS),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3 / BEATS),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, INTERVAL_S),
        ({"WATCHDOG_USEC": "600000000"}, INTERVAL_S),
        ({"WATCHDOG_USEC": "0"}, INTERVAL_S),
        ({"WATCHDOG_USEC": "soon"}, INTERVAL_S),
    ],
)
def test_the_beat_follows_the_watchdog(environ, expected_s):
    assert Heartbeat(lambda: WELL, environ)._interval_s == expected_s
