"""The store that recordings are sent to: whether it can be reached, and what they wait for."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from agent.config import Settings
from agent.doctor.report import Finding
from agent.model.network_fault import network_fault
from agent.model.signal import Detail
from agent.model.upload import NOTE, UploadNote

CONNECT_S = 8.0
WAITS = {
    "hours": "for the hours of record.upload.hours",
    "viewer": "until nobody watches",
    "signal": "for the signal of record.upload.signal",
    "plan": "for the next month of the data plan, or a higher record.upload.plan_percent",
    "clock": "until somebody sets the clock",
    "disk": "for the recordings' folder",
}


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the agent noted, and what is so now."""

    note: UploadNote | None = None
    """None where it noted nothing yet."""
    fault: str = ""
    """Why the store cannot be reached."""


async def visit_store(settings: Settings) -> StoreFacts:
    """Connect to where the agent last sent to. Sends nothing."""
    file = settings.device.state_dir / NOTE
    try:
        note = TypeAdapter(UploadNote).validate_json(await asyncio.to_thread(file.read_bytes))
    except (OSError, ValidationError):
        return StoreFacts()
    return StoreFacts(note, await _fault(note.origin) if note.origin else "")


async def _fault(origin: str) -> str:
    try:
        url = urlsplit(origin)
        is_tls = url.scheme == "https"
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(
                url.hostname, url.port or (443 if is_tls else 80), ssl=True if is_tls else None
            )
        writer.close()
    except TimeoutError:
        return f"no answer within {CONNECT_S:g} s"
    except (OSError, ValueError) as exc:
        return network_fault(exc)
    return ""


def judge_store(settings: Settings, found: StoreFacts) -> Finding:
    """Pure."""
    note = found.note or UploadNote()
    details: dict[str, Detail] = {"waiting": note.waiting, "sent_at": note.sent_at}

    def finding(message: str, advice: str) -> Finding:
        return Finding("upload", note.origin, "warning", message, advice, details=details)

    if settings.record.mode == "off":
        return finding(
            "nothing is recorded, so nothing is sent", "set record.mode, or record.upload.what = off"
        )
    if found.note is None:
        return finding("the agent has noted nothing yet", "it does so once it runs with these settings")
    if not note.origin:
        advice = (
            "it comes once something was recorded; else the portal has no [portal.upload], or its store is "
            "away: look at the portal's log"
        )
        return finding(f"the portal has given no URL so far; {_left(note)}", advice)
    if found.fault:
        return finding(f"the store cannot be reached: {found.fault}", "look at the network, and at the store")
    if note.why == "store":
        return finding(_left(note), "look at the portal's log, and at the store")
    words = f"the store can be reached; {_left(note)}"
    return Finding("upload", note.origin, "good", words, details=details)


def _left(note: UploadNote) -> str:
    """What waits, and why: as it was when the agent wrote it down, which may be a minute ago."""
    if not note.waiting:
        if note.why == "disk":
            return f"what is recorded waits {WAITS['disk']}"
        words = "none waited when the agent last looked"
        return f"{words}; what failed last: {note.problem}" if note.problem else words
    words = "1 recording waits" if note.waiting == 1 else f"{note.waiting} recordings wait"
    if note.why in WAITS:
        return f"{words} {WAITS[note.why]}"
    return f"{words}: {note.problem}" if note.problem else words
