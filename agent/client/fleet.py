"""`pinhole fleet`: every device that the portal knows, with its release, its health and what ails it."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.client.device import Device, Modem
from agent.client.session import DeviceChanged, PortalClient, SignIn, signed_in
from agent.errors import PortalError
from agent.model.ids import Id
from agent.model.text import printable

QUIET_S = 1.0
"""A long list comes in parts, without a last one: it ends when nothing more comes for so long."""
LIMIT_S = 30.0

Verdict = Literal["good", "fault", "unknown"]


@dataclass(frozen=True, slots=True)
class Row:
    """One device. Keys are stable; new ones may come under the same `v`."""

    id: str
    name: str
    online: bool
    since: float | None
    """Unix time in seconds when it came or went."""
    version: str
    on_trial: bool
    version_since: float | None
    """Unix time in seconds when the device turned to it; None where nobody knows."""
    given_back: str
    """The version that was last rolled back, and why; empty where none was."""
    reason: str
    verdict: Verdict
    """Of the device's own doctor; `unknown` where it has not said."""
    faults: tuple[str, ...]
    nat: str
    camera: str
    problem: str
    viewers: int
    modem: str
    """Signal, network and what is wrong with it, in words; empty where there is none."""
    sections: dict[str, Any]
    """All that the portal says of it, also what this release does not know."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of them, by id."""

    at: float
    devices: tuple[Row, ...]
    v: Literal[1] = 1


class Looked(BaseModel):
    """Which cameras were told that there may be a new release, and which were away."""

    model_config = ConfigDict(frozen=True)

    asked: list[Id]
    missed: list[Id]


FLEET: TypeAdapter[Fleet] = TypeAdapter(Fleet)
_LOOKED = TypeAdapter(Looked)
_PTZ = {"silent": "the head does not answer", "absent": "its port is away"}


async def collect(client: PortalClient, quiet_s: float = QUIET_S) -> list[Device]:
    """Every device. Raises PortalError."""
    found = {device.id: device for device in client.hello.devices}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            while True:
                async with asyncio.timeout(quiet_s):
                    message = await client.receive()
                if isinstance(message, DeviceChanged):
                    found[message.device.id] = message.device
    return sorted(found.values(), key=lambda device: device.id)


def make_fleet(devices: Iterable[Device], now: float) -> Fleet:
    """`now` is Unix time in seconds. Pure."""
    return Fleet(now, tuple(_row(device) for device in devices))


def encode(fleet: Fleet) -> str:
    """One JSON object, indented."""
    return FLEET.dump_json(fleet, indent=2).decode()


def table(fleet: Fleet) -> Table:
    """For people: what needs attention is red."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    has_modems = any(row.modem for row in fleet.devices)
    headings = (
        "device",
        "name",
        "",
        "release",
        "doctor",
        "camera",
        *(["modem"] * has_modems),
        "what to know",
    )
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in fleet.devices:
        away = f" {_span(fleet.at - row.since)}" if not row.online and row.since else ""
        made.add_row(
            row.id,
            printable(row.name),
            Text("online", "green") if row.online else Text(f"offline{away}", "red"),
            Text(
                printable(row.version) + (" on trial" if row.on_trial else ""),
                "yellow" if row.on_trial else "",
            ),
            Text(row.verdict, {"good": "green", "fault": "red"}.get(row.verdict, "dim")),
            Text(row.camera, "red" if row.problem else ""),
            *([Text(printable(row.modem))] * has_modems),
            Text(printable("; ".join(_remarks(row)))),
        )
    return made


def summary(fleet: Fleet) -> str:
    """One line: how many, and who runs what."""
    online = sum(row.online for row in fleet.devices)
    versions = sorted({row.version for row in fleet.devices})
    counts = (
        f"{sum(row.version == version for row in fleet.devices)} on {version or '?'}" for version in versions
    )
    plural = "" if len(fleet.devices) == 1 else "s"
    return f"{len(fleet.devices)} device{plural}, {online} online; {', '.join(counts)}"


async def run_fleet(portal: str, sign_in: SignIn, console: Console, *, json_wanted: bool) -> None:
    """Print it. Raises PortalError."""
    async with PortalClient.connect(portal, sign_in) as client:
        fleet = make_fleet(await collect(client), time.time())
    if json_wanted:
        console.print(encode(fleet), markup=False, soft_wrap=True)
        return
    console.print(table(fleet))
    console.print(printable(summary(fleet)), markup=False)


async def ask_to_look(url: str, sign_in: SignIn, devices: list[str]) -> Looked:
    """Have cameras look for a new release; without any, all that the user operates. Raises PortalError."""
    async with signed_in(url, sign_in) as ask:
        status, text = await ask("/api/look", {"devices": devices} if devices else {})
    try:
        return _LOOKED.validate_json(text)
    except ValidationError as exc:
        raise PortalError(f"{url} does not answer like a portal: HTTP {status}") from exc


async def run_look(portal: str, sign_in: SignIn, devices: list[str], console: Console) -> None:
    """Have devices look for a new release; say which were told. Raises PortalError."""
    looked = await ask_to_look(portal, sign_in, devices)
    for device in looked.asked:
        console.print(f"{device}  asked", markup=False)
    for device in looked.missed:
        console.print(f"{device}  offline: it looks when it is back", markup=False)


def _row(device: Device) -> Row:
    sections = device.sections
    health, release, camera = sections.health, sections.release, sections.camera
    return Row(
        id=device.id,
        name=device.name,
        online=device.online,
        since=device.since,
        version=sections.agent.version,
        on_trial=bool(release and release.on_trial),
        version_since=release.since or None if release else None,
        given_back=release.given_back if release else "",
        reason=release.reason if release else "",
        verdict="unknown" if health is None else "fault" if health.faults else "good",
        faults=tuple(f"{fault.check}: {fault.message}" for fault in health.faults) if health else (),
        nat=health.nat if health else "unknown",
        camera=camera.state,
        problem=camera.problem,
        viewers=sections.viewers.count,
        modem=_modem(sections.modem) if sections.modem else "",
        sections=sections.model_dump(exclude_unset=True),
    )


def _modem(modem: Modem) -> str:
    """Such as `▂▄▆__ -97 dBm Net LTE B20`, with its state where that is not `connected`."""
    bars = "".join(bar if n < modem.signal_bars else "_" for n, bar in enumerate("▁▂▄▆█"))
    power = f"{modem.rsrp_dbm:.0f} dBm" if modem.rsrp_dbm is not None else ""
    words = (power, modem.operator, modem.technology, modem.band)
    state = "" if modem.state == "connected" else modem.state
    return " ".join(filter(None, (state, bars, *words) if modem.signal else (state, *words)))


def _remarks(row: Row) -> Iterable[str]:
    yield from row.faults
    if row.problem:
        yield row.problem
    said = {name: row.sections.get(name) or {} for name in ("modem", "ptz", "gnss")}
    if reason := said["modem"].get("reason"):
        yield f"modem: {reason}"
    if words := _PTZ.get(said["ptz"].get("state", "")):
        yield f"ptz: {words}"
    if said["gnss"].get("state") == "absent":
        yield f"gnss: {said['gnss'].get('problem') or 'absent'}"
    if row.given_back and row.given_back != row.version:
        yield f"gave {row.given_back} back: {row.reason}"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
