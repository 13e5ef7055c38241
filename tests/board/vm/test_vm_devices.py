"""A modem and a camera that the kernel plays: their names, who may use them, what the sandbox allows."""

import json
import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # with the disk made anew

THEIR_RULES = r"""
SUBSYSTEM=="dma_heap", GROUP="video", MODE="0660"
SUBSYSTEM=="dma_heap", KERNEL=="system", SYMLINK+="dma_heap/vidbuf_cached"
"""
"""Raspberry Pi OS's 60-dma-heap.rules, as it works on a Pi 5; here `system` is the one heap."""
ASK = "setpriv --reuid=pinhole --regid=pinhole --init-groups python3 /srv/inside/at.py"
"""As the agent's user."""
PROBE = (
    "[Unit]\nOnFailure=\n[Service]\nType=oneshot\nRestart=no\nExecStart=\n"
    "ExecStart=/usr/bin/python3 /srv/inside/probe.py {devices}\n"
    "StandardOutput=truncate:/run/probe.json\n"
)
DROP_IN = "/run/systemd/system/pinhole.service.d/probe.conf"


@pytest.fixture(scope="module")
def modem(board):
    """Plugged in."""
    board.run("sh /srv/inside/modem.sh plug")
    board.until("test -c /dev/pinhole-modem && udevadm settle", 60)
    return board


@pytest.fixture(scope="module")
def camera(board):
    """A driver that makes pictures, as a USB camera's does: raw, by V4L2."""
    board.run("modprobe vivid n_devs=1 node_types=0x1 && udevadm settle")
    return board


def properties(board, device):
    lines = board.run(f"udevadm info --query=property --name={device}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_second_port_is_ours_and_the_first_is_not(modem):
    ports = modem.run("ls /dev/ttyUSB*").split()
    assert len(ports) == 2
    found = {each["ID_USB_INTERFACE_NUM"]: each for each in (properties(modem, port) for port in ports)}
    assert set(found) == {"02", "03"}
    assert "ID_MM_PORT_IGNORE" not in found["02"]
    assert found["03"]["ID_MM_PORT_IGNORE"] == "1"
    assert modem.run("readlink -f /dev/pinhole-modem").strip() == found["03"]["DEVNAME"]
    assert modem.run(f"{ASK} /dev/pinhole-modem AT+CSQ").strip() == "+CSQ: 21,99 OK"


def test_modemmanager_beside_us_leaves_it_alone(modem):
    modem.run("systemctl start ModemManager")
    try:
        modem.until("mmcli -m any | grep -q ignored", 120)
        said = modem.run("mmcli -m any")
        ours = modem.run("basename $(readlink -f /dev/pinhole-modem)").strip()
        assert re.search(r"plugin: quectel", said), said
        assert f"{ours} (ignored)" in said, said
        assert modem.run(f"{ASK} /dev/pinhole-modem AT+CSQ").strip() == "+CSQ: 21,99 OK"
    finally:
        modem.run("systemctl stop ModemManager")


def test_the_ports_vanish_and_come_back_under_their_name(modem):
    """Under a program that has one open, and does not let go at once: the port has another number then."""
    before = modem.run("readlink -f /dev/pinhole-modem").strip()
    modem.run(
        "systemd-run --quiet --unit=holder --property=StandardOutput=truncate:/run/holder "
        "python3 /srv/inside/at.py /dev/pinhole-modem AT --hold"
    )
    modem.until("grep -q OK /run/holder", 60)
    modem.run("sh /srv/inside/modem.sh unplug")
    gone_s = modem.until("! test -e /dev/pinhole-modem && ! ls /dev/ttyUSB* && grep -q lost: /run/holder", 60)
    assert modem.run("ls /sys/bus/usb/drivers/cdc_ether | grep : || true") == "", "the link is gone too"
    modem.run("sh /srv/inside/modem.sh plug")
    back_s = modem.until("test -c /dev/pinhole-modem && udevadm settle", 60)
    after = modem.run("readlink -f /dev/pinhole-modem").strip()
    print(f"\ngone after {gone_s:.1f} s, back after {back_s:.1f} s: {before}, then {after}")
    modem.run("systemctl stop holder")
    assert properties(modem, "/dev/pinhole-modem")["ID_USB_INTERFACE_NUM"] == "03"
    assert modem.run(f"{ASK} /dev/pinhole-modem AT+CSQ").strip() == "+CSQ: 21,99 OK"


@pytest.mark.usefixtures("modem")
def test_the_agents_group_may_use_what_a_camera_needs(camera):
    """With Raspberry Pi OS's own rule beside ours, and without."""
    owners = "stat -L -c '%n %G %a' /dev/dma_heap/system /dev/video0 /dev/pinhole-modem"
    wanted = ["/dev/dma_heap/system video 660", "/dev/video0 video 660", "/dev/pinhole-modem dialout 660"]
    assert camera.run(owners).splitlines() == wanted
    camera.run(
        f"mkdir -p /run/udev/rules.d; cat >/run/udev/rules.d/60-dma-heap.rules <<'EOF'\n{THEIR_RULES}EOF\n"
        "udevadm control --reload && udevadm trigger --settle --subsystem-match=dma_heap"
    )
    assert camera.run(owners).splitlines() == wanted


@pytest.mark.usefixtures("modem")
def test_the_sandbox_lets_the_devices_through_and_nothing_else(camera):
    devices = {"/dev/video0": "yes", "/dev/dma_heap/system": "yes", "/dev/pinhole-modem": "yes",
               "/dev/vda": "EACCES", "/dev/kmsg": "EACCES"}  # fmt: skip
    unit = PROBE.format(devices=" ".join(devices))
    camera.run(
        f"mkdir -p $(dirname {DROP_IN}) && cat >{DROP_IN} <<'EOF'\n{unit}EOF\n"
        "touch /etc/pinhole/pinhole.toml && systemctl daemon-reload && systemctl start pinhole"
    )
    camera.run(f"rm {DROP_IN} /etc/pinhole/pinhole.toml && systemctl daemon-reload")
    found = json.loads(camera.run("cat /run/probe.json"))
    assert found == devices | {
        "a buffer": "yes",
        "/var/lib/pinhole": "yes", "/run/pinhole": "yes",
        "/etc/pinhole": "EROFS", "/opt/pinhole": "EROFS", "/usr": "EROFS", "/var/lib": "EROFS",
        "/etc/shadow": "EACCES", "another's process": "ENOENT", "raw packets": "EAFNOSUPPORT",
        "packages that it could write": "no",
    }  # fmt: skip
