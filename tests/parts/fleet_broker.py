"""A Mosquitto as `pinhole portal broker-config` sets it up, with a portal and cameras that use it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from parts.mosquitto import PROGRAM
from parts.need import need
from parts.newer_mosquitto import newer_mosquitto
from parts.portal import add_user
from parts.stack import ROOT, await_log, start_program, stop_program

START_TIMEOUT_S = 60.0


@dataclass
class Fleet:
    """All of it in one folder."""

    folder: Path
    port: int
    portal_port: int
    url: str = ""
    broker: subprocess.Popen | None = None
    portal: subprocess.Popen | None = None
    agents: dict = field(default_factory=dict)

    @property
    def config(self):
        """The portal's settings."""
        return self.folder / "portal.toml"

    def pinhole(self, *arguments, check=True):
        """Run a command of ours; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "agent", *map(str, arguments)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"{arguments}: {done.stderr}{done.stdout}")
        return done

    def claim(self, *options):
        """A claim code."""
        return self.pinhole("portal", "claim", *options, "-c", self.config).stdout.strip()

    def camera(self, name):
        """The settings of a camera; made at the first call."""
        file = self.folder / f"{name}.toml"
        if not file.exists():
            file.write_text(
                f'[device]\nid = "{name}"\nstate_dir = "state-{name}"\n[camera]\nsource = "synthetic"\n'
                "[broker]\nreconnect_max_s = 1\n"
            )
        return file

    def enroll(self, name, code, check=True):
        """`pinhole enroll` on a camera."""
        return self.pinhole(
            "enroll", "--portal", self.url, "--code", code, "-c", self.camera(name), check=check
        )

    def start_agent(self, name):
        """Run a camera until it reaches the broker."""
        self.agents[name] = start_program(name, "run", self.camera(name), os.environ)
        await_log(self.folder / f"{name}.log", r"connected to (\S+)", self.agents[name])

    def stop_agent(self, name):
        """End it."""
        stop_program(self.agents.pop(name))

    def start_portal(self):
        """Run the portal until it reaches the broker."""
        self.portal = start_program("portal", "portal", self.config, os.environ)
        log = self.folder / "portal.log"
        await_log(log, r"connected to (\S+)", self.portal)
        self.url = await_log(log, r"dashboard at (http\S+[^/\s])", self.portal)

    def log(self, name):
        """What a program said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def state(self, name):
        """A camera's state folder."""
        return self.folder / f"state-{name}"

    def reload_broker(self):
        """As `systemctl reload mosquitto`."""
        self.broker.send_signal(signal.SIGHUP)


@contextmanager
def fleet(version="2.0", portal=""):
    """Broker and portal, running; 2.1 is fetched. `portal`: more keys of its section, as TOML."""
    need(PROGRAM, "needs mosquitto: sudo apt-get install mosquitto")
    newer = newer_mosquitto() if version == "2.1" else None
    program = newer.program if newer else PROGRAM
    options = ("--mosquitto", "2.1", "--plugins", newer.plugins) if newer else ()
    with tempfile.TemporaryDirectory(prefix="pinhole-fleet-") as path:
        folder = Path(path)
        one = Fleet(folder, *_free_ports(2))
        one.config.write_text("[portal]\nport = 0\n")
        out = folder / "broker"
        printed = one.pinhole(
            "portal", "broker-config", "--out", out, "--host", "127.0.0.1",
            "--port", one.port, "--portal-port", one.portal_port, "-c", one.config, *options,
        ).stdout  # fmt: skip
        conf = out / "mosquitto.conf"
        pid = folder / "mosquitto.pid"
        # As root it would drop to a user who cannot read our folder.
        user = "user root\n" if os.geteuid() == 0 else ""
        extra = f"{user}pid_file {pid}\nlog_dest file {folder}/mosquitto.log\nlog_type all\n"
        conf.write_text(extra + conf.read_text())
        command = f'["sh", "-c", "kill -HUP $(cat {pid})"]'
        printed = printed.replace('["systemctl", "reload", "mosquitto"]', command)
        one.config.write_text(f"{printed}port = 0\n{portal}\n")
        one.broker = subprocess.Popen([str(program), "-c", str(conf)], stderr=subprocess.DEVNULL)
        try:
            _await_port(one.port)
            add_user(one.config)
            one.start_portal()
            yield one
        finally:
            for process in (*one.agents.values(), one.portal):
                if process is not None:
                    stop_program(process)
            one.broker.kill()
            one.broker.wait()


def _free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _await_port(port):
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("mosquitto did not start")
