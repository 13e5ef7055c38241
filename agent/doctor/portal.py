"""The portal as the device sees it: whether it answers, and what time it is there."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from agent.doctor.clock import PortalDate, compare
from agent.errors import PortalError
from agent.model.network_fault import network_fault

TIMEOUT_S = 6.0


@dataclass(frozen=True, slots=True)
class PortalVisit:
    """What `GET /healthz` says."""

    status: int
    duration_ms: float
    date: PortalDate | None


async def visit_portal(url: str) -> PortalVisit:
    """Ask its health; signed out. Raises PortalError."""
    import aiohttp  # noqa: PLC0415  the running agent knows this module and never asks

    sent_s, started_s = time.time(), time.monotonic()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url.rstrip('/')}/healthz", allow_redirects=False) as answer,
        ):
            received_s, duration_ms = time.time(), (time.monotonic() - started_s) * 1000
            date = _parse_date(answer.headers.get("Date", ""), sent_s, received_s)
            return PortalVisit(answer.status, duration_ms, date)
    except TimeoutError as exc:
        raise PortalError(f"no answer within {TIMEOUT_S:g} s") from exc
    except (aiohttp.ClientError, aiohttp.InvalidURL, OSError, ValueError) as exc:
        raise PortalError(network_fault(exc)) from exc


def _parse_date(header: str, sent_s: float, received_s: float) -> PortalDate | None:
    try:
        return compare(parsedate_to_datetime(header).timestamp(), sent_s, received_s)
    except (ValueError, OverflowError):
        return None
