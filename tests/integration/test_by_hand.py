"""What the documents tell people to do by hand, done as it stands there."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from parts.fleet_broker import _await_port, _free_ports
from parts.mosquitto import PROGRAM
from parts.need import need
from parts.portal import add_user
from parts.stack import ROOT, await_log, start_program, stop_program

BLOCK = re.compile(r"^```sh\n(sudo pinhole portal broker-config .*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder():
    """One that Mosquitto's own user can enter."""
    need(PROGRAM, "needs mosquitto: sudo apt-get install mosquitto")
    need(os.geteuid() == 0, "Mosquitto changes its user, which takes root")
    pwd.getpwnam("mosquitto")
    with tempfile.TemporaryDirectory(prefix="pinhole-by-hand-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("document", ["README.md", "agent/portal/BROKER.md"])
def test_mosquitto_by_hand(document, folder):
    port, portal_port = _free_ports(2)
    etc, programs = folder / "mosquitto", folder / "bin"
    for made in (etc, programs):
        made.mkdir()
    config = folder / "pinhole.toml"
    config.write_text("[portal]\nport = 0\n")
    debian = "persistence false\nlog_dest stderr\n"
    (etc / "mosquitto.conf").write_text(debian)
    for name, text in {
        "sudo": 'exec "$@"',
        "systemctl": f'echo "$*" >>{folder}/systemctl',
        "pinhole": f'exec {sys.executable} -m agent "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    told = BLOCK.search((ROOT / document).read_text())[1]
    told = (
        told.replace("/etc/mosquitto", str(etc))
        .replace("mqtt.example.org", f"mqtt.example.org --port {port} --portal-port {portal_port}")
        .replace("--config pinhole.toml", f"--config {config}")
    )
    done = subprocess.run(
        ["sh", "-eu", "-c", told], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "restart mosquitto" in (folder / "systemctl").read_text()
    printed = done.stdout[: done.stdout.index("include_dir")]  # tee repeats it
    config.write_text(f"{printed}port = 0\n")
    add_user(config)
    broker = subprocess.Popen(
        [str(PROGRAM), "-c", etc / "mosquitto.conf"], stderr=(folder / "mosquitto.log").open("wb")
    )
    portal = None
    try:
        _await_port(port)
        assert Path(f"/proc/{broker.pid}").stat().st_uid == pwd.getpwnam("mosquitto").pw_uid
        portal = start_program("portal", "portal", config, os.environ)
        await_log(folder / "portal.log", r"connected to (\S+)", portal)
    finally:
        if portal:
            stop_program(portal)
        broker.kill()
        broker.wait()


def test_a_command_by_sudo_is_found_as_the_documents_say(tmp_path):
    """The dashboard shows `sudo pinhole enroll …`, and sudo looks in /usr/local/bin."""
    told = re.search(r"`sudo (ln -s [^`]*)`", (ROOT / "README.md").read_text())[1]
    told = told.replace("/usr/local/bin/", f"{tmp_path}/")
    subprocess.run(["sh", "-eu", "-c", told], cwd=ROOT, check=True, timeout=10)
    found = shutil.which("pinhole", path=str(tmp_path))
    done = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_what_root_enrols_the_agent_can_read(tmp_path):
    from agent.signaling.identity import load_or_make_key

    need(os.geteuid() == 0, "needs root, to give files away")
    os.chown(tmp_path, 65534, 65534)
    load_or_make_key(tmp_path)
    assert {file.stat().st_uid for file in tmp_path.iterdir()} == {65534}
