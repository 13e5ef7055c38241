"""Where recordings go: whether they can, for how many days there is room, and how the card wears."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config import Settings
from agent.config.settings import RecordSettings
from agent.doctor.report import Finding
from agent.model.disk import is_mounted
from agent.model.signal import Detail
from agent.model.threads import call_in_thread

MB, GB = 1_000_000, 1_000_000_000
DAY_S = 86_400
LOOK_S = 8.0
"""A disk that hangs takes for ever."""
WORN = 8
"""Tenths of its life, as an eMMC, or an SD card that tells, has it in `life_time` (JEDEC eMMC 5.1)."""


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """The recordings' folder, or what will be one."""

    path: str
    fault: str = ""
    """Why nothing can be written there."""
    is_systems: bool = False
    """The system's own file system is recorded to."""
    total_bytes: int = 0
    free_bytes: int = 0
    used_bytes: int = 0
    """By recordings."""
    worn_tenths: int | None = None
    """None where the card does not tell, as most do not."""


async def see_folder(settings: Settings) -> FolderFacts:
    """Look, without writing anything."""
    return await call_in_thread(
        "recordings", LOOK_S, lambda: read_folder(settings.recordings_folder, settings.record)
    )


def read_folder(folder: Path, record: RecordSettings, sys: Path = Path("/sys")) -> FolderFacts:
    """Blocking. Raises OSError where nothing of it can be seen."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    if not folder.is_dir() and folder.exists():
        return FolderFacts(str(folder), fault="it is no folder")
    if record.own_partition and not is_mounted(folder):
        return FolderFacts(str(folder), fault="no file system is mounted there")
    if not os.access(place, os.W_OK | os.X_OK):
        return FolderFacts(str(folder), fault=f"this user may not write to {place}")
    space, device = os.statvfs(place), place.stat().st_dev
    return FolderFacts(
        str(folder),
        is_systems=device == Path("/").stat().st_dev,
        total_bytes=space.f_blocks * space.f_frsize,
        free_bytes=space.f_bavail * space.f_frsize,
        used_bytes=sum(file.stat().st_size for file in folder.glob("[0-9]*/*.mp4")),
        worn_tenths=_worn(sys / "dev/block" / f"{os.major(device)}:{os.minor(device)}"),
    )


def judge_folder(settings: Settings, found: FolderFacts) -> Finding:
    """Pure."""
    record, path = settings.record, found.path
    if found.fault:
        advice = "mount the card, or set record.folder to a folder of the user who runs the agent"
        return Finding("record", path, "fault", f"nothing is recorded: {found.fault}", advice)
    room = found.free_bytes + found.used_bytes - record.min_free_mb * MB
    room = max(0, min(room, record.max_mb * MB) if record.max_mb is not None else room)
    day_bytes = _day_bytes(settings)
    days = room / day_bytes
    words = f"{record.mode}: room for {room / GB:.1f} GB; all of a day is {day_bytes / GB:.0f} GB"
    details: dict[str, Detail] = {
        "room_bytes": room, "used_bytes": found.used_bytes, "day_bytes": day_bytes, "days": round(days, 2)
    }  # fmt: skip
    if room < 100 * MB:
        advice = "make room, lower record.min_free_mb, or record to another disk with record.folder"
        return Finding("record", path, "fault", f"{words}: too little", advice, details=details)
    if found.worn_tenths is not None:
        details["worn_percent"] = 10 * found.worn_tenths
        if found.worn_tenths >= WORN:
            worn = f"its card has used {10 * found.worn_tenths} % of its life"
            return Finding("record", path, "warning", worn, "replace it soon", details=details)
    return _judge_use(record.mode, path, words, found, days, details)


def _judge_use(
    mode: str, path: str, words: str, found: FolderFacts, days: float, details: Mapping[str, Detail]
) -> Finding:
    if mode == "event":
        return Finding("record", path, "good", words, details=details)
    if found.is_systems:
        advice = "record to a card or disk of its own with record.folder, or what happens alone: mode = event"
        wears = f"{words}; the system's own card wears by it"
        return Finding("record", path, "warning", wears, advice, details=details)
    if days < 1:
        advice = "a larger card, a lower bitrate, record.streams = preview, or mode = event"
        return Finding("record", path, "warning", f"{words}: not a day", advice, details=details)
    return Finding("record", path, "good", words, details=details)


def _day_bytes(settings: Settings) -> int:
    most = {"main": settings.camera.bitrate_bps, "preview": settings.camera.preview.bitrate_bps}
    if settings.record.unwatched_bitrate_bps:
        most["main"] = min(most["main"], settings.record.unwatched_bitrate_bps)
    streams = most if settings.record.streams == "both" else {settings.record.streams: 0}
    return sum(most[name] for name in streams) * DAY_S // 8


def _worn(device: Path) -> int | None:
    """Of the card that a partition is on; the worse of its two figures."""
    for place in (device / "device", device / ".." / "device"):
        try:
            figures = (place / "life_time").read_text().split()
            return max(int(figure, 16) for figure in figures)
        except (OSError, ValueError):
            continue
    return None
