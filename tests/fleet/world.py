"""A broker, a TURN server, a portal and devices, each on a machine of its own, and releases for them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import certificates, releases
from fleet import lab as labs
from fleet.lab import CONTROL, Lab, Played

SERVERS = ("broker", "turn", "portal")
USER, PASSWORD = "fleet", "a-password-of-the-test"
TARGETS = ("portal/x86_64/cp311", "device/x86_64/cp311", "device/aarch64/cp311")
GATE_S = 60
CAMERA = {"source": "synthetic", "width_px": 320, "height_px": 180, "fps": 5}


@dataclass
class World:
    """What the tests share."""

    lab: Lab
    folder: Path
    key: Path
    devices: tuple[str, ...]
    tls: certificates.Certificates
    """Of the portal."""

    def build(self, version: str, spoil: releases.Spoil | None = None) -> Path:
        """A release of this tree, or of a spoilt one."""
        return releases.build(self.folder, version, self.key, *TARGETS, spoil=spoil)

    def play(
        self, release: Path, *arguments: str, batches: Sequence[int | str] = (1, "100%"), **more: Any
    ) -> Played:
        """Roll a release out; `more` are variables. A batch takes as long as its slowest machine."""
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps(self._inventory(release, more)))
        extra = json.dumps({"rollout_batches": batches})
        return self.lab.play(inventory, *arguments, "--extra-vars", extra)

    def pinhole(self, *arguments: str, timeout_s: float = 60) -> str:
        """`pinhole` on the control host, signed in to the portal. Raises LabError."""
        portal = f"https://{self.lab.machines['portal'].address}"
        command = [*self.tls.trusting("pinhole"), *arguments, "--portal", portal]
        return self.lab.shop.run(
            *command, "--user", USER, "--password-file", str(self.folder / "password"), timeout_s=timeout_s
        )

    def watch(self, device: str) -> dict[str, Any]:
        """What a viewer gets of a device."""
        return dict(json.loads(self.pinhole("watch", "--device", device, "--seconds", "2", "--json")))

    def versions(self) -> dict[str, str]:
        """What runs where, as the devices themselves say."""
        return {device: self.lab.release(device)["current"] for device in self.devices}

    def _inventory(self, release: Path, more: dict[str, Any]) -> dict[str, Any]:
        address = {name: machine.address for name, machine in self.lab.machines.items()}
        turn = f"turn:{address['turn']}:3478"
        shared = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.folder / "id"),
            "turn_secret": "a-secret-of-the-test",
            "turn_denied_peers": [],  # here everybody is in a private network
            "portal_users": [{"name": USER, "role": "admin", "password": PASSWORD}],
            "portal_broker_host": address["broker"],
            "portal_cert": self.tls.chain,
            "portal_key": self.tls.key,
            "portal_turn_urls": [turn],
            "portal_turn_secret": "a-secret-of-the-test",
            "portal_release_dir": str(release),
            "portal_release_public_keys": [self.key.with_suffix(".pub").read_text().strip()],
            "agent_portal_url": f"https://{address['portal']}",
            "agent_portal_ca": self.tls.authority,
            "agent_settings": {"camera": CAMERA},
            "agent_release_dir": str(release),
            "agent_release_public_keys": [self.key.with_suffix(".pub").read_text().strip()],
            "agent_gate_s": GATE_S,
            "agent_watch_portal": f"https://{address['portal']}",
            "agent_watch_command": self.tls.trusting("pinhole"),
            "agent_watch_user": USER,
            "agent_watch_password_file": str(self.folder / "password"),
        }
        groups: dict[str, Sequence[str]] = {
            "brokers": ["broker"],
            "turn_servers": ["turn"],
            "portals": ["portal"],
            "devices": self.devices,
        }
        return {
            "all": {
                "vars": shared | more,
                "children": {
                    group: {"hosts": {host: {"ansible_host": address[host]} for host in hosts}}
                    for group, hosts in groups.items()
                },
            }
        }


@contextmanager
def world(folder: Path, devices: dict[str, str]) -> Iterator[World]:
    """Machines that have booted and nothing else; `devices` are architectures by name."""
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    with labs.lab() as lab:
        for name, arch in (dict.fromkeys(SERVERS, "amd64") | devices).items():
            lab.add(name, arch)
        lab.boot(*lab.machines)
        tls = certificates.make(folder, lab.machines["portal"].address)
        yield World(lab, folder, releases.make_key(folder), tuple(devices), tls)


@contextmanager
def serving(made: World, folder: Path, port: int = 8000) -> Iterator[str]:
    """A web server on the control host; its URL."""
    server = subprocess.Popen(
        [*made.lab.shop.enter(), sys.executable, "-m", "http.server", "--bind", CONTROL, "--directory",
         str(folder), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://{CONTROL}:{port}"
    finally:
        server.kill()
        server.wait()
