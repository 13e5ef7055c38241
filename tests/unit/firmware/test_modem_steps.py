"""What root does for a modem that hangs: each step by its script, and systemd's reading of its unit."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from parts.need import need
from parts.role import following, render, tasks

ROLE = Path(__file__).parents[3] / "ansible/roles/modem"
USB = ROLE / "files/usb/usr/local/libexec/pinhole/modem-usb"
APN = ROLE / "files/apn/usr/local/libexec/pinhole/modem-apn"
POWER = ROLE / "files/power/usr/local/libexec/pinhole/modem-power"
MAX_EXPOSURE = 2.0
"""Of 10: root that writes below /sys/devices."""


class Bus:
    """/sys/bus/usb/devices, and what was written into it, in order."""

    def __init__(self, folder):
        self.folder, self.bin, self.log = folder / "usb", folder / "bin", folder / "log"
        self.folder.mkdir()
        self.bin.mkdir()
        self.log.touch()

    def plug(self, name, vendor=None):
        device = self.folder / name
        device.mkdir()
        (device / "authorized").write_text("1\n")
        if vendor:  # an interface has none
            (device / "idVendor").write_text(f"{vendor}\n")
            (device / "product").write_text("EG25-G\n")
        return device / "authorized"

    def program(self, name, body):
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def run(self, script, **environ):
        return subprocess.run(
            ["/bin/sh", script],
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "USB_DEVICES": str(self.folder), **environ},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    @property
    def said(self):
        return self.log.read_text().splitlines()


@pytest.fixture
def bus(tmp_path):
    return Bus(tmp_path)


def test_the_modem_alone_is_plugged_anew(bus):
    modem, interface, camera = bus.plug("1-1", "2c7c"), bus.plug("1-1:1.0"), bus.plug("1-2", "046d")
    bus.program("sleep", f'cat "{modem}" "{interface}" "{camera}" >"{bus.log}"')
    done = bus.run(USB, MODEM_USB_VENDORS="2c7c 1e0e")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "plugging 1-1 (EG25-G) anew\n"
    assert bus.said == ["0", "1", "1"]
    assert modem.read_text() == "1\n"


def test_it_is_plugged_again_whatever_ends_the_script(bus):
    modem = bus.plug("1-1", "1e0e")
    bus.program("sleep", "kill -TERM $PPID")
    assert bus.run(USB, MODEM_USB_VENDORS="2c7c 1e0e").returncode == 1
    assert modem.read_text() == "1\n"


@pytest.mark.parametrize("vendors", ["2c7c", ""])
def test_where_there_is_no_modem_nothing_is_touched(bus, vendors):
    other = bus.plug("1-1", "12d1")
    other.write_text("as it was\n")
    done = bus.run(USB, MODEM_USB_VENDORS=vendors)
    assert (done.returncode, other.read_text()) == (0, "as it was\n")
    assert "no modem on USB" in done.stdout


def test_a_hub_switches_its_power(bus):
    bus.program("uhubctl", f'echo "$*" >"{bus.log}"')
    assert bus.run(POWER, MODEM_HUB="1-1", MODEM_HUB_PORT="2", MODEM_OFF_S="7").returncode == 0
    assert bus.said == ["-l 1-1 -p 2 -a cycle -d 7"]


def test_so_does_a_line_by_either_libgpiod(bus):
    bus.program("gpioset", f'echo "$*" >"{bus.log}"')
    line = {"MODEM_POWER_GPIO": "GPIO26", "MODEM_POWER_GPIO_LEVEL": "1"}
    assert bus.run(POWER, **line).returncode == 0
    assert bus.said == ["-t 5s,0 GPIO26=1"]
    bus.program("gpiofind", '[ "$1" = GPIO26 ] && echo gpiochip0 26')
    assert bus.run(POWER, **line).returncode == 0
    assert bus.said == ["-m time -s 5 gpiochip0 26=1"]


def test_a_line_that_is_not_there_is_a_fault(bus):
    bus.program("gpioset", "exit 0")
    bus.program("gpiofind", "exit 1")
    assert bus.run(POWER, MODEM_POWER_GPIO="GPIO99", MODEM_POWER_GPIO_LEVEL="0").returncode != 0


@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        ("internet.example", True), ("a", True), ("a-b.c1\n", True), ("", False), ("-x", False),
        ("a b", False), ("a;reboot", False), ("$(reboot)", False), ("a\nb", False),
    ],
)  # fmt: skip
def test_an_access_point_name_is_one_or_is_refused(bus, said, is_taken):
    bus.program("nmcli", f'echo "$*" >>"{bus.log}"')
    file = bus.folder / "modem-apn"
    file.write_text(said)
    done = bus.run(APN, APN_FILE=str(file))
    assert (done.returncode == 0) is is_taken
    name = said.strip()
    made = [f"connection modify pinhole-modem gsm.apn {name}", "--wait 30 connection up pinhole-modem"]
    assert bus.said == (made if is_taken else [])


def test_where_the_agent_leads_root_is_not_followed_and_never_said(bus):
    bus.program("nmcli", f'echo "$*" >>"{bus.log}"')
    (bus.folder / "shadow").write_text("root-secret")
    (bus.folder / "modem-apn").symlink_to(bus.folder / "shadow")
    done = bus.run(APN, APN_FILE=str(bus.folder / "modem-apn"))
    assert done.returncode != 0
    assert "secret" not in done.stdout + done.stderr
    assert bus.said == []


@pytest.fixture
def root(tmp_path):
    """A file system with both steps, Debian's targets, and stubs for what the units start."""
    need(shutil.which("systemd-analyze"), "needs systemd-analyze: sudo apt-get install systemd")
    for step in ("usb", "power", "apn"):
        shutil.copytree(ROLE / "files" / step, tmp_path, dirs_exist_ok=True)
    units = tmp_path / "etc/systemd/system"
    for target in Path("/lib/systemd/system").glob("*.target"):
        shutil.copy(target, units)
    return tmp_path


@pytest.mark.parametrize("step", ["usb", "power", "apn"])
def test_the_units_are_right_and_sandboxed(root, step):
    names = [f"pinhole-modem-{step}.path", f"pinhole-modem-{step}.service"]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", *names],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--root={root}", "--no-pager", names[1]],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1]) <= MAX_EXPOSURE
    path = (root / "etc/systemd/system" / names[0]).read_text()
    assert f"PathModified=/run/pinhole/modem-{step}\n" in path, "as agent/serial/modem/recovery.py writes it"


def test_the_agent_may_send_messages_only_where_the_role_says_so():
    rule = "50-pinhole.rules.j2"
    assert "ModemManager1.Messaging" not in render("modem", rule)
    assert "ModemManager1.Messaging" not in render("modem", rule, agent_settings={"sms": {"enabled": False}})
    assert "ModemManager1.Messaging" in render("modem", rule, modem_sms=True)
    assert "ModemManager1.Messaging" in render("modem", rule, agent_settings={"sms": {"enabled": True}})


AT = {"agent_settings": {"modem": {"backend": "at", "interface": "usb0"}}}


@pytest.mark.parametrize(
    ("variables", "steps"),
    [
        ({}, None),
        ({"agent_settings": {"modem": {"backend": "none"}}}, None),
        ({"modem_enabled": True}, ["usb", "apn"]),
        ({"modem_enabled": True, "modem_power_hub": "1-1"}, ["usb", "apn", "power"]),
        (AT, ["usb"]),
        (AT | {"modem_power_gpio": "GPIO26"}, ["usb", "power"]),
        (AT | {"modem_power_gpio": "GPIO26", "modem_usb_vendors": []}, ["power"]),
        ({"modem_power_hub": "1-1"}, ["usb", "power"]),
    ],
)
def test_a_modem_that_the_agent_asks_alone_has_its_steps_by_root_too(variables, steps):
    known = following("modem", **variables)
    assert known["modem_is_recovered"] is (steps is not None)
    if steps is not None:
        assert known["modem_steps"] == steps
    whens = [each.get("when") for each in tasks("modem") if "recovery.yml" in each.values()]
    assert whens == ["modem_is_recovered"]


@pytest.mark.parametrize("variables", [AT, {"modem_enabled": True}])
def test_it_has_its_second_address_and_its_messages_too(variables):
    variables = {"agent_device_id": "gate", "modem_second_address": "192.0.2.1:443", **variables}
    said = tomllib.loads(render("agent", "pinhole.toml.j2", **variables, modem_sms=True))
    backend = "at" if "agent_settings" in variables else "modemmanager"
    assert said["modem"] | {"interface": ""} == {
        "backend": backend, "interface": "", "recovery": {"second_address": "192.0.2.1:443"},
    }  # fmt: skip
    assert said["sms"] == {"enabled": True}
