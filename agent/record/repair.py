"""Cuts a file that a kill or a power cut has torn behind its last whole fragment. Twice changes nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

from agent.record.avc import BadStreamError, is_sound
from agent.record.footage import Footage, Fragment, Walk

DOUBTFUL = 12
"""Fragments at the end whose pictures are looked at: at most 5 s are not on the card yet, and a file system
may have given them their length and not their data. To read more of a slow card takes long."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a file holds now."""

    walk: Walk
    size_bytes: int
    cut_bytes: int


def repair(file: Path) -> Repaired | None:
    """Cut it where it must be; None where nothing in it is worth keeping. Raises OSError."""
    size_bytes = file.stat().st_size
    try:
        with Footage(file) as footage:
            walk = footage.walk()
            walk = _without_holes(footage, walk)
    except BadStreamError:
        return None
    if not walk.fragments or not walk.fragments[0].is_keyframe:
        return None
    if walk.end < size_bytes:
        _cut(file, walk.end)
    _sync(file)  # what a kill left may be in the kernel's memory alone, and the index will not doubt it again
    return Repaired(walk, walk.end, size_bytes - walk.end)


def _cut(file: Path, size_bytes: int) -> None:
    mode = file.stat().st_mode
    if not mode & 0o200:  # it is locked
        file.chmod(0o600)
    os.truncate(file, size_bytes)
    file.chmod(mode & 0o777)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _without_holes(footage: Footage, walk: Walk) -> Walk:
    first = max(0, len(walk.fragments) - DOUBTFUL)
    for number in range(first, len(walk.fragments)):
        if not _is_whole(footage, walk.fragments[number]):
            return Walk(walk.start, walk.fragments[:number], walk.marks, walk.fragments[number].offset)
    return walk


def _is_whole(footage: Footage, fragment: Fragment) -> bool:
    try:
        return all(map(is_sound, footage.samples(fragment)))
    except BadStreamError:
        return False
