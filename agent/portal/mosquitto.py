"""Mosquitto, set up so that each device reaches its own topics and nothing else. Pure text, and one writer.

Two listeners: the cameras' takes certificates of the portal's authority and knows each by its name, also as
its client id, so that no camera can push another one out. The portal's own takes one certificate alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import PortalError
from agent.model.disk import tidy, write_whole
from agent.model.topics import written_by
from agent.portal.authority import PORTAL_NAME, Authority, load_or_make_key, make_client

Version = Literal["2.0", "2.1"]
"""From which its configuration is written so. 2.1 reads what is for 2.0 as well, and calls it deprecated."""
ACL_PLUGIN = "mosquitto_acl_file.so"
MAX_PACKET_BYTES = 129 * 1024
"""A signed message of 64 KiB, and some."""
MAX_DEVICES = 10_000
MAX_QUEUED = 2 * MAX_DEVICES
"""For each client. A portal that comes gets every `state` at once, and Mosquitto drops what is beyond: by its
own 1000 the portal would miss all further cameras until they speak again."""
MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""For each client: 10 000 states are 16 MiB. No camera fills more than the portals' queues."""


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """Where the broker is, and what its files are called there."""

    folder: Path
    hosts: tuple[str, ...]
    """Names and addresses by which it is reached; the first is its own."""
    port: int = 8883
    portal_port: int = 8884
    portal_address: str = "127.0.0.1"
    """Where it listens for portals."""
    topic_prefix: str = "pinhole"
    version: Version = "2.0"
    plugins: Path = Path("/usr/lib")
    """Where 2.1 has its plugins."""

    @property
    def portal_host(self) -> str:
        """What portals call it: on its own machine the name may lead to another address."""
        return self.portal_address if self.portal_address.startswith("127.") else self.hosts[0]

    @property
    def certified(self) -> tuple[str, ...]:
        """What its certificate is for."""
        return self.hosts if self.portal_host in self.hosts else (*self.hosts, self.portal_host)


def write_broker_files(plan: BrokerPlan, authority: Authority, revoked: Sequence[int]) -> None:
    """Fill the folder: configuration, access rules, certificates. Safe to repeat. Raises PortalError."""
    folder = plan.folder
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        tidy(folder)
        server = load_or_make_key(folder / "server-key.pem")
        portal = load_or_make_key(folder / "portal-key.pem")
        if not authority.keeps_server(folder / "server.pem", plan.certified, server):
            write_whole(folder / "server.pem", authority.issue_server(plan.certified, server).pem, 0o644)
        if not (folder / "portal.pem").exists():
            write_whole(folder / "portal.pem", make_client(PORTAL_NAME, portal), 0o644)
        write_whole(folder / "ca.pem", authority.pem, 0o644)
        authority.write_revocations(folder / "crl.pem", revoked)
        write_whole(folder / "acl", access_rules(plan.topic_prefix).encode(), 0o644)
        write_whole(folder / "mosquitto.conf", configuration(plan).encode(), 0o644)
    except (OSError, ValueError) as exc:
        raise PortalError(f"{folder}: cannot write the broker's files: {exc}") from exc


def configuration(plan: BrokerPlan) -> str:
    """`mosquitto.conf`."""
    folder = plan.folder
    tls = f"certfile {folder}/server.pem\nkeyfile {folder}/server-key.pem\ntls_version tlsv1.2\n"
    who = "require_certificate true\nuse_identity_as_username true\n"
    access = f"per_listener_settings false\nallow_anonymous false\nacl_file {folder}/acl"
    if plan.version == "2.1":  # for every listener that there is, as above
        access = f"global_plugin {plan.plugins}/{ACL_PLUGIN}\nplugin_opt_acl_file {folder}/acl"
        who += "listener_allow_anonymous false\n"
    return f"""\
# Made by `pinhole portal broker-config` for Mosquitto {plan.version}.
# Cameras speak to port {plan.port}, portals to {plan.portal_port}.
{access}
set_tcp_nodelay true
max_packet_size {MAX_PACKET_BYTES}
max_queued_messages {MAX_QUEUED}
max_queued_bytes {MAX_QUEUED_BYTES}
max_keepalive 1200
persistent_client_expiration 1d
log_type error
log_type warning
log_type notice

listener {plan.port}
cafile {folder}/ca.pem
crlfile {folder}/crl.pem
{tls}{who}use_username_as_clientid true
max_connections {MAX_DEVICES}

listener {plan.portal_port} {plan.portal_address}
cafile {folder}/portal.pem
{tls}{who}max_connections 100
"""


def access_rules(prefix: str) -> str:
    """Access rules (`acl`): `%u` is the name in the client's certificate."""
    said, heard = written_by("device"), written_by("portal")
    # Whole topics wherever it can be: what a camera leaves there, retained, takes a bounded place.
    device = [f"pattern write {topic}" for row in said for topic in row.narrowest(prefix, "%u")]
    device += [f"pattern read {row.at(prefix, '%u')}" for row in heard]
    portal = [f"topic read {row.at(prefix)}" for row in said]
    # To a camera's own topics it writes nothing but the end of what is retained there.
    portal += [f"topic write {row.at(prefix)}" for row in (*heard, *said)]
    return "\n".join([f"user {PORTAL_NAME}", *portal, "", *device, ""])


def portal_settings(plan: BrokerPlan) -> str:
    """What belongs into the portal's `pinhole.toml`."""
    return f"""\
[broker]
url = "mqtts://{plan.portal_host}:{plan.portal_port}"
ca_file = "{plan.folder}/ca.pem"
cert_file = "{plan.folder}/portal.pem"
key_file = "{plan.folder}/portal-key.pem"

[portal]
broker_url = "mqtts://{plan.hosts[0]}:{plan.port}"
crl_file = "{plan.folder}/crl.pem"
crl_command = ["systemctl", "reload", "mosquitto"]
"""
