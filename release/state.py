"""What is known of releases here: which are good, what is on trial, what was rolled back."""

import contextlib
import json
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from release.formats import Installed, Rollback, Trial
from release.machine import Paths, current_version, is_others, write_atomically

MAX_HISTORY = 20
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


@dataclass
class State:
    """state.json: survives a power cut because it is written beside, synced, and renamed."""

    good: list[str] = field(default_factory=list)
    """Newest first."""
    trial: Trial | None = None
    given_back: list[Rollback] = field(default_factory=list)
    """Newest first."""
    serial: int = 0
    """The highest that was ever installed: an older signed release cannot be played back."""


def load_state(paths: Paths) -> State:
    """Where the file is damaged, or not ours, its copy counts, and where both are, what is on the disk."""
    for file in (paths.state, paths.state_copy):
        try:
            if is_others(file.lstat()):
                raise ValueError("others than root could have written it")
            return parse_state(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as exc:
            print(f"pinhole-release: {file} is damaged, going on without it: {exc}", file=sys.stderr)
    return rebuild_state(paths)


def parse_state(data: bytes) -> State:
    """Raises ValueError."""
    found = json.loads(data)
    try:
        state = State(**{name: found[name] for name in vars(State())})
        if state.trial:
            state.trial = {"previous": None, "needs_confirmation": False} | state.trial
        versions = [*state.good, *([state.trial["version"]] if state.trial else [])]
        entries = [entry["version"] + entry["reason"] for entry in state.given_back]
        good = all(VERSION.fullmatch(version) for version in versions) and all(
            isinstance(words, str) for words in entries
        )
        if not good or not isinstance(state.serial, int) or (state.trial and "stage" not in state.trial):
            raise ValueError("it has values that were never written to it")
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(repr(exc)) from exc
    return state


def rebuild_state(paths: Paths) -> State:
    """What runs is good, and so is what was here before it; serials go on from what runs."""
    whole, current = installed(paths), current_version(paths)
    if current is None:
        return State()
    serial = serial_of(paths, current)
    older = [version for version in whole if version != current and whole[version]["serial"] <= serial]
    older.sort(key=lambda version: whole[version]["serial"], reverse=True)
    return State(good=[current, *older], serial=serial)


def save_state(paths: Paths, state: State) -> None:
    """The copy first: what can be read of the two is then never older than what was begun."""
    data = json.dumps(vars(state), indent=1).encode()
    for file in (paths.state_copy, paths.state):
        write_atomically(file, data, 0o644)


def installed(paths: Paths) -> dict[str, Installed]:
    """Every release that is whole, by version: its release.json."""
    found: dict[str, Installed] = {}
    for marker in sorted(paths.releases.glob("*/release.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            release: Installed = json.loads(marker.read_text())
            paths_of = [system["path"] + system["file"] for system in release["system"]]
            if isinstance(release["serial"], int) and all(map(str.isprintable, paths_of)):
                found[marker.parent.name] = release | {
                    "python": str(release["python"]), "wheels": dict(release["wheels"]),
                }  # fmt: skip
    return found


def serial_of(paths: Paths, version: str) -> int:
    """0 where the release is not whole."""
    release = installed(paths).get(version)
    return release["serial"] if release else 0


def note_return(state: State, version: str, reason: str, serial: int) -> None:
    entry: Rollback = {"version": version, "reason": reason, "at": time.time(), "serial": serial}
    state.given_back = [entry, *state.given_back][:MAX_HISTORY]


def describe(paths: Paths) -> dict[str, Any]:
    state = load_state(paths)
    return {
        "current": current_version(paths),
        "good": state.good,
        "trial": state.trial,
        "given_back": state.given_back,
        "installed": sorted(installed(paths)),
        "serial": state.serial,
    }
