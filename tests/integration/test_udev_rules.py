"""What udev makes of serial ports by our rules: the real udev, on devices that umockdev plays."""

import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
from parts.need import need

ROOT = Path(__file__).parents[2]
MODEM = ROOT / "firmware-config/rootfs/usr/lib/udev/rules.d/70-pinhole-modem.rules"
TEMPLATE = ROOT / "ansible/roles/firmware/templates/70-pinhole-serial.rules.j2"
PORTS = [
    {"name": "ptz", "vendor": "0403", "product": "6001", "serial": "A50285BI"},
    {"name": "gnss", "path": "1-1"},
    {"name": "bus", "vendor": "0403", "product": "6010", "interface": "01"},
]
DEVICE = """P: /devices/usb1/{usb}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
A: idVendor={vendor}\\n
A: idProduct={product}\\n
{serial}
P: /devices/usb1/{usb}/{usb}:1.{interface}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_interface
A: bInterfaceNumber=0{interface}\\n

P: /devices/usb1/{usb}/{usb}:1.{interface}/ttyUSB7
E: SUBSYSTEM=usb-serial

P: /devices/usb1/{usb}/{usb}:1.{interface}/ttyUSB7/tty/ttyUSB7
N: ttyUSB7
E: DEVNAME=/dev/ttyUSB7
E: SUBSYSTEM=tty
E: MAJOR=188
E: MINOR=7
E: ID_USB_INTERFACE_NUM=0{interface}
"""
IN_A_ROOM_OF_ITS_OWN = """
mount --bind rules /usr/lib/udev/rules.d
mount -t tmpfs run /run
mkdir dev && mount -t tmpfs dev dev
for node in null urandom; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/pts && mount --bind /dev/pts dev/pts && ln -s pts/ptmx dev/ptmx
mount --rbind dev /dev
umockdev-run -d device -- udevadm test --action=add "$1"
"""
"""The links are made there, and not on this machine."""


@pytest.fixture
def udev(tmp_path):
    """Rules and a device in, what udev says of it out."""
    need(shutil.which("udevadm"), "needs udev: sudo apt-get install udev")
    need(shutil.which("umockdev-run"), "needs umockdev: sudo apt-get install umockdev")

    def ask(rules, vendor, product, *, interface=3, usb="1-9", serial=""):
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules/70-pinhole.rules").write_text(rules)
        serial = f"A: serial={serial}\\n\n" if serial else ""
        device = DEVICE.format(vendor=vendor, product=product, interface=interface, usb=usb, serial=serial)
        (tmp_path / "device").write_text(device)
        path = f"/sys/devices/usb1/{usb}/{usb}:1.{interface}/ttyUSB7/tty/ttyUSB7"
        alone = ["unshare", "--user", "--map-root-user", "--mount"]
        done = subprocess.run(
            [*alone, "sh", "-eu", "-c", IN_A_ROOM_OF_ITS_OWN, "sh", path],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "SUBSYSTEM=tty" in said, said
        assert not re.search(r"70-pinhole.rules:\d+ (Invalid|Unknown|Failed)", said), said
        return dict(line.split("=", 1) for line in said.splitlines() if re.match(r"[A-Z_]+=", line))

    return ask


@pytest.mark.parametrize(
    ("vendor", "product", "interface", "is_ours"),
    [
        ("2c7c", "0125", 3, True),
        ("2c7c", "0125", 2, False),
        ("2c7c", "0800", 3, True),
        ("2c7c", "0121", 3, True),
        ("2c7c", "0296", 3, False),  # BG96: its 03 is what it is dialled by
        ("1e0e", "9001", 3, True),
        ("1e0e", "9001", 1, False),
        ("0403", "0125", 3, False),
    ],
)
def test_the_second_at_port_of_a_modem_is_the_agents_and_no_other(udev, vendor, product, interface, is_ours):
    found = udev(MODEM.read_text(), vendor, product, interface=interface)
    assert found.get("ID_MM_PORT_IGNORE") == ("1" if is_ours else None)
    assert found.get("DEVLINKS", "") == ("/dev/pinhole-modem" if is_ours else "")


@pytest.fixture
def rules():
    """As Ansible writes them."""
    template = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True).from_string(
        TEMPLATE.read_text()
    )
    return template.render(firmware_serial_ports=PORTS)


@pytest.mark.parametrize(
    ("device", "link"),
    [
        ({"vendor": "0403", "product": "6001", "serial": "A50285BI"}, "/dev/pinhole-ptz"),
        ({"vendor": "0403", "product": "6001", "serial": "OTHER"}, ""),
        ({"vendor": "1a86", "product": "7523", "usb": "1-1"}, "/dev/pinhole-gnss"),
        ({"vendor": "1a86", "product": "7523", "usb": "1-2"}, ""),
        ({"vendor": "0403", "product": "6010", "interface": 1}, "/dev/pinhole-bus"),
        ({"vendor": "0403", "product": "6010", "interface": 0}, ""),
    ],
)
def test_an_adapter_gets_its_name_and_modemmanager_leaves_it_alone(udev, rules, device, link):
    found = udev(rules, **device)
    assert found.get("DEVLINKS", "") == link
    assert found.get("ID_MM_PORT_IGNORE") == ("1" if link else None)


def test_without_ports_there_are_rules_that_do_nothing(udev):
    template = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True).from_string(
        TEMPLATE.read_text()
    )
    assert "DEVLINKS" not in udev(
        template.render(firmware_serial_ports=[]), "0403", "6001", serial="A50285BI"
    )
