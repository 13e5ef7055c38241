"""A serial port of the settings: is it there, may we use it, and who else does."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agent.config import Settings
from agent.doctor.holder import AS_ROOT, is_agent, target_of
from agent.doctor.report import Finding

AGENT, GPSD = "pinhole", "gpsd"
_HEADER = "/dev/ttyAMA0"
_BY_ID = "/dev/serial/by-id/"
_PASSING = re.compile(r"/dev/tty(USB|ACM)\d+")


@dataclass(frozen=True, slots=True)
class PortFacts:
    """One port."""

    name: str
    """What is on it: `modem`, `ptz`, `gnss`."""
    path: str
    target: str = ""
    """The device that the path leads to; empty where there is none."""
    may_use: bool = True
    holders: tuple[tuple[int, str], ...] = ()
    """Process and program, of all who have it open and whom we may see, and of whose terminal it is."""
    sees_all: bool = True
    """False where some processes' open files are closed to us: other users' show to root alone."""
    is_console: bool = False
    """The kernel writes its log on it."""
    lasting: str = ""
    """A name of it that stays, where udev made one and the settings say another that does not."""
    has_number: bool = True
    """Its USB adapter has a serial number, by which it gets its name."""
    model: str = ""
    """Of the board."""
    same_as: str = ""
    """Another port of the settings that leads to the same device."""


def ports_of(settings: Settings) -> dict[str, str]:
    """The ports that the settings name, by what is on them."""
    ports = {"modem": settings.modem.port} if settings.modem.backend == "at" else {}
    if settings.ptz.port is not None and settings.ptz.port.startswith("/"):
        ports["ptz"] = settings.ptz.port
    if settings.gnss.port:
        ports["gnss"] = settings.gnss.port
    return ports


def read_port(
    name: str, path: str, model: str, root: Path = Path("/"), ports: Mapping[str, str] = MappingProxyType({})
) -> PortFacts:
    """Look, without opening it: that would raise DTR. Blocking. `ports` are all that the settings name."""
    node = root / path.lstrip("/")
    if not _is_there(node):
        return PortFacts(name, path, model=model)
    target = node.resolve()
    device = f"/dev/{target.name}"
    consoles = (_text(root / "sys/class/tty/console/active") + _text(root / "proc/cmdline")).split()
    usb = (root / "sys/class/tty" / target.name / "device").resolve()
    # The adapter is two above its port: device/interface/ttyUSB0.
    has_number = not target.name.startswith("ttyUSB") or (usb.parent.parent / "serial").exists()
    number = _tty_number(_text(root / "sys/class/tty" / target.name / "dev"))
    holders, sees_all = _holders(target, number, root / "proc")
    return PortFacts(
        name,
        path,
        device,
        may_use=os.access(target, os.R_OK | os.W_OK),
        holders=holders,
        sees_all=sees_all,
        is_console=any(re.fullmatch(rf"(console=)?{target.name}(,.*)?", each) for each in consoles),
        lasting=_lasting(root, target, has_number=has_number) if _PASSING.fullmatch(path) else "",
        has_number=has_number,
        model=model,
        same_as=next((n for n, p in ports.items() if n != name and _leads_to(root, p, target)), ""),
    )


def _is_there(node: Path) -> bool:
    try:
        return node.exists()
    except OSError:  # too long a name, or in a folder that is closed to us
        return False


def _leads_to(root: Path, path: str, target: Path) -> bool:
    return (root / path.lstrip("/")).resolve() == target


def judge_port(facts: PortFacts) -> Finding:
    """Warnings only: the camera serves without."""
    for message, advice in _troubles(facts):
        return Finding("serial", facts.name, "warning", message, advice)
    holder = "gpsd" if _is_gpsds(facts) else "the agent"
    used = f", and {holder} has it open" if facts.holders else ""
    if not facts.sees_all:
        words = f"{facts.path} is {facts.target}{used}; whether another program has it is not known"
        return Finding("serial", facts.name, "unknown", words, f"only root sees that: {AS_ROOT}")
    return Finding("serial", facts.name, "good", f"{facts.path} is {facts.target}{used}")


def _troubles(facts: PortFacts) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do; what hides the others goes first."""
    path, tty = facts.path, facts.target.removeprefix("/dev/")
    others = {program: pid for pid, program in facts.holders if program != AGENT}
    if _is_gpsds(facts):
        del others[GPSD]
    if not facts.target:
        yield f"{path} is not there", _how_to_get(facts)
        return
    if facts.same_as:  # which the agent has open under either name
        yield f"{path} is {facts.target}, and so is the port of {facts.same_as}", "a port has one owner"
    if "ModemManager" in others:
        advice = 'set ID_MM_PORT_IGNORE on it by udev, or modem.backend = "modemmanager"'
        yield f"ModemManager has {path} open", advice
    if "agetty" in others:
        yield f"a login runs on {path}", f"sudo systemctl mask --now serial-getty@{tty}.service"
    if others:
        named = ", ".join(f"{program} (process {pid})" for program, pid in others.items())
        yield f"{path} is held by {named}", "end that program: a port has one owner"
    if facts.is_console:
        advice = "take its console= out of /boot/firmware/cmdline.txt, and reboot"
        yield f"the kernel writes its log on {path}", advice
    if not facts.may_use and not _is_gpsds(facts):
        yield f"no right to use {path}", "add this user to the group dialout, and sign in again"
    yield from _weak_names(facts)


def _weak_names(facts: PortFacts) -> Iterator[tuple[str, str]]:
    path = facts.path
    if path.startswith(_BY_ID) and not facts.has_number:
        advice = "name it by its USB port: /dev/serial/by-path/…"
        yield f"the adapter of {path} has no serial number: another of its kind gets the same name", advice
    if facts.lasting:
        yield f"{path} may be another device after the next plugging", f"name it by {facts.lasting}"


def _lasting(root: Path, target: Path, *, has_number: bool) -> str:
    for folder in ("by-id", "by-path") if has_number else ("by-path",):
        for link in sorted((root / "dev/serial" / folder).glob("*")):
            if link.resolve() == target:
                return f"/dev/serial/{folder}/{link.name}"
    return ""


def _is_gpsds(facts: PortFacts) -> bool:
    """The agent asks gpsd then, and leaves the port alone."""
    return facts.name == "gnss" and any(program == GPSD for _, program in facts.holders)


def _how_to_get(facts: PortFacts) -> str:
    if facts.path != _HEADER:
        return "is it plugged in? see `ls -l /dev/serial/by-id /dev/serial/by-path`"
    if re.search(r"Raspberry Pi 5|Compute Module 5", facts.model):
        return "put dtparam=uart0=on under [pi5] into /boot/firmware/config.txt, and reboot"
    return "put enable_uart=1 and dtoverlay=disable-bt into /boot/firmware/config.txt, and reboot"


def _tty_number(said: str) -> int:
    """From `major:minor` of /sys as /proc/PID/stat tells it (new_encode_dev, linux/kdev_t.h); 0 for none."""
    if not (numbers := re.fullmatch(r"(\d+):(\d+)", said.strip())):
        return 0
    major, minor = map(int, numbers.groups())
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12


def _is_its_terminal(process: Path, number: int) -> bool:
    """A login, and who has logged in there: everybody may see this of everybody's."""
    _, _, rest = _text(process / "stat").rpartition(") ")  # a program's name may hold all but this last
    fields = rest.split()[:5]  # state, ppid, pgrp, session, tty_nr (proc(5))
    return number != 0 and len(fields) == 5 and fields[4] == str(number)


def _holders(target: Path, number: int, proc: Path) -> tuple[tuple[tuple[int, str], ...], bool]:
    """And whether that is all: other users' processes show their files to root alone."""
    found, sees_all = [], True
    for process in proc.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue  # another check of ours asks what is on it
        try:
            has_it = any(target_of(file) == str(target) for file in (process / "fd").iterdir())
        except PermissionError:  # another user's
            has_it = _is_its_terminal(process, number)
            sees_all = sees_all and not process.exists()  # one that has ended refuses too
        except OSError:  # it has ended
            continue
        if has_it:
            program = AGENT if is_agent(process) else _text(process / "comm").strip() or "a program"
            found.append((int(process.name), program))
    return tuple(sorted(found)), sees_all


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")[:4096]
    except OSError:
        return ""
