"""From a card to a picture, without a hand: Raspberry Pi OS 12 and 13 as they read a card, and our own image.

Flashed, booted, enrolled with the card's claim, watched, updated by Ansible and by itself, and booted again.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from fleet import cards, certificates, inventory, releases
from fleet import lab as labs
from fleet import world as worlds
from fleet.lab import Lab, wait_for
from parts import card

pytestmark = pytest.mark.timeout(1500)
SERVER = "hub"
FIRST, SECOND, THIRD = "0.8.1", "0.8.2", "0.8.3"
TARGETS = ("portal/x86_64/cp311", "device/x86_64/cp311", "device/x86_64/cp313")
SETTINGS = '[camera]\nsource = "synthetic"\nwidth_px = 320\nheight_px = 180\nfps = 5\n'
SUITES = {"bookworm": "bookworm", "trixie": "trixie", "ours": "trixie"}
KINDS = ["bookworm", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("trixie", "ours"))]
CLAIM = (
    "cd /var/lib/pinhole-portal && runuser -u pinhole-portal -- /opt/pinhole/current/bin/pinhole "
    "portal claim --device {name} -c /etc/pinhole/portal/portal.toml"
)


@dataclass
class Site:
    """A server, and whatever cards are put into machines beside it."""

    lab: Lab
    folder: Path
    key: Path
    tls: certificates.Certificates
    devices: list[str]

    @property
    def portal(self):
        """Its URL."""
        return f"https://{self.lab.machines[SERVER].address}"

    @property
    def public_key(self):
        """Whose releases are taken."""
        return self.key.with_suffix(".pub").read_text().strip()

    def release(self, version):
        """Made once."""
        made = self.folder / f"release-{version}"
        return made if made.exists() else releases.build(self.folder, version, self.key, *TARGETS)

    def play(self, version, host, playbook="site.yml"):
        """Roll a release out on one machine."""
        servers = {"brokers": [SERVER], "portals": [SERVER], "turn_servers": []}
        own = {
            "portal_gate_s": inventory.GATE_S,
            "agent_settings": {
                "camera": {"source": "synthetic", "width_px": 320, "height_px": 180, "fps": 5}
            },
            "agent_release_url": worlds.RELEASES,
            "agent_pull_jitter": "20h",
            "observability_enabled": False,
        }
        told = inventory.inventory(
            self.lab,
            self.folder,
            self.tls,
            self.release(version),
            self.key,
            servers | {"devices": self.devices},
            own,
        )
        file = self.folder / "inventory.json"
        file.write_text(json.dumps(told))
        return self.lab.play(file, "--limit", host, playbook=playbook).ok()

    def pinhole(self, *arguments):
        """On the control host, signed in."""
        command = [*self.tls.trusting("pinhole"), *arguments, *inventory.sign_in(self.portal, self.folder)]
        return self.lab.shop.run(*command)

    def is_seen(self, name):
        """Whether a viewer gets a picture."""
        seen = json.loads(self.pinhole("watch", "--device", name, "--seconds", "1", "--json"))
        return (seen["width_px"], seen["height_px"]) == (320, 180)

    def boot_from_card(self, kind, name):
        """A machine of this kind, from its card's first moment."""
        machine = self.lab.add(name, suite=SUITES[kind])
        if kind == "ours":
            cards.make_our_image(self.lab, machine, self.release(FIRST), [self.public_key])
            machine.variables["modem_enabled"] = True  # which takes NetworkManager
        code = self.lab.ssh(SERVER, CLAIM.format(name=name)).strip()
        (self.folder / "card.toml").write_text(SETTINGS)
        written = cards.flash(
            self.lab, self.folder, name, self.portal, code,
            "--ca-file", self.tls.file, "--settings", self.folder / "card.toml",
        )  # fmt: skip
        cards.insert(self.lab, machine, written)
        if kind == "bookworm":
            cards.read_custom_toml(self.lab, machine)
        elif kind == "trixie":
            cards.add_cloud_init(self.lab, machine)
        self.devices.append(name)
        self.lab.boot(name)
        if kind != "bookworm":
            self.lab.ssh(name, "cloud-init status --wait", 120)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    card.need_tools()
    folder = tmp_path_factory.mktemp("cards")
    inventory.write_password(folder)
    with labs.lab() as lab:
        lab.add(SERVER)
        lab.boot(SERVER)
        tls = certificates.make(folder, lab.machines[SERVER].address)
        made = Site(lab, folder, releases.make_key(folder), tls, [])
        made.play(FIRST, SERVER)
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_becomes_a_camera(kind, site):
    name = f"cam-{kind}"
    site.boot_from_card(kind, name)
    assert site.lab.ssh(name, "uname -n").strip() == name
    if kind == "ours":
        wait_for(lambda: site.is_seen(name), 90)  # nobody has touched it
        assert site.lab.release(name)["good"] == [FIRST]
    site.play(FIRST, name)
    assert site.lab.release(name)["current"] == FIRST
    assert site.is_seen(name)
    assert "done" in site.lab.ssh(name, "journalctl --unit=pinhole-enroll --output=cat")
    assert site.lab.ssh(name, "ls /boot/firmware/pinhole").split().count("claim.env") == 0
    # picamera2 comes with the role or the image, and the environment sees it.
    site.lab.ssh(name, "/opt/pinhole/current/bin/python -c 'import picamera2'")
    assert site.lab.ssh(name, "sudo pinhole --version")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SUITES)
def test_it_is_updated_by_ansible_and_by_itself_and_keeps_that(kind, site):
    name = f"cam-{kind}"
    site.play(SECOND, name, "update.yml")
    assert site.lab.release(name)["current"] == SECOND
    with worlds.serving(site, site.release(THIRD)):
        assert "asked" in site.pinhole("fleet", "look", name)
        wait_for(lambda: THIRD in site.lab.release(name)["good"], 240)
    site.lab.ssh(name, "systemctl --no-block reboot", check=False)
    site.lab.machines[name].popen.wait(120)
    site.lab.boot(name)
    wait_for(lambda: site.is_seen(name), 90)
    assert site.lab.release(name)["current"] == THIRD


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["trixie", "ours"])
def test_the_wifi_and_the_operator_come_with_the_card(kind, site):
    name = f"cam-{kind}"
    known = site.lab.ssh(name, "nmcli --terse --fields NAME,TYPE connection show")
    assert "wlan0" in known, known
    secret = site.lab.ssh(name, "grep -rh psk= /run/NetworkManager/system-connections")
    assert cards.WIFI_PASSWORD in secret
    assert site.lab.ssh(name, f"id -nG {cards.OPERATOR}")
