"""The satellite receiver: who reads it, and whether it knows where it is."""

import asyncio
from pathlib import Path

from agent.config import GnssSettings
from agent.doctor.holder import PROC, Holder, find_port_holder, not_looked_at
from agent.doctor.report import Finding
from agent.model.sections import GnssSection
from agent.model.signal import Detail
from agent.model.tasks import TaskGroup
from agent.serial.gnss.locator import Locator

PATIENCE_S = 9.0
"""Two rates are tried by then; a receiver that was just switched on needs half a minute for a fix."""


async def try_receiver(
    settings: GnssSettings, patience_s: float = PATIENCE_S, proc: Path = PROC
) -> GnssSection | Holder:
    """What it says, or the agent that listens to it meanwhile: a port has one reader."""
    if settings.port and (holder := await asyncio.to_thread(find_port_holder, settings.port, proc)):
        return holder
    changed = asyncio.Event()
    locator = Locator(settings, changed.set)
    async with TaskGroup() as group:
        running = group.create_task(locator.run(), name="gnss")
        try:
            async with asyncio.timeout(patience_s):
                while locator.section().state != "fix":
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            pass
        running.cancel()
    return locator.section()


def judge_receiver(source: str, found: GnssSection | Holder) -> Finding:
    """Warnings only: a camera serves without knowing where it is."""
    if isinstance(found, Holder):
        return not_looked_at("gnss", source, found)
    details: dict[str, Detail] = {"satellites": found.satellites, "rollovers": found.rollovers}
    if found.state == "absent":
        words, _, advice = found.problem.partition(": ")
        words = words.removeprefix(f"{source} ")  # which stands before it
        return Finding("gnss", source, "warning", words, advice, details=details)
    if found.state == "searching":
        return Finding(
            "gnss", source, "warning", "it speaks, and sees too few satellites",
            "give its antenna a view of the sky, and a cold receiver some minutes", details=details,
        )  # fmt: skip
    words = f"a fix by {found.satellites} satellites" if found.satellites else "a fix"
    if found.rollovers:
        return Finding(
            "gnss", source, "warning", f"{words}, with a date {1024 * found.rollovers} weeks in the past",
            "the agent corrects it: let no clock be set by it (gnss_time: false), or renew its firmware",
            details=details,
        )  # fmt: skip
    return Finding("gnss", source, "good", f"{words}, read by {found.source}", details=details)
