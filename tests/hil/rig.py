"""A device without hardware: a real agent with the test picture behind a real sshd, on this machine."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from device import Device, by_ssh
from parts.mosquitto import mosquitto
from parts.need import need
from parts.stack import ROOT, Stack, running_stack
from viewer import Viewer

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
START_TIMEOUT_S = 20.0
SUPERVISOR = 'while :; do "$@" & echo $! >"$PID_FILE"; wait $!; sleep 1; done'
"""What Restart=always does."""


@dataclass
class Rig:
    """The device, and who watches it."""

    device: Device
    viewer: Viewer


@contextlib.contextmanager
def local_rig() -> Iterator[Rig]:
    """Everything on loopback; nothing of it is left at the end."""
    need(SSHD, "needs sshd: sudo apt-get install openssh-server")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pinhole-hil-")))
        broker = stack.enter_context(mosquitto())
        url = f'url = "{broker.settings().url}"'
        running = stack.enter_context(running_stack(url, agent=False))
        stack.enter_context(_agent(running, folder))
        ssh = stack.enter_context(_sshd(folder))
        device = Device(
            ssh,
            pid_command=f"cat {folder}/agent.pid",
            pinhole=f"cd {ROOT} && {sys.executable} -m agent",
            is_service=False,
            is_hardware=False,
        )
        options = ("--portal", running.url, *running.sign_in)
        yield Rig(device, Viewer(options, running.env))


@contextlib.contextmanager
def _agent(stack: Stack, folder: Path) -> Iterator[None]:
    agent = [sys.executable, "-m", "agent", "run", "--config", str(stack.folder / "pinhole.toml")]
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", SUPERVISOR, "supervisor", *agent],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=stack.env | {"PID_FILE": str(folder / "agent.pid")},
        )  # fmt: skip
    try:
        _until(lambda: "connected to" in (folder / "agent.log").read_text(), "the agent does not connect")
        yield
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((folder / "agent.pid").read_text()), 9)


@contextlib.contextmanager
def _sshd(folder: Path) -> Iterator[list[str]]:
    """The ssh command that reaches it."""
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True, timeout=30
        )
    port = _free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nPidFile none\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    separation = Path("/run/sshd")
    made = os.geteuid() == 0 and not separation.exists()
    if made:
        separation.mkdir(mode=0o755)
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log
        )
    known = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known[0]} {known[1]}\n")
    options = [f"Port={port}", f"IdentityFile={folder}/user", "IdentitiesOnly=yes",
               f"UserKnownHostsFile={folder}/known_hosts"]  # fmt: skip
    ssh = by_ssh(f"{getpass.getuser()}@127.0.0.1", options, folder)
    try:
        _until(lambda: _listens(port), f"sshd does not listen:\n{(folder / 'sshd.log').read_text()}")
        yield ssh
        subprocess.run([*ssh[:-1], "-O", "exit", ssh[-1]], capture_output=True, timeout=10, check=False)
    finally:
        process.kill()
        process.wait()
        if made:
            separation.rmdir()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _until(condition, complaint: str) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(complaint)
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]
