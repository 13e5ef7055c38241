"""What goes onto the boot partition: settings of the firmware, of the first boot, and the claim."""

import fnmatch
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from flash.claims import Claim
from flash.configtxt import extended, lint
from flash.errors import FlashError

HERE = Path(__file__).resolve().parents[1]
"""firmware-config/."""
CLAIM_FILE = "pinhole/claim.env"
CA_ON_DEVICE = "/run/pinhole-enroll/portal-ca.pem"
"""Where take-claim puts it: the boot partition is for root alone."""
_SSH_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+( [^\"\\\n]*)?")
_USER = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class Wifi:
    """A network to join."""

    ssid: str
    password: str
    country: str


@dataclass(frozen=True, slots=True)
class Site:
    """What all devices of one run have in common."""

    portal: str
    user: str = "pi"
    ssh_keys: tuple[str, ...] = ()
    timezone: str = "Etc/UTC"
    wifi: Wifi | None = None
    settings: str | None = None
    """pinhole.toml, as it goes to the device."""
    ca: str | None = None
    """Authorities (PEM) that prove the portal, where they are not the system's."""
    boot_lines: tuple[str, ...] = ()
    """More for config.txt, such as a third-party sensor's overlay."""

    def __post_init__(self) -> None:
        """Everything that ends up in somebody else's syntax is checked first."""
        faults = [fault for fault in self._faults() if fault]
        if faults:
            raise FlashError("\n".join(faults))

    def _faults(self) -> list[str]:
        faults = [_portal_fault(self.portal)]
        if not _USER.fullmatch(self.user) or self.user == "root":
            faults.append(f"user {self.user!r}: a small letter, then letters, digits, - and _; not root")
        if not _TIMEZONE.fullmatch(self.timezone):
            faults.append(f"time zone {self.timezone!r}: such as Europe/Berlin")
        faults += [f"no SSH public key: {key[:40]!r}" for key in self.ssh_keys if not _SSH_KEY.fullmatch(key)]
        if self.wifi:
            faults += _wifi_faults(self.wifi)
        if self.ca is not None and "-----BEGIN CERTIFICATE-----" not in self.ca:
            faults.append("the authorities are no certificates in PEM")
        if self.settings is not None:
            try:
                tomllib.loads(self.settings)
            except tomllib.TOMLDecodeError as exc:
                faults.append(f"the settings are no TOML: {exc}")
        try:
            extended("", self.boot_lines)
        except FlashError as exc:
            faults.append(str(exc))
        return faults


def render(site: Site, claim: Claim, cmdline: str) -> dict[str, bytes]:
    """Path on the boot partition to content; `cmdline` is the image's own."""
    values = {
        "hostname": claim.device,
        "instance": f"pinhole-{claim.device}",
        "user": site.user,
        "timezone": site.timezone,
        "ssh_keys": _quoted(list(site.ssh_keys)),
        "wifi": _netplan_wifi(site.wifi),
    }
    config = _text("boot/config.txt")
    if faults := lint(config):
        raise FlashError("config.txt: " + "; ".join(map(str, faults)))
    files = {
        "config.txt": extended(config, site.boot_lines),
        "cmdline.txt": change_cmdline(cmdline, tomllib.loads(_text("boot/cmdline.toml"))),
        **{
            name: _filled(f"cloud-init/{name}", values)
            for name in ("user-data", "network-config", "meta-data")
        },
        "custom.toml": _filled("cloud-init/custom.toml", _toml_values(site, claim)),
        CLAIM_FILE: f"PINHOLE_PORTAL={site.portal}\nPINHOLE_DEVICE={claim.device}\n"
        f"PINHOLE_CODE={claim.code}\n" + (f"PINHOLE_OPTIONS=--ca-file {CA_ON_DEVICE}\n" if site.ca else ""),
    }
    if site.ca is not None:
        files["pinhole/portal-ca.pem"] = site.ca
    if site.settings is not None:
        files["pinhole/pinhole.toml"] = site.settings
    return {name: text.encode() for name, text in files.items()}


def change_cmdline(line: str, changes: Mapping[str, list[str]]) -> str:
    """One line of words: without those that match a pattern of `remove`, with those of `add` once."""
    words = [
        word
        for word in line.split()
        if not any(fnmatch.fnmatchcase(word, each) for each in changes["remove"])
    ]
    words += [word for word in changes["add"] if word not in words]
    return " ".join(words) + "\n"


def _text(name: str) -> str:
    return (HERE / name).read_text()


def _filled(name: str, values: Mapping[str, str]) -> str:
    return Template(_text(name)).substitute(values)


def _toml_values(site: Site, claim: Claim) -> dict[str, str]:
    wlan = ""
    if site.wifi:
        wlan = (
            f"[wlan]\nssid = {_quoted(site.wifi.ssid)}\npassword = {_quoted(site.wifi.password)}\n"
            f"password_encrypted = false\nhidden = false\ncountry = {_quoted(site.wifi.country)}\n"
        )
    return {
        "hostname": _quoted(claim.device),
        "user": _quoted(site.user),
        "ssh_keys": _quoted(list(site.ssh_keys)),
        "timezone": _quoted(site.timezone),
        "wlan": wlan,
    }


def _quoted(value: str | list[str]) -> str:
    """As in JSON, TOML and YAML alike; what JSON escapes beyond ASCII, TOML would refuse."""
    return json.dumps(value, ensure_ascii=False)


def _netplan_wifi(wifi: Wifi | None) -> str:
    if wifi is None:
        return ""
    return (
        "wifis:\n  wlan0:\n    dhcp4: true\n    optional: true\n"
        f"    regulatory-domain: {_quoted(wifi.country)}\n"
        f"    access-points:\n      {_quoted(wifi.ssid)}:\n        password: {_quoted(wifi.password)}\n"
    )


def _wifi_faults(wifi: Wifi) -> list[str]:
    faults = []
    if not wifi.ssid.isprintable() or not 1 <= len(wifi.ssid.encode()) <= 32:  # IEEE 802.11, 9.4.2.2
        faults.append("Wi-Fi: a name has 1 to 32 bytes")
    if not wifi.password.isprintable() or not 8 <= len(wifi.password) <= 63:  # WPA2 passphrase
        faults.append("Wi-Fi: a password has 8 to 63 characters")
    if not _COUNTRY.fullmatch(wifi.country):
        faults.append("Wi-Fi: the country is two capital letters; without it the radio stays off")
    return faults


def _portal_fault(portal: str) -> str:
    parts = urlsplit(portal)
    if parts.scheme != "https" or not parts.hostname or not re.fullmatch(r"[!-~]+", portal):
        return f"portal {portal!r}: an https:// address: over http anybody could pose as the portal"
    return ""
