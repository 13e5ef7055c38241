"""What the source of releases last said, as `pinhole-release pull` noted it (release/)."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from agent.doctor.report import Finding
from agent.model.text import printable

NOTE = Path("/opt/pinhole/mirror.json")
MAX_NOTE_BYTES = 64 * 1024
MAX_WORDS = 400


@dataclass(frozen=True, slots=True)
class MirrorNote:
    """Of the newest release that was offered and could be trusted."""

    version: str
    expires: float
    """Unix time in seconds; 0 where the release does not say."""
    problem: str
    """Why what is offered is refused; empty where it is not."""


def read_note(file: Path = NOTE) -> MirrorNote:
    """Blocking; one that cannot be read is a problem of its own, and the next pull writes it anew."""
    try:
        with file.open("rb") as data:
            found = json.loads(data.read(MAX_NOTE_BYTES))
        problem = " ".join(str(found["problem"]).split())[:MAX_WORDS]
        return MirrorNote(str(found["version"])[:64], float(found["expires"]), problem)
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as exc:
        return MirrorNote("", 0.0, f"what it said last cannot be read: {exc}"[:MAX_WORDS])


def judge_mirror(note: MirrorNote, now: float) -> Finding:
    """Who withholds new releases keeps old holes open: that is a fault although the device serves."""
    day = _day(note.expires)
    advice = "see `journalctl -u pinhole-pull`, and what is at the URL in /etc/pinhole/release.json"
    if note.problem:
        return Finding("release", "", "fault", f"no new release is taken: {printable(note.problem)}", advice)
    if 0 < note.expires < now:
        words = f"{printable(note.version)} is the newest that was offered, and it counted until {day}"
        advice = "renew it with scripts/release --renew, or see why newer ones do not arrive"
        return Finding("release", "", "fault", words, advice)
    until = f", which counts until {day}" if note.expires else ""
    return Finding("release", "", "good", f"the newest that is offered is {printable(note.version)}{until}")


def _day(unix_s: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(unix_s))
    except (OverflowError, ValueError, OSError):
        return "for ever"
