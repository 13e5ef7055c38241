"""A real agent and a real portal as processes, on a real broker."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from parts.portal import PASSWORD, USER, add_user

from agent.config import load
from agent.demo.enrolment import enroll_here

ROOT = Path(__file__).resolve().parents[2]
SHORT_LEASE = Path(__file__).with_name("short_lease.py")
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0


@dataclass
class Stack:
    """A device `cam` and a portal, with a user `ann` who may do everything."""

    folder: Path
    portal: subprocess.Popen[bytes]
    agent: subprocess.Popen[bytes] | None
    url: str
    env: dict[str, str]
    lease_s: float | None = None

    def kill_portal(self) -> None:
        """As a crash: no goodbye to anybody."""
        self.portal.kill()
        self.portal.wait()

    def start_portal(self) -> None:
        """Another one, at the same address."""
        config = self.folder / "pinhole.toml"
        port = self.url.rpartition(":")[2]
        config.write_text(config.read_text().replace("[portal]\nport = 0\n", f"[portal]\nport = {port}\n"))
        self.portal = start_portal(config, self.env, self.lease_s)
        await_log(self.folder / "portal.log", r"connected to (\S+)", self.portal)

    def restart_agent(self) -> None:
        """As a crash, and another start."""
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait()
        self.start_agent()

    def start_agent(self) -> None:
        """After its end."""
        self.agent = start_program("agent", "run", self.folder / "pinhole.toml", self.env)
        await_log(self.folder / "agent.log", r"connected to (\S+)", self.agent)

    @property
    def sign_in(self) -> tuple[str, ...]:
        """What `watch` and `doctor` need to sign in."""
        return ("--user", USER, "--password-file", str(self.folder / "portal-password"))

    def log(self, name: str) -> str:
        """What `agent` or `portal` said so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def watch(self, *arguments: str, timeout_s: float = 60) -> tuple[int, dict[str, Any], str]:
        """`pinhole watch --json` on this portal: exit code, the JSON, and standard error."""
        return self.end_watch(self.start_watch(*arguments), timeout_s)

    def start_watch(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, left to run; `end_watch` waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "agent", "watch", "--portal", self.url,
             *self.sign_in, "--json", *arguments],
            cwd=ROOT, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end_watch(
        self, viewer: subprocess.Popen[str], timeout_s: float = 60
    ) -> tuple[int, dict[str, Any], str]:
        """Wait until a viewer ends by itself."""
        try:
            printed, said = viewer.communicate(timeout=timeout_s)
        finally:
            viewer.kill()
        return viewer.returncode, json.loads(printed) if printed.strip() else {}, said


@contextmanager
def running_stack(
    broker: str,
    *,
    camera: str = 'source = "synthetic"',
    webrtc: str = "",
    portal: str = "",
    ca_file: Path | None = None,
    agent: bool = True,
    lease_s: float | None = None,
) -> Iterator[Stack]:
    """Start both, wait until the device is online, and end both. `broker` and the rest are TOML.

    Without `agent` there is only the portal. `lease_s` is how long a session plays without its word, where
    that shall not be minutes.

    `portal` comes after the keys of `[portal]`, so that it may open tables of its own.
    """
    with tempfile.TemporaryDirectory(prefix="pinhole-stack-") as path:
        folder = Path(path)
        config = folder / "pinhole.toml"
        config.write_text(
            f'[device]\nid = "cam"\nname = "Test camera"\nstate_dir = "camera"\n'
            f"[broker]\n{broker}\n[camera]\n{camera}\n"
            f"[webrtc]\n{webrtc}\n[portal]\nport = 0\n{portal}\n"
        )
        (folder / "portal-password").write_text(PASSWORD)
        (folder / "portal-password").chmod(0o600)
        add_user(config)
        settings = load(config)
        enroll_here(settings.device, settings.portal)
        env = os.environ | ({"SSL_CERT_FILE": str(ca_file)} if ca_file else {})
        portal_process = start_portal(config, env, lease_s)
        device = start_program("agent", "run", config, env) if agent else None
        stack = Stack(folder, portal_process, device, "", env, lease_s)
        try:
            await_log(folder / "portal.log", r"connected to (\S+)", portal_process)
            if device:
                await_log(folder / "agent.log", r"connected to (\S+)", device)
            stack.url = await_log(folder / "portal.log", r"dashboard at (http\S+[^/\s])", portal_process)
            yield stack
        finally:
            if stack.agent:
                stop_program(stack.agent)
            stop_program(stack.portal)


def start_portal(config: Path, env: dict[str, str], lease_s: float | None) -> subprocess.Popen[bytes]:
    if lease_s is None:
        return start_program("portal", "portal", config, env)
    return start_program("portal", "portal", config, env, (str(SHORT_LEASE), str(lease_s)))


def start_program(
    name: str, command: str, config: Path, env: dict[str, str], program: tuple[str, ...] = ("-m", "agent")
) -> subprocess.Popen[bytes]:
    with config.with_name(f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *program, command, "--config", str(config)],
            cwd=ROOT, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def await_log(
    log: Path, pattern: str, process: subprocess.Popen[bytes], timeout_s: float = START_TIMEOUT_S
) -> str:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and process.poll() is None:
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found.group(found.lastindex or 0)
        time.sleep(0.05)
    pytest.fail(f"{pattern!r} did not appear:\n{log.read_text(errors='replace')}")


def stop_program(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
