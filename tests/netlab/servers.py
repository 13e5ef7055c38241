"""What runs on the lab's hosts: broker, TURN and STUN, portal; and the device's agent."""

import os
import re
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import trustme
from netlab.internet import Internet
from netlab.link import TESTS
from netlab.namespaces import LabError, Process
from netlab.plan import MORE_SERVER_IPS, MORE_TURN_HOSTS, SERVER_IP, SERVER_IP6
from parts.coturn import PROGRAM as TURNSERVER
from parts.mosquitto import PROGRAM as MOSQUITTO
from parts.portal import PASSWORD, add_user
from parts.stack import SHORT_LEASE

from agent.config import load
from agent.demo.enrolment import enroll_here

START_TIMEOUT_S = 60.0
PORTAL_PORT, TURN_PORT, TURNS_PORT, BROKER_PORT = 8080, 3478, 5349, 1883
RELAY_PORTS = (49152, 65535)
REALM = "turn.test"
Transport = Literal["udp", "tcp", "tls"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
TURN_HOST = "turn.test"

_READY = {
    "mosquitto": r"mosquitto version \S+ running",
    "coturn": r"Total General servers",
    "coturn2": r"Total General servers",
    "portal": r"dashboard at http\S+/",
}


@dataclass
class Service:
    """Everything of Pinhole in one lab."""

    lab: Internet
    broker: Process
    turn: Process
    portal: Process
    agent: Process
    url: str
    second_turn: Process | None = None


def start_service(
    lab: Internet,
    transports: Sequence[Transport] = TRANSPORTS,
    *,
    camera: str = 'source = "synthetic"',
    program: Sequence[str] = ("-m", "agent", "run", "--config"),
    has_more_turn: bool = False,
    ttl_s: int = 3600,
    relay_ips: Sequence[str] = (SERVER_IP, SERVER_IP6),
    lease_s: float | None = None,
    portal: str = "",
    portal_program: Sequence[str] = ("-m", "agent"),
) -> Service:
    """Start all of it and wait until the device is online; ends with the lab.

    `camera` and `portal` are TOML; that comes after the portal's own keys, so that it may open tables.
    `program` is what Python runs on the device, and the path of its settings follows; `portal_program` takes
    Pinhole's arguments.

    Portal and agent are told of a STUN server and of TURN over `transports`, with credentials that live for
    `ttl_s`; with `has_more_turn` of a second TURN server, and of one that is dead. TURN relays at those
    `relay_ips` that the lab has. A session plays `lease_s` without a word of the portal's, where that shall
    not be minutes. Raises LabError.
    """
    secret = secrets.token_urlsafe(16)
    broker = start_broker(lab)
    turn = start_turn(lab, secret, relay_ips)
    second_turn = _start_second_turn(lab, secret) if has_more_turn else None
    common = f'[broker]\nurl = "mqtt://broker.test:{BROKER_PORT}"\n'
    hosts = (TURN_HOST, *MORE_TURN_HOSTS) if has_more_turn else (TURN_HOST,)
    urls = [url for host in hosts for url in turn_urls(host, transports)]
    if lease_s is not None:
        portal_program = (str(SHORT_LEASE), str(lease_s))
    serving = _start_portal(lab, common, urls, ttl_s, secret, portal, portal_program)
    agent = _start_agent(lab, common, camera, program)
    for process in (serving, agent):
        _await(process, r"connected to \S+")
    return Service(lab, broker, turn, serving, agent, f"http://portal.test:{PORTAL_PORT}", second_turn)


def turn_urls(host: str, transports: Sequence[Transport]) -> list[str]:
    """A TURN server's URLs."""
    urls = {
        "udp": f"turn:{host}:{TURN_PORT}?transport=udp",
        "tcp": f"turn:{host}:{TURN_PORT}?transport=tcp",
        "tls": f"turns:{host}:{TURNS_PORT}?transport=tcp",
    }
    return [urls[transport] for transport in transports]


def restart(process: Process) -> None:
    """Start a program again that was stopped, and wait until it serves. Raises LabError."""
    said = len(process.log())
    process.start()
    _await(process, _READY[process.name], said)


def start_broker(lab: Internet) -> Process:
    """Mosquitto on the server, for everybody in the lab."""
    file = lab.spaces.folder / "mosquitto.conf"
    # "user root": it must not become a user who cannot read our folder, or does not exist in our namespace.
    file.write_text(
        f"user root\nlistener {BROKER_PORT}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        "log_dest stderr\nlog_type all\n"
    )
    broker = lab.spaces.start("server", "mosquitto", [str(MOSQUITTO), "-c", str(file)])
    _await(broker, _READY[broker.name])
    return broker


def start_turn(lab: Internet, secret: str, relay_ips: Sequence[str] = (SERVER_IP, SERVER_IP6)) -> Process:
    """Start coturn on every address of the server: TURN over udp, tcp and tls, and RFC 5780's STUN."""
    folder = lab.spaces.folder
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = ca.issue_cert(TURN_HOST, *MORE_TURN_HOSTS)
    certificate.private_key_pem.write_to_path(str(folder / "turn-key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "turn.pem"))
    relays = [ip for ip in lab.plan.server_ips if ip in relay_ips]
    return _run_turn(lab, "coturn", lab.plan.server_ips, relays, secret)


def _start_second_turn(lab: Internet, secret: str) -> Process:
    ip = MORE_SERVER_IPS[0]
    return _run_turn(lab, "coturn2", [ip], [ip], secret)


def _run_turn(
    lab: Internet, name: str, listening_ips: Sequence[str], relays: Sequence[str], secret: str
) -> Process:
    folder = lab.spaces.folder
    file = folder / f"{name}.conf"
    file.write_text(
        "".join(f"listening-ip={ip}\n" for ip in listening_ips)
        + "".join(f"relay-ip={ip}\n" for ip in relays)
        + f"""listening-port={TURN_PORT}
tls-listening-port={TURNS_PORT}
min-port={RELAY_PORTS[0]}
max-port={RELAY_PORTS[1]}
realm={REALM}
use-auth-secret
static-auth-secret={secret}
cert={folder}/turn.pem
pkey={folder}/turn-key.pem
proc-user=root
proc-group=root
fingerprint
no-cli
no-dtls
userdb={folder}/{name}.db
pidfile={folder}/{name}.pid
log-file=stdout
simple-log
verbose
"""
    )
    turn = lab.spaces.start("server", name, [str(TURNSERVER), "-c", str(file)])
    _await(turn, _READY[turn.name])
    return turn


def _start_portal(
    lab: Internet, common: str, turn_urls: Sequence[str], ttl_s: int, secret: str, more: str,
    program: Sequence[str],
) -> Process:  # fmt: skip
    folder = lab.spaces.folder
    for name, text in (("turn-secret", secret), ("portal-password", PASSWORD)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    urls = ", ".join(f'"{url}"' for url in turn_urls)
    file = folder / "portal.toml"
    host = "::" if SERVER_IP6 in lab.plan.server_ips else "0.0.0.0"
    file.write_text(
        f'{common}[portal]\nhost = "{host}"\nport = {PORTAL_PORT}\n'
        f'[[portal.ice_servers]]\nurls = ["stun:turn.test:{TURN_PORT}"]\n'
        f'[portal.turn]\nurls = [{urls}]\nsecret_file = "turn-secret"\nttl_s = {ttl_s}\n{more}'
    )
    add_user(file)
    command = [sys.executable, *program, "portal", "--config", str(file)]
    portal = lab.spaces.start("server", "portal", command)
    _await(portal, _READY[portal.name])
    return portal


def _start_agent(lab: Internet, common: str, camera: str, program: Sequence[str]) -> Process:
    folder = lab.spaces.folder
    file = folder / "agent.toml"
    file.write_text(
        f'{common}[device]\nid = "cam"\nname = "Test camera"\nstate_dir = "camera"\n[camera]\n{camera}\n'
    )
    enroll_here(load(file).device, load(folder / "portal.toml").portal)
    env = {
        "SSL_CERT_FILE": str(folder / "ca.pem"),
        "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS))),
    }
    return lab.spaces.start("device", "agent", [sys.executable, *program, str(file)], env=env)


def _await(process: Process, pattern: str, start: int = 0) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not re.search(pattern, process.log()[start:]):
        if process.popen.poll() is not None or time.monotonic() > deadline_s:
            last = (process.log().splitlines() or ["it said nothing"])[-1]
            raise LabError(f"{process.name} did not start: {last}\n{process.log()}")
        time.sleep(0.03)
