"""A program one of whose parts has ended, by whatever way, ends too: half of it would look alive for good."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config import load
from agent.demo.enrolment import enroll_here

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 30.0
ENDS = {"returned": "return", "was cancelled": "raise asyncio.CancelledError", "failed": "raise LookupError"}
BROKER = "agent.mqtt.broker.Broker.run"
CASES = [
    *(("run", BROKER, how) for how in ENDS),
    ("run", "agent.camera.capture.Capture.run", "was cancelled"),
    ("portal", BROKER, "was cancelled"),
    ("portal", "agent.portal.accounts.audit.Audit.run", "returned"),
    ("demo", "agent.demo.child.Child.follow", "returned"),
]
PROGRAM = """
import asyncio
from importlib import import_module
from agent import cli

async def end(*_arguments):
    await asyncio.sleep(0.2)
    {end}

*path, owner, name = "{part}".split(".")
try:
    owner = import_module(".".join((*path, owner)))
except ModuleNotFoundError:
    owner = getattr(import_module(".".join(path)), owner)
setattr(owner, name, end)
cli.main()
"""


def start(command, part, how, folder, **environ):
    config = folder / "pinhole.toml"
    config.write_text(
        f'[device]\nid = "cam"\nstate_dir = "camera"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n'
        f'[camera]\nsource = "synthetic"\n[portal]\nport = 0\ndatabase_url = "sqlite:///{folder}/portal.db"\n'
    )
    if command == "run":
        settings = load(config)
        enroll_here(settings.device, settings.portal)
    options = ["--port", "0", "--camera", "synthetic"] if command == "demo" else ["--config", str(config)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(end=ENDS[how], part=part), command, *options],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)} | environ, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(("command", "part", "how"), CASES)
def test_the_program_ends_with_its_part(tmp_path, command, part, how):
    process = start(command, part, how, tmp_path)
    try:
        _, said = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        process.kill()
    assert process.returncode == 1, said
    if how == "failed":
        assert "LookupError" in said
    else:
        assert re.search(rf"pinhole: the task [\w: ]+ {how}", said), said


def test_the_watchdog_is_not_fed_once_a_part_has_ended(tmp_path):
    """While what is left closes, systemd must not take the agent for one that is well."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(ENDS_WITHIN_S)
        process = start(
            "run", "agent.mqtt.broker.Broker.run", "was cancelled", tmp_path,
            NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="100000",
        )  # fmt: skip
        said = []
        try:
            while "STOPPING=1" not in said:
                said.append(manager.recv(4096).decode())
            process.communicate(timeout=ENDS_WITHIN_S)
            manager.setblocking(False)
            with pytest.raises(BlockingIOError):
                said.append(manager.recv(4096).decode())
        finally:
            process.kill()
    assert any("WATCHDOG=1" in message for message in said), "it was well before"
    assert said[-1] == "STOPPING=1"
