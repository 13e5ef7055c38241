"""A server for everything and one camera: the smallest fleet that `site.yml` rolls out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import certificates, releases
from fleet import lab as labs
from fleet.lab import Lab, Played

SERVER, CAMERA = "hub", "solo"
USER, PASSWORD = "fleet", "a-password-of-the-test"
VERSION = "0.1.1"
TARGETS = ("portal/x86_64/cp311", "device/x86_64/cp311")


@dataclass
class Pair:
    """Both machines, booted, and how they are rolled out and watched."""

    lab: Lab
    folder: Path
    tls: certificates.Certificates
    inventory: Path

    @property
    def portal(self) -> str:
        """Its URL."""
        return f"https://{self.lab.machines[SERVER].address}"

    @property
    def sign_in(self) -> tuple[str, ...]:
        """Options of `pinhole watch`."""
        return ("--portal", self.portal, "--user", USER, "--password-file", str(self.folder / "password"))

    def play(self) -> Played:
        """`site.yml`, for everything."""
        return self.lab.play(self.inventory).ok()


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Machines that have booted and nothing else."""
    key = releases.make_key(folder)
    release = releases.build(folder, VERSION, key, *TARGETS)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    with labs.lab() as lab:
        for name in (SERVER, CAMERA):
            lab.add(name)
        lab.boot(SERVER, CAMERA)
        tls = certificates.make(folder, lab.machines[SERVER].address)
        made = Pair(lab, folder, tls, folder / "inventory.json")
        made.inventory.write_text(json.dumps(_inventory(made, release, key)))
        yield made


def _inventory(made: Pair, release: Path, key: Path) -> dict[str, Any]:
    address = {name: machine.address for name, machine in made.lab.machines.items()}
    public = key.with_suffix(".pub").read_text().strip()
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(made.lab.folder / "id"),
        "turn_secret": "a-secret-of-the-test",
        "turn_denied_peers": [],  # here everybody is in a private network
        "portal_broker_host": address[SERVER],
        "portal_users": [{"name": USER, "role": "admin", "password": PASSWORD}],
        "portal_cert": made.tls.chain,
        "portal_key": made.tls.key,
        "portal_release_dir": str(release),
        "portal_release_public_keys": [public],
        "portal_gate_s": 60,
        "agent_portal_url": made.portal,
        "agent_portal_ca": made.tls.authority,
        "agent_settings": {
            "camera": {"source": "synthetic", "width_px": 640, "height_px": 360, "fps": 10},
            "camera.preview": {"enabled": True, "width_px": 320, "fps": 5},
        },
        "agent_release_dir": str(release),
        "agent_release_public_keys": [public],
        "agent_gate_s": 60,
        "agent_watch_portal": made.portal,
        "agent_watch_user": USER,
        "agent_watch_password_file": str(made.folder / "password"),
        "agent_watch_command": made.tls.trusting("pinhole"),
    }
    groups = {"brokers": SERVER, "turn_servers": SERVER, "portals": SERVER, "devices": CAMERA}
    children = {group: {"hosts": {host: {"ansible_host": address[host]}}} for group, host in groups.items()}
    return {"all": {"vars": shared, "children": children}}
