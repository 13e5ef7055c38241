"""What the doctor says of a serial port: on a machine that is a folder."""

import os
from pathlib import Path

import pytest

from agent.config import GnssSettings, ModemSettings, PtzSettings, Settings
from agent.doctor.serial_port import judge_port, ports_of, read_port

PI5, PI4 = "Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 4 Model B Rev 1.5"


class Machine:
    """/dev, /proc and /sys in a folder."""

    def __init__(self, root):
        self.root = root
        for folder in ("dev/serial/by-id", "proc", "sys/class/tty/console"):
            (root / folder).mkdir(parents=True)

    def plug(self, name="ttyUSB0", number="A50285BI"):
        (self.root / "dev" / name).touch()
        usb = self.root / "sys/devices/1-1"
        port = usb / "1-1:1.0" / name
        port.mkdir(parents=True)
        (self.root / "sys/class/tty" / name).mkdir()
        (self.root / "sys/class/tty" / name / "device").symlink_to(port)
        (self.root / "sys/class/tty" / name / "dev").write_text("188:259\n")
        if number:
            (usb / "serial").write_text(number)

    def run(self, pid, *words, comm, port="ttyUSB0", tty_number=0):
        process = self.root / "proc" / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "fd/5").symlink_to(self.root / "dev" / port)
        (process / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
        (process / "comm").write_text(comm + "\n")
        (process / "stat").write_text(f"{pid} ({comm}) S 1 {pid} {pid} {tty_number} {pid} 4194560\n")

    def judge(self, path="/dev/ttyUSB0", model=PI4, name="ptz"):
        return judge_port(read_port(name, path, model, self.root))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_port_that_is_free(machine):
    machine.plug()
    found = machine.judge()
    assert (found.verdict, found.message) == ("good", "/dev/ttyUSB0 is /dev/ttyUSB0")


def test_a_name_leads_to_its_device(machine):
    machine.plug()
    (machine.root / "dev/pinhole-ptz").symlink_to("ttyUSB0")
    machine.run(
        812, "/opt/pinhole/current/bin/python", "/opt/pinhole/current/bin/pinhole", "run", comm="python3"
    )
    found = machine.judge("/dev/pinhole-ptz")
    assert (found.verdict, found.message) == (
        "good",
        "/dev/pinhole-ptz is /dev/ttyUSB0, and the agent has it open",
    )


def test_two_names_of_one_device(machine):
    machine.plug()
    (machine.root / "dev/pinhole-ptz").symlink_to("ttyUSB0")
    machine.run(812, "/opt/pinhole/current/bin/pinhole", "run", comm="python3")
    ports = {"ptz": "/dev/pinhole-ptz", "modem": "/dev/ttyUSB0"}
    found = judge_port(read_port("ptz", ports["ptz"], PI4, machine.root, ports))
    assert found.message == "/dev/pinhole-ptz is /dev/ttyUSB0, and so is the port of modem"


@pytest.mark.parametrize(("number", "lasting"), [("A50285BI", "by-id/usb-FTDI"), ("", "by-path/pci-0:1-1")])
def test_a_name_that_changes_gives_way_to_the_one_that_stays(machine, number, lasting):
    machine.plug(number=number)
    for name in ("by-id/usb-FTDI", "by-path/pci-0:1-1"):
        (machine.root / "dev/serial" / name).parent.mkdir(exist_ok=True)
        (machine.root / "dev/serial" / name).symlink_to("../../ttyUSB0")
    found = machine.judge()
    assert (found.verdict, found.advice) == ("warning", f"name it by /dev/serial/{lasting}")
    assert machine.judge(f"/dev/serial/{lasting}").verdict == "good"


@pytest.mark.parametrize(
    ("comm", "message", "advice"),
    [
        ("ModemManager", "ModemManager has /dev/ttyUSB0 open", "ID_MM_PORT_IGNORE"),
        ("agetty", "a login runs on /dev/ttyUSB0", "mask --now serial-getty@ttyUSB0.service"),
        ("minicom", "/dev/ttyUSB0 is held by minicom (process 77)", "end that program"),
    ],
)
def test_who_holds_it_is_named(machine, comm, message, advice):
    machine.plug()
    machine.run(77, f"/usr/bin/{comm}", comm=comm)
    machine.run(78, "/usr/bin/other", comm="other", port="null")
    found = machine.judge()
    assert (found.verdict, found.message) == ("warning", message)
    assert advice in found.advice


TTY_NUMBER = os.makedev(188, 259)  # as the kernel tells it too: new_encode_dev


@pytest.fixture
def is_stranger(monkeypatch):
    """Open files of other users' processes are closed to us, as the kernel has it."""

    def closed(_folder):
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", closed)


@pytest.mark.usefixtures("is_stranger")
def test_who_may_not_see_the_holders_does_not_call_it_good(machine):
    machine.plug()
    machine.run(77, "/usr/sbin/ModemManager", comm="ModemManager")
    found = machine.judge()
    assert (found.verdict, "not known" in found.message, "sudo" in found.advice) == ("unknown", True, True)


@pytest.mark.usefixtures("is_stranger")
@pytest.mark.parametrize("comm", ["agetty", "login", "a) S 1 (b"])
def test_a_login_shows_to_everybody_by_its_terminal(machine, comm):
    machine.plug()
    machine.run(78, "/sbin/agetty", "-", "vt220", comm=comm, tty_number=TTY_NUMBER)
    found = machine.judge()
    assert (found.verdict, comm in found.message or "a login" in found.message) == ("warning", True)


@pytest.mark.usefixtures("is_stranger")
def test_a_login_elsewhere_is_none_of_ours(machine):
    machine.plug()
    machine.run(78, "/sbin/agetty", "-", "linux", comm="agetty", tty_number=os.makedev(4, 1))
    assert machine.judge().verdict == "unknown"


def test_a_file_that_a_holder_closes_meanwhile_hides_no_other(machine):
    machine.plug()
    machine.run(77, "/usr/bin/minicom", comm="minicom")
    (machine.root / "proc/77/fd/3").touch()  # no link: as one that is gone, its readlink fails
    assert "held by minicom" in machine.judge().message


def test_gpsd_may_have_the_receivers_port_and_no_other(machine, monkeypatch):
    machine.plug()
    machine.run(77, "/usr/sbin/gpsd", comm="gpsd")
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = machine.judge(name="gnss")
    assert (found.verdict, found.message) == ("good", "/dev/ttyUSB0 is /dev/ttyUSB0, and gpsd has it open")
    assert "held by gpsd" in machine.judge().message
    machine.run(79, "/usr/bin/minicom", comm="minicom")
    assert machine.judge(name="gnss").message == "/dev/ttyUSB0 is held by minicom (process 79)"


@pytest.mark.parametrize("cmdline", ["console=tty1 console=ttyAMA0,115200 quiet", "console=ttyAMA0"])
def test_a_console_on_it(machine, cmdline):
    machine.plug("ttyAMA0")
    (machine.root / "proc/cmdline").write_text(cmdline)
    assert "kernel writes its log" in machine.judge("/dev/ttyAMA0").message


def test_a_console_elsewhere_is_none_of_ours(machine):
    machine.plug("ttyAMA0")
    (machine.root / "proc/cmdline").write_text("console=ttyAMA10,115200 root=/dev/ttyAMA0")
    (machine.root / "sys/class/tty/console/active").write_text("tty0 ttyAMA10\n")
    assert machine.judge("/dev/ttyAMA0").verdict == "good"


def test_a_port_without_the_right_to_it(machine, monkeypatch):
    machine.plug()
    node = machine.root / "dev/ttyUSB0"
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (node, os.R_OK | os.W_OK))
    found = machine.judge()
    assert (found.message, "group dialout" in found.advice) == ("no right to use /dev/ttyUSB0", True)


def test_two_adapters_without_a_number_have_one_name(machine):
    machine.plug(number="")
    (machine.root / "dev/serial/by-id/usb-1a86_USB_Serial-if00-port0").symlink_to("../../ttyUSB0")
    found = machine.judge("/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0")
    assert (found.verdict, "by-path" in found.advice) == ("warning", True)
    assert machine.judge().verdict == "good", "nobody relies on its number"


@pytest.mark.parametrize(
    ("path", "model", "advice"),
    [
        ("/dev/ttyAMA0", PI5, "dtparam=uart0=on under [pi5]"),
        ("/dev/ttyAMA0", "Raspberry Pi Compute Module 5 Rev 1.0", "dtparam=uart0=on under [pi5]"),
        ("/dev/ttyAMA0", PI4, "enable_uart=1"),
        ("/dev/pinhole-ptz", PI5, "is it plugged in?"),
    ],
)
def test_a_port_that_is_not_there(machine, path, model, advice):
    found = machine.judge(path, model)
    assert (found.verdict, found.message) == ("warning", f"{path} is not there")
    assert advice in found.advice


def test_a_name_that_no_file_has_is_not_there(machine):
    path = "/dev/" + "a" * 300
    assert machine.judge(path).message == f"{path} is not there"


def test_the_settings_name_the_ports():
    assert ports_of(Settings()) == {}
    named = Settings(
        modem=ModemSettings(backend="at"), ptz=PtzSettings(port="udp://192.0.2.7", protocol="visca-ip")
    )
    assert ports_of(named) == {"modem": "/dev/pinhole-modem"}
    assert ports_of(Settings(ptz=PtzSettings(port="/dev/ttyAMA0"))) == {"ptz": "/dev/ttyAMA0"}
    receiver = GnssSettings(source="/dev/pinhole-gnss")
    assert ports_of(Settings(gnss=receiver)) == {"gnss": "/dev/pinhole-gnss"}
    assert ports_of(Settings(gnss=GnssSettings(source="gpsd"))) == {}
