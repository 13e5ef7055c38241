"""A broker, a TURN server, a portal and devices, each on a machine of its own, and releases for them."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import certificates, inventory, releases
from fleet import lab as labs
from fleet.lab import CONTROL, Lab, Played

SERVERS = ("broker", "turn", "portal")
TARGETS = ("portal/x86_64/cp311", "device/x86_64/cp311", "device/aarch64/cp311")
RELEASES_PORT = 8000
RELEASES = f"http://{CONTROL}:{RELEASES_PORT}"
"""Where devices pull from, while something is `serving` there."""
EMULATED = {"observability_enabled": False}
"""Such a machine is slow, and the exporter is seen on the others."""
CAMERA = {"source": "synthetic", "width_px": 320, "height_px": 180, "fps": 5}

_numbers = itertools.count()


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
        self, release: Path, *arguments: str, batches: Sequence[int | str] = ("100%",), **how: Any
    ) -> Played:
        """Roll a release out; `how` is `Lab.play`'s. A batch takes as long as its slowest machine."""
        file = self.folder / f"inventory-{next(_numbers)}.json"  # two may be under way
        file.write_text(json.dumps(self._inventory(release)))
        extra = json.dumps({"rollout_batches": batches})
        return self.lab.play(file, *arguments, "--extra-vars", extra, **how)

    def update(self, release: Path, *arguments: str, batches: Sequence[int | str] = ("100%",)) -> Played:
        """The release alone."""
        return self.play(release, *arguments, batches=batches, playbook="update.yml")

    def pinhole(self, *arguments: str, timeout_s: float = 60) -> str:
        """`pinhole` on the control host, signed in to the portal. Raises LabError."""
        portal = f"https://{self.lab.machines['portal'].address}"
        command = [*self.tls.trusting("pinhole"), *arguments, *inventory.sign_in(portal, self.folder)]
        return self.lab.shop.run(*command, timeout_s=timeout_s)

    def watch(self, device: str) -> dict[str, Any]:
        """What a viewer gets of a device."""
        return dict(json.loads(self.pinhole("watch", "--device", device, "--seconds", "2", "--json")))

    def versions(self, devices: Iterable[str]) -> dict[str, str]:
        """What runs where, as the devices themselves say."""
        return {device: self.lab.release(device)["current"] for device in devices}

    def _inventory(self, release: Path) -> dict[str, Any]:
        groups = {
            "brokers": ["broker"],
            "turn_servers": ["turn"],
            "portals": ["portal"],
            "devices": self.devices,
        }
        own = {
            "portal_turn_urls": [f"turn:{self.lab.machines['turn'].address}:3478"],
            "portal_turn_secret": inventory.TURN_SECRET,
            "agent_settings": {"camera": CAMERA},
            "agent_release_url": RELEASES,
            "agent_pull_jitter": "20h",  # so late that no timer's own look comes into a test
        }
        return inventory.inventory(self.lab, self.folder, self.tls, release, self.key, groups, own)


@contextmanager
def world(folder: Path, devices: dict[str, str], operators: Sequence[str] = ()) -> Iterator[World]:
    """Machines that have booted and nothing else; `devices` are architectures by name.

    On `operators` nobody signs in as root.
    """
    inventory.write_password(folder)
    with labs.lab() as lab:
        for name, arch in (dict.fromkeys(SERVERS, "amd64") | devices).items():
            lab.add(name, arch).variables |= EMULATED if arch == "arm64" else {}
        lab.boot(*lab.machines)
        for name in operators:
            lab.add_operator(name)
        tls = certificates.make(folder, lab.machines["portal"].address)
        yield World(lab, folder, releases.make_key(folder), tuple(devices), tls)


@contextmanager
def serving(made: World, folder: Path) -> Iterator[None]:
    """A web server on the control host, with a release."""
    server = subprocess.Popen(
        [*made.lab.shop.enter(), sys.executable, "-m", "http.server", "--bind", CONTROL, "--directory",
         str(folder), str(RELEASES_PORT)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        server.kill()
        server.wait()
