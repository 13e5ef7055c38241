"""A real Mosquitto on free loopback ports, with every transport the agent speaks."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from parts.need import need

from agent.config import BrokerSettings

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
USERNAME, PASSWORD = "front-door", "correct horse"
START_TIMEOUT_S = 60.0


@dataclass
class Mosquitto:
    """One broker process; `kill` and `start` keep its ports."""

    folder: Path
    ports: dict[str, int]
    ca: trustme.CA
    process: subprocess.Popen[bytes] | None = None

    def settings(self, transport: str = "mqtt", **overrides: object) -> BrokerSettings:
        """Settings that reach a listener: mqtt, mqtts, ws, wss, password, client-cert or rules."""
        scheme = {"password": "mqtt", "client-cert": "mqtts", "rules": "mqtt"}.get(transport, transport)
        values: dict[str, object] = {"url": f"{scheme}://127.0.0.1:{self.ports[transport]}"}
        if str(overrides.get("url", scheme)).startswith(("mqtts", "wss")):
            values["ca_file"] = self.folder / "ca.pem"
        if transport == "client-cert":
            values |= {"cert_file": self.folder / "client.pem", "key_file": self.folder / "client-key.pem"}
        if transport == "password":
            values["username"] = USERNAME
        return BrokerSettings.model_validate(values | overrides)

    def start(self) -> None:
        """Start it and wait until every listener answers."""
        assert self.process is None
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        for port in self.ports.values():
            wait_for_port(port, self.process, self.log)

    def kill(self) -> None:
        """As a crash: no goodbye, nothing saved."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")


@contextmanager
def mosquitto() -> Iterator[Mosquitto]:
    """A running broker; its files and its process are gone at the end."""
    need(PROGRAM, "needs mosquitto: sudo apt-get install mosquitto")
    need(shutil.which("mosquitto_passwd"), "needs mosquitto_passwd: sudo apt-get install mosquitto")
    with tempfile.TemporaryDirectory(prefix="pinhole-mosquitto-") as name:
        broker = _lay_out(Path(name))
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()


def _lay_out(folder: Path) -> Mosquitto:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = ca.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(str(folder / "server-key.pem"))
    server.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    client = ca.issue_cert(f"{USERNAME}.example.org", common_name=USERNAME)
    client.private_key_pem.write_to_path(str(folder / "client-key.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(folder / "passwords"), USERNAME, PASSWORD],
        check=True,
        capture_output=True,
    )
    # Everybody may read; nobody may write below "forbidden".
    (folder / "rules").write_text("topic readwrite pinhole/#\ntopic read forbidden/#\n")
    broker = Mosquitto(
        folder, free_ports("mqtt", "mqtts", "client-cert", "password", "rules", "ws", "wss"), ca
    )
    (folder / "mosquitto.conf").write_text(_configuration(folder, broker.ports))
    return broker


def _configuration(folder: Path, ports: dict[str, int]) -> str:
    tls = f"cafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server-key.pem\n"
    lines = {
        "mqtt": "allow_anonymous true\n",
        "mqtts": f"allow_anonymous true\n{tls}",
        "client-cert": f"{tls}require_certificate true\nuse_identity_as_username true\n",
        "password": f"allow_anonymous false\npassword_file {folder}/passwords\n",
        "rules": f"allow_anonymous true\nacl_file {folder}/rules\n",
        # Mosquitto 2.0.11 does not start with websocket listeners alone, so they come last.
        "ws": "protocol websockets\nallow_anonymous true\n",
        "wss": f"protocol websockets\nallow_anonymous true\n{tls}",
    }
    # As root it would drop to a user who cannot read our folder.
    user = "user root\n" if os.geteuid() == 0 else ""
    listeners = "".join(f"listener {ports[name]} 127.0.0.1\n{lines[name]}" for name in lines)
    return f"per_listener_settings true\npersistence false\nlog_dest stderr\nlog_type all\n{user}{listeners}"


def free_ports(*names: str) -> dict[str, int]:
    """Ports nobody uses, all held at once so that they differ."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: held.getsockname()[1] for name, held in sockets.items()}
    for held in sockets.values():
        held.close()
    return ports


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Callable[[], str]) -> None:
    """Until a broker that was started answers there."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline_s:
            pytest.fail(f"mosquitto did not start:\n{log()}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
