"""What the doctor found, as values and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from pydantic import TypeAdapter

from agent import __version__
from agent.model.health import NatKind
from agent.model.signal import Detail

CheckName = Literal[
    "clock", "names", "network", "broker", "portal", "ice", "nat", "camera", "board", "config", "identity",
    "release", "gnss", "serial", "ptz", "modem", "recovery", "masks",
    "record", "upload", "labels",
]  # fmt: skip
Verdict = Literal["good", "warning", "fault", "unknown"]
"""A fault keeps the device from serving; a warning costs some viewers, or will cost more later; what is
unknown was not looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found about one subject."""

    check: CheckName
    subject: str
    """A name, an address, a URL; empty where there is but one."""
    verdict: Verdict
    message: str
    """One line: how it is."""
    advice: str = ""
    """One line: what to do; empty where all is well."""
    duration_ms: float = 0.0
    details: Mapping[str, Detail] = field(default_factory=dict)
    """The figures behind it, with the unit in the key."""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole visit. Keys are stable; new ones may come under the same `v`."""

    device: str
    at: float
    """Unix time in seconds by the device's clock."""
    version: str
    """Of Pinhole."""
    nat: NatKind
    findings: tuple[Finding, ...]
    can_serve: bool
    duration_ms: float
    v: Literal[1] = 1


def encode(report: Report) -> str:
    """One JSON object, indented."""
    return TypeAdapter(Report).dump_json(report, indent=2).decode()


def count(findings: tuple[Finding, ...], verdict: Verdict) -> int:
    """How many there are of this verdict."""
    return sum(finding.verdict == verdict for finding in findings)


def make_report(device: str, findings: tuple[Finding, ...], at: float, duration_ms: float) -> Report:
    """The verdict: a device serves where nothing is a fault."""
    kinds = (finding.details.get("kind", "unknown") for finding in findings if finding.check == "nat")
    return Report(
        device=device,
        at=at,
        version=__version__,
        nat=cast("NatKind", next(kinds, "unknown")),
        findings=findings,
        can_serve=count(findings, "fault") == 0,
        duration_ms=round(duration_ms, 1),
    )
