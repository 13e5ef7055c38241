"""Which interfaces lead out, by files of the kernel's."""

import pytest

from agent.serial.modem.routes import is_on_device, other_ways, port_device, share_device, usb_device

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
ZERO = "0" * 32


class Kernel:
    """/proc/net and /sys/class/net."""

    def __init__(self, folder):
        self.proc, self.sys = folder / "proc", folder / "sys"
        self.proc.mkdir()
        (self.proc / "route").write_text(HEAD)

    def link(self, name, kind="1", state="up", uevent=""):
        folder = self.sys / name
        folder.mkdir(parents=True)
        for file, text in (("type", kind), ("operstate", state), ("uevent", uevent)):
            (folder / file).write_text(f"{text}\n")

    def route(self, name, target="00000000", mask="00000000", flags="0003"):
        with (self.proc / "route").open("a") as file:
            file.write(f"{name}\t{target}\t010200C0\t{flags}\t0\t0\t100\t{mask}\t0\t0\t0\n")

    def route_6(self, name, target=ZERO, length="00", flags="00000003"):
        with (self.proc / "ipv6_route").open("a") as file:
            file.write(f"{target} {length} {ZERO} 00 {ZERO} 00000400 00000003 00000000 {flags} {name:>8}\n")

    def plug(self, name, device):
        """Such a part of a USB device, as the kernel links it."""
        folder = self.sys.parent / "devices" / device
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "idVendor").touch()
        place = folder / f"{device}:1.0" / name
        place.parent.mkdir(exist_ok=True)
        (self.sys / name).rename(place)
        (self.sys / name).symlink_to(place)

    def ways(self, modem=None, device=None):
        return other_ways(modem, device, self.proc, self.sys)


@pytest.fixture
def kernel(tmp_path):
    return Kernel(tmp_path)


def test_cable_and_wifi_are_other_ways(kernel):
    for name in ("wlan0", "eth0", "wwan0"):
        kernel.link(name, uevent="DEVTYPE=wwan" if name == "wwan0" else "")
        kernel.route(name)
    assert kernel.ways() == "eth0, wlan0"


def test_a_way_by_ipv6_alone_is_one(kernel):
    kernel.link("eth0")
    kernel.route_6("eth0")
    assert kernel.ways() == "eth0"


def test_what_only_reaches_neighbours_refuses_or_is_down_is_none(kernel):
    for name, state in (("eth0", "up"), ("eth1", "up"), ("eth2", "down")):
        kernel.link(name, state=state)
    kernel.route("eth0", target="000200C0", mask="00FFFFFF")
    kernel.route("eth1", flags="0203")
    kernel.route("eth2")
    kernel.route_6("eth0", target="fe80" + "0" * 28, length="40")
    kernel.route_6("lo", flags="00200200")
    assert kernel.ways() == ""


@pytest.mark.parametrize(("name", "kind"), [("ppp0", "512"), ("wg0", "65534"), ("wwan0", "519")])
def test_tunnels_and_modems_are_none(kernel, name, kind):
    kernel.link(name, kind)
    kernel.route(name)
    assert kernel.ways() == ""


def test_the_modems_own_interface_looks_like_a_cable_and_is_named_by_the_settings(kernel):
    kernel.link("usb0")
    kernel.route("usb0")
    assert kernel.ways() == "usb0"
    assert kernel.ways(modem="usb0") == ""


def test_an_interface_on_the_modems_usb_device_is_its_own(kernel):
    for name, device in (("usb0", "1-1.2"), ("ttyUSB2", "1-1.2"), ("eth0", "1-1.1")):
        kernel.link(name)
        kernel.route(name)
        kernel.plug(name, device)
    kernel.link("wlan0")
    kernel.route("wlan0")
    port = port_device("/dev/ttyUSB2", kernel.sys)
    assert usb_device(port).name == "1-1.2"
    (kernel.sys / "ttyUSB2" / "type").write_text("a port is none")
    assert kernel.ways(device=port) == "eth0, wlan0"
    assert kernel.ways(device=kernel.sys.parent / "devices/1-1.2") == "eth0, wlan0"


def test_a_port_on_no_usb_device_makes_no_interface_its_own(kernel):
    kernel.link("eth0")
    kernel.route("eth0")
    assert kernel.ways(device=port_device("/dev/ttyAMA0", kernel.sys)) == "eth0"


def test_without_routes_or_ipv6_there_is_none(kernel):
    assert kernel.ways() == ""
    kernel.route("gone0")
    assert kernel.ways() == ""


def test_a_receiver_on_the_modems_usb_device_is_the_modems(kernel):
    for name, device in (("ttyUSB1", "1-1.2"), ("ttyUSB2", "1-1.2"), ("ttyUSB4", "1-1.3")):
        kernel.link(name)
        kernel.plug(name, device)
    assert share_device("/dev/ttyUSB2", "/dev/ttyUSB1", kernel.sys)
    for other in ("/dev/ttyUSB4", "/dev/ttyAMA0", ""):
        assert not share_device("/dev/ttyUSB2", other, kernel.sys)
    assert not share_device("/dev/ttyAMA0", "/dev/ttyAMA0", kernel.sys)
    modem = (kernel.sys / "ttyUSB1").resolve()
    assert is_on_device("/dev/ttyUSB2", modem, kernel.sys)
    for other in ("/dev/ttyUSB4", "/dev/ttyAMA0", ""):
        assert not is_on_device(other, modem, kernel.sys)
    assert not is_on_device("/dev/ttyUSB2", kernel.sys, kernel.sys), "no modem is there"
