"""Which interfaces beside the modem lead out of this machine, by the kernel's routes."""

from collections.abc import Iterator
from pathlib import Path

# linux/route.h, linux/if_arp.h
_UP, _REJECT = 0x0001, 0x0200
_ETHERNET = "1"
"""Wi-Fi, bridges and VLANs too; tunnels, PPP and most modems are of other types."""


def other_ways(
    modem: str | None,
    device: Path | None,
    proc: Path = Path("/proc/net"),
    sys: Path = Path("/sys/class/net"),
) -> str:
    """Names of interfaces with a default route that are not a modem's; empty where there is none.

    `modem` is the interface that the settings name, `device` is the modem's own, as in `Modem`: an interface
    on the same USB device is its own too. One of which nobody can tell counts as another way.
    """
    names = sorted({*_default_4(proc / "route"), *_default_6(proc / "ipv6_route")} - {modem})
    own = usb_device(device) if device else None
    ways = (name for name in names if _is_a_way(sys / name))
    return ", ".join(name for name in ways if own is None or usb_device(sys / name) != own)


def usb_device(place: Path) -> Path | None:
    """The USB device that something in /sys is a part of; None where it hangs on another bus."""
    whole = place.resolve()
    return next((each for each in (whole, *whole.parents) if (each / "idVendor").exists()), None)


def port_device(port: str, sys: Path = Path("/sys/class/tty")) -> Path:
    """What the kernel knows of a serial port, which may be a link to another name."""
    return sys / Path(port).resolve().name


def share_device(port: str, other: str, sys: Path = Path("/sys/class/tty")) -> bool:
    """Whether two serial ports are of one USB device, as a modem's for commands and for NMEA are."""
    device = usb_device(port_device(port, sys))
    return device is not None and device == usb_device(port_device(other, sys))


def is_on_device(port: str, place: Path, sys: Path = Path("/sys/class/tty")) -> bool:
    """Whether a serial port is of the USB device that is at this place in /sys."""
    device = usb_device(place)
    return bool(port) and device is not None and device == usb_device(port_device(port, sys))


def _default_4(file: Path) -> Iterator[str]:
    for name, target, _gateway, flags, _references, _uses, _metric, mask, *_ in _rows(file, 8):
        if int(target, 16) == int(mask, 16) == 0 and _is_up(flags):
            yield name


def _default_6(file: Path) -> Iterator[str]:
    for target, length, _source, _bits, _next, _metric, _references, _uses, flags, name in _rows(file, 10):
        if int(target, 16) == int(length, 16) == 0 and _is_up(flags):
            yield name


def _rows(file: Path, fields: int) -> Iterator[list[str]]:
    try:
        lines = file.read_text().splitlines()
    except OSError:  # a kernel without IPv6
        return
    for line in lines:
        row = line.split()
        if len(row) >= fields and row[0] != "Iface":
            yield row


def _is_up(flags: str) -> bool:
    return int(flags, 16) & (_UP | _REJECT) == _UP


def _is_a_way(folder: Path) -> bool:
    try:
        is_down = (folder / "operstate").read_text().strip() == "down"
        is_modem = "DEVTYPE=wwan" in (folder / "uevent").read_text().split()
        return (folder / "type").read_text().strip() == _ETHERNET and not is_down and not is_modem
    except OSError:  # it has just gone
        return False
