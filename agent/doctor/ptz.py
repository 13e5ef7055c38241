"""The head: whether it is there, as far as it can tell."""

import asyncio
from pathlib import Path

from agent.config import PtzSettings
from agent.doctor.holder import PROC, Holder, find_agent, find_port_holder, not_looked_at
from agent.doctor.report import Finding
from agent.model.signal import Detail
from agent.serial.ptz.probe import PROBE_S, Probe, probe


async def try_head(settings: PtzSettings, patience_s: float = PROBE_S, proc: Path = PROC) -> Probe | Holder:
    """What it answers, or the agent that has it: two would talk at once, and a probe stops the head."""
    return await asyncio.to_thread(_find_holder, settings, proc) or await probe(settings, patience_s)


def _find_holder(settings: PtzSettings, proc: Path) -> Holder | None:
    if settings.protocol == "visca-ip":  # a socket does not show whom it talks with
        return find_agent(proc)
    return find_port_holder(settings.port, proc) if settings.port else None


def judge_head(settings: PtzSettings, found: Probe | Holder) -> Finding:
    """Warnings only: a camera serves with a head that stands."""
    subject = settings.protocol
    if isinstance(found, Holder):
        return not_looked_at("ptz", subject, found)
    if found.problem:
        words, _, advice = found.problem.partition(": ")
        return Finding("ptz", subject, "warning", words, advice or "see [ptz], and its cable")
    details: dict[str, Detail] = {"answers": found.answers}
    if found.position:
        pan_deg, tilt_deg = round(found.position.pan_deg, 1), round(found.position.tilt_deg, 1)
        details |= {"pan_deg": pan_deg, "tilt_deg": tilt_deg}
        words = f"answers, and points {pan_deg:g}° to the right, {tilt_deg:g}° up"
        return Finding("ptz", subject, "good", words, details=details)
    if found.answers:
        return Finding("ptz", subject, "good", "answers, but does not tell where it points", details=details)
    if settings.protocol.startswith("pelco"):
        words = "its port is open; it does not answer, as most of its kind: watch whether it moves"
        return Finding("ptz", subject, "good", words, details=details)
    return Finding(
        "ptz", subject, "warning", "its port is open, and nothing answers",
        "see that it is switched on, that its wires are not swapped, and ptz.address and ptz.baud",
        details=details,
    )  # fmt: skip
