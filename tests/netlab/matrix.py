"""One cell of the matrix: which path a viewer and a device find through their NATs, and how soon."""

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

from netlab import wire
from netlab.internet import Internet, internet
from netlab.namespaces import LabError
from netlab.nat import Nat, can_connect_directly
from netlab.plan import Family, Plan
from netlab.servers import TRANSPORTS, Transport, start_service
from netlab.shape import Shape
from netlab.viewer import Playback, play, viewing
from netlab.viewer import statistics as viewer_statistics

SETTLE_S = 2.5
"""A better pair may be found after the first picture: the path is judged later."""
COUNT_S = 2.0
MAX_STRAY_SHARE = 0.1
"""What may flow beside the main path: checks, keep-alives, and what spare pairs need to stay warm."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What to build. `transport` is how TURN is offered to both ends: one way, or all of them."""

    viewer: Nat
    device: Nat
    transport: Transport | None = None
    family: Family = "ipv4"

    @property
    def is_direct(self) -> bool:
        """Whether the two can do without a relay. Over IPv6 a firewall is all there is."""
        if self.family == "ipv4":
            return can_connect_directly(self.viewer, self.device)
        return "udp-blocked" not in (self.viewer, self.device)

    def __str__(self) -> str:
        """Name it in a table or a test."""
        return f"{self.viewer} to {self.device}, {self.family}, TURN over {self.transport or 'any'}"


@dataclass
class Result:
    """What happened in a cell."""

    cell: Cell
    first_frames_ms: list[float] = field(default_factory=list)
    failed_attempts: list[str] = field(default_factory=list)
    viewer_path: str = ""
    """The candidate pair as the browser sees it: host, srflx or relay, and over what."""
    device_path: str = ""
    viewer_bytes: dict[str, int] = field(default_factory=dict)
    device_bytes: dict[str, int] = field(default_factory=dict)
    fps: float = 0.0
    error: str = ""

    @property
    def first_frame_ms(self) -> float | None:
        """The median."""
        return statistics.median(self.first_frames_ms) if self.first_frames_ms else None

    @property
    def flows(self) -> tuple[str, str]:
        """What carries the video, at the device and at the viewer."""
        if not self.viewer_bytes:
            return ("", "")
        return wire.main_flow(self.device_bytes), wire.main_flow(self.viewer_bytes)

    def faults(self) -> list[str]:
        """What is not as RFC 4787 lets us expect; empty where all is well."""
        if self.error:
            return [self.error.splitlines()[0]]
        faults = [f"an attempt failed: {failure}" for failure in self.failed_attempts]
        is_direct = self.flows == ("direct", "direct")
        if is_direct != self.cell.is_direct:
            faults.append(f"expected {'a direct path' if self.cell.is_direct else 'a relay'}")
        for end, counted in (("device", self.device_bytes), ("viewer", self.viewer_bytes)):
            total = sum(counted.values())
            if total - max(counted.values()) > MAX_STRAY_SHARE * total:
                faults.append(f"the {end}'s bytes flow on several paths: {counted}")
        if is_direct == ("relay" in (self.viewer_path.split("/")[0], self.device_path.split(" ")[0])):
            faults.append("candidate types and bytes on the wire disagree")
        return faults + self._turn_faults()

    def _turn_faults(self) -> list[str]:
        """Say where a relay is reached by a dearer way than UDP although that passes."""
        transport = self.cell.transport
        is_relayed = self.flows != ("direct", "direct")
        if transport and is_relayed and f"turn-{transport}" not in self.flows:
            return [f"TURN over {transport} is not in use"]
        ends = zip(("device", "viewer"), (self.cell.device, self.cell.viewer), self.flows, strict=True)
        return [
            f"the {end} relays by {flow}, though UDP passes"
            for end, nat, flow in ends
            if not transport and nat != "udp-blocked" and flow in ("turn-tcp", "turn-tls")
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything, for machines."""
        derived = {
            "is_direct_expected": self.cell.is_direct, "first_frame_ms": self.first_frame_ms,
            "flows": self.flows, "faults": self.faults(),
        }  # fmt: skip
        return asdict(self) | derived


def cells(
    viewers: Sequence[Nat],
    devices: Sequence[Nat],
    transports: Sequence[Transport | None],
    families: Sequence[Family],
) -> Iterator[Cell]:
    """Every combination; one transport alone matters only where a relay is needed."""
    for family, viewer, device, transport in product(families, viewers, devices, transports):
        cell = Cell(viewer, device, transport, family)
        is_possible = transport != "udp" or "udp-blocked" not in (viewer, device)
        if transport is None or (not cell.is_direct and is_possible):
            yield cell


async def run_cell(
    cell: Cell, *, repeats: int = 1, uplink: Shape | None = None, downlink: Shape | None = None
) -> Result:
    """Build the network, start all of it, click `repeats` times. A LabError becomes part of the result."""
    result = Result(cell)
    plan = Plan(cell.viewer, cell.device, cell.family, uplink, downlink)
    transports = (cell.transport,) if cell.transport else TRANSPORTS
    try:
        with internet(plan) as lab:
            service = start_service(lab, transports)
            wire.count(lab)
            async with viewing(lab, service) as page:
                for _ in range(repeats):
                    _note(result, await play(page))
                await _judge(result, lab, page)
    except LabError as exc:
        result.error = str(exc)
    return result


def _note(result: Result, playback: Playback) -> None:
    result.first_frames_ms.append(round(playback.first_frame_ms, 1))
    result.failed_attempts.extend(playback.failed_attempts)


async def _judge(result: Result, lab: Internet, page: Any) -> None:
    await asyncio.sleep(SETTLE_S)
    before = wire.read(lab)
    await asyncio.sleep(COUNT_S)
    traffic = wire.read(lab).since(before)
    result.viewer_bytes, result.device_bytes = dict(traffic.viewer), dict(traffic.device)
    said = await viewer_statistics(page)
    device = said["device"]
    result.viewer_path = f"{said['path']}/{said.get('protocol', '?')}"
    result.device_path = f"{device['path']} {device.get('relay') or ''}".strip()
    result.fps = said.get("fps") or 0.0
