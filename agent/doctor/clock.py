"""What this machine knows of the time: chrony or systemd, and the date that the portal's HTTP tells."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from agent.doctor.command import output_of

Ask = Callable[..., Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Synchronisation:
    """What the time service says."""

    source: Literal["chrony", "systemd"] | None
    is_synchronised: bool | None = None
    offset_s: float | None = None
    """How far our clock is behind; chrony alone says."""


@dataclass(frozen=True, slots=True)
class PortalDate:
    """How far we are behind the portal; its Date header counts whole seconds (RFC 9110 section 5.6.7)."""

    offset_s: float
    uncertainty_s: float


async def read_synchronisation(ask: Ask = output_of) -> Synchronisation:
    """Ask chrony, else systemd-timedated."""
    if (tracking := await ask("chronyc", "-n", "-c", "tracking")) is not None:
        parsed = parse_chrony(tracking)
        if parsed:
            return parsed
    shown = await ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return parse_systemd(shown or "")


def parse_chrony(tracking: str) -> Synchronisation | None:
    """`chronyc -c tracking`: one CSV line of 14 fields, the fifth is the offset, the last the leap status."""
    fields = tracking.strip().split(",")
    if len(fields) != 14:
        return None
    try:
        offset_s = -float(fields[4])  # chrony counts what we are ahead
    except ValueError:
        return None
    is_synchronised = fields[13] != "Not synchronised"
    return Synchronisation("chrony", is_synchronised, offset_s if is_synchronised else None)


def parse_systemd(shown: str) -> Synchronisation:
    """`timedatectl show --property=NTPSynchronized --value`."""
    answer = {"yes": True, "no": False}.get(shown.strip())
    return Synchronisation(None) if answer is None else Synchronisation("systemd", answer)


def compare(date_unix_s: float, sent_unix_s: float, received_unix_s: float) -> PortalDate:
    """From a Date header, and our clock before and after the request."""
    uncertainty_s = (received_unix_s - sent_unix_s) / 2 + 0.5
    return PortalDate(date_unix_s + 0.5 - (sent_unix_s + received_unix_s) / 2, uncertainty_s)
