"""What `site.yml` is told of a test's machines, and how its portal is signed in to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.certificates import Certificates
from fleet.lab import Lab

USER, PASSWORD = "fleet", "a-password-of-the-test"
TURN_SECRET = "a-secret-of-the-test"
GATE_S = 60


def write_password(folder: Path) -> None:
    """Into the file that `sign_in` names."""
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)


def sign_in(portal: str, folder: Path) -> tuple[str, ...]:
    """Options of `pinhole` for this portal's URL."""
    return ("--portal", portal, "--user", USER, "--password-file", str(folder / "password"))


def inventory(
    lab: Lab,
    folder: Path,
    tls: Certificates,
    release: Path,
    key: Path,
    groups: Mapping[str, Sequence[str]],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Hosts by group, and the variables of all; `key` signed the release, `more` goes before what is here."""
    address = {name: machine.address for name, machine in lab.machines.items()}
    [broker], [portal_host] = groups["brokers"], groups["portals"]
    portal = f"https://{address[portal_host]}"
    public_keys = [key.with_suffix(".pub").read_text().strip()]
    shared = {
        "ansible_ssh_private_key_file": str(lab.folder / "id"),
        "turn_secret": TURN_SECRET,
        "turn_denied_peers": [],  # here everybody is in a private network
        "portal_broker_host": address[broker],
        "portal_users": [{"name": USER, "role": "admin", "password": PASSWORD}],
        "portal_cert": tls.chain,
        "portal_key": tls.key,
        "portal_release_dir": str(release),
        "portal_release_public_keys": public_keys,
        "agent_portal_url": portal,
        "agent_portal_ca": tls.authority,
        "agent_release_dir": str(release),
        "agent_release_public_keys": public_keys,
        "agent_gate_s": GATE_S,
        "agent_watch_portal": portal,
        "agent_watch_command": tls.trusting("pinhole"),
        "agent_watch_user": USER,
        "agent_watch_password_file": str(folder / "password"),
    }
    children = {
        group: {
            "hosts": {host: {"ansible_host": address[host]} | lab.machines[host].variables for host in hosts}
        }
        for group, hosts in groups.items()
    }
    return {"all": {"vars": shared | dict(more), "children": children}}
