"""A server for everything and one camera: the smallest fleet that `site.yml` rolls out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import certificates, inventory, releases
from fleet import lab as labs
from fleet.lab import Lab, Played

SERVER, CAMERA = "hub", "solo"
VERSION = "0.1.1"
TARGETS = ("portal/x86_64/cp311", "device/x86_64/cp311")


@dataclass
class Pair:
    """Both machines, booted, and how they are rolled out and watched."""

    lab: Lab
    folder: Path
    tls: certificates.Certificates
    file: Path
    """The inventory."""
    played: Played | None = None
    """The last run."""

    @property
    def portal(self) -> str:
        """Its URL."""
        return f"https://{self.lab.machines[SERVER].address}"

    @property
    def sign_in(self) -> tuple[str, ...]:
        """Options of `pinhole watch`."""
        return inventory.sign_in(self.portal, self.folder)

    def play(self) -> Played:
        """`site.yml`, for everything."""
        self.played = self.lab.play(self.file).ok()
        return self.played


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Machines that have booted and nothing else."""
    key = releases.make_key(folder)
    release = releases.build(folder, VERSION, key, *TARGETS)
    inventory.write_password(folder)
    with labs.lab() as lab:
        for name in (SERVER, CAMERA):
            lab.add(name)
        lab.boot(SERVER, CAMERA)
        tls = certificates.make(folder, lab.machines[SERVER].address)
        made = Pair(lab, folder, tls, folder / "inventory.json")
        made.file.write_text(json.dumps(_inventory(made, release, key)))
        yield made


def _inventory(made: Pair, release: Path, key: Path) -> dict[str, Any]:
    groups = {"brokers": [SERVER], "turn_servers": [SERVER], "portals": [SERVER], "devices": [CAMERA]}
    own = {
        "portal_gate_s": inventory.GATE_S,
        "agent_settings": {
            "camera": {"source": "synthetic", "width_px": 640, "height_px": 360, "fps": 10},
            "camera.preview": {"enabled": True, "width_px": 320, "fps": 5},
        },
    }
    return inventory.inventory(made.lab, made.folder, made.tls, release, key, groups, own)
