"""The board under us: which it is, and whether its supply and its cooling suffice."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.doctor.command import output_of
from agent.doctor.report import Finding
from agent.model.signal import Detail

# Bits of `vcgencmd get_throttled` (raspberrypi.com/documentation/computers/os.html); 16 higher: since boot.
UNDER_VOLTAGE, CAPPED, THROTTLED, SOFT_LIMIT = 1, 2, 4, 8
SINCE_BOOT_SHIFT = 16


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """`throttled` is None where there is no vcgencmd, or it may not be asked."""

    model: str
    throttled: int | None


async def read_board(
    read_model: Callable[[], str], ask: Callable[..., Awaitable[str | None]] = output_of
) -> BoardFacts:
    """The device tree's model and the firmware's flags."""
    said = (await ask("vcgencmd", "get_throttled")) or ""
    _, _, flags = said.strip().partition("throttled=")
    try:
        return BoardFacts(read_model(), int(flags, 16))
    except ValueError:
        return BoardFacts(read_model(), None)


def judge_board(facts: BoardFacts) -> Finding:
    """Warnings only: a throttled board serves, slowly."""
    model = facts.model or "no Raspberry Pi"
    if facts.throttled is None and facts.model.startswith("Raspberry Pi"):
        return Finding(
            "board", "", "unknown", f"{model}: whether its supply and cooling suffice is not known",
            "vcgencmd answers root and the group video alone: run this by sudo",
            details={"model": facts.model},
        )  # fmt: skip
    if facts.throttled is None:
        return Finding("board", "", "good", model, details={"model": facts.model})
    details: dict[str, Detail] = {"model": facts.model, "throttled": facts.throttled}
    now, before = facts.throttled & 0xF, facts.throttled >> SINCE_BOOT_SHIFT & 0xF
    when = "now" if now else "since it was started"
    if (now or before) & UNDER_VOLTAGE:
        return Finding(
            "board", "", "warning", f"{model}: its supply's voltage is too low ({when})",
            "use the official supply and a short, thick cable", details=details,
        )  # fmt: skip
    if now or before:
        return Finding(
            "board", "", "warning", f"{model}: too hot, and slowed down ({when})",
            "give it a heat sink or air", details=details,
        )  # fmt: skip
    return Finding("board", "", "good", f"{model}, not throttled", details=details)
