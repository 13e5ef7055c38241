"""A real coturn on free loopback ports: TURN over udp, tcp and tls, with credentials that expire."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from parts.need import need

PROGRAM = shutil.which("turnserver")
SECRET = "north by northwest"
REALM = "turn.test"
START_TIMEOUT_S = 60.0


@dataclass
class Coturn:
    """One TURN server process."""

    folder: Path
    port: int
    tls_port: int
    process: subprocess.Popen[bytes]

    @property
    def ca_file(self) -> Path:
        """Who signed its certificate."""
        return self.folder / "ca.pem"

    def url(self, transport: str) -> str:
        """The URL for `udp`, `tcp` or `tls`."""
        if transport == "tls":
            return f"turns:127.0.0.1:{self.tls_port}?transport=tcp"
        return f"turn:127.0.0.1:{self.port}?transport={transport}"

    def stop(self) -> None:
        """End it, as a crash would."""
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "coturn.log").read_text(errors="replace")

    def allocations(self) -> tuple[int, int]:
        """How many it made so far, and how many of them are gone."""
        log = self.log()
        return log.count("ALLOCATE processed, success"), log.count(": delete: realm=")


@contextmanager
def coturn(more: str = "allow-loopback-peers") -> Iterator[Coturn]:
    """A running TURN server; nothing of it is left at the end. `more` are lines of its settings.

    By default it relays between loopback peers.
    """
    need(PROGRAM, "needs coturn: sudo apt-get install coturn")
    with tempfile.TemporaryDirectory(prefix="pinhole-coturn-") as name:
        folder = Path(name)
        port, tls_port = _free_ports(2)
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        server = ca.issue_cert("127.0.0.1", "localhost")
        server.private_key_pem.write_to_path(str(folder / "key.pem"))
        server.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        (folder / "turnserver.conf").write_text(_configuration(folder, port, tls_port) + more + "\n")
        with (folder / "coturn.log").open("wb") as log:
            process = subprocess.Popen(
                [str(PROGRAM), "-c", str(folder / "turnserver.conf")], stdout=log, stderr=log, cwd=folder
            )
        server = Coturn(folder, port, tls_port, process)
        try:
            _await_ready(server)
            yield server
        finally:
            server.stop()


def _configuration(folder: Path, port: int, tls_port: int) -> str:
    user = "" if os.geteuid() else "proc-user=root\nproc-group=root\n"
    return f"""{user}listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port={port}
tls-listening-port={tls_port}
realm={REALM}
use-auth-secret
static-auth-secret={SECRET}
cert={folder}/cert.pem
pkey={folder}/key.pem
fingerprint
no-cli
no-dtls
no-software-attribute
userdb={folder}/turn.db
pidfile={folder}/turn.pid
log-file=stdout
simple-log
verbose
"""


def _await_ready(server: Coturn) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            for port in (server.port, server.tls_port):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            _ask_over_udp(server.port)
        except OSError:
            if server.process.poll() is not None or time.monotonic() > deadline_s:
                pytest.fail(f"coturn did not start:\n{server.log()}")
            time.sleep(0.05)
        else:
            return


def _ask_over_udp(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", port))
        asking.settimeout(1)
        asking.send(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + os.urandom(12))  # a binding request (RFC 8489)
        asking.recv(2048)


def _free_ports(count: int) -> list[int]:
    # TURN listens on udp and tcp of the same number; tcp being free is a good sign for udp.
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
