"""The end of a trial: the release is kept, or the last good one comes back; also where it was cut short."""

import json
import sys
from pathlib import Path

from release.build import remove
from release.formats import Trial
from release.machine import (
    Paths,
    Settings,
    current_version,
    is_others,
    lock,
    show,
    systemctl,
    write_atomically,
)
from release.manifest import allowed_signers
from release.state import State, installed, load_state, note_return, save_state, serial_of
from release.system import install_system, point_current, switch

TRIAL_UNIT = "pinhole-release-trial.service"
CUT_SHORT = "its trial was cut short"


def settle(paths: Paths, settings: Settings) -> State:
    """Under the lock: end what was killed, a trial or a command, and clear up after it."""
    state = load_state(paths)
    if state.trial and trial_is_gone():
        clear_words(paths)
        if was_begun(paths, state.trial):
            roll_back(paths, settings, state, CUT_SHORT)
        else:
            state.trial = None
    data = json.dumps(vars(state), indent=1).encode()
    if not paths.state.exists() or is_others(paths.state.lstat()) or paths.state.read_bytes() != data:
        save_state(paths, state)  # it was damaged, or has changed
    finish(paths, settings, state)
    if not settings.url:
        paths.mirror.unlink(missing_ok=True)  # nothing is pulled any more
    for folder in paths.releases.iterdir():
        if folder.name not in {*installed(paths), *state.good, current_version(paths)}:
            remove(folder)  # half built, or half removed
        elif folder.name != current_version(paths):
            (folder / "unfinished").unlink(missing_ok=True)  # it never became good
    for folder in (paths.home, paths.root / "etc/systemd/system", paths.root / "usr/local/sbin"):
        for part in [*folder.glob(".pinhole*.part"), *paths.home.glob(".*.part")]:
            part.unlink(missing_ok=True)
    return state


def clear_words(paths: Paths) -> None:
    """What the agent and who watches are told and say during a trial."""
    for file in (paths.trial, paths.run / "confirmed", paths.run / "refused"):
        file.unlink(missing_ok=True)


def trial_is_gone() -> bool:
    """Asked by who has the lock, which a trial has to its end: it is over, or has yet to begin."""
    shown = show(TRIAL_UNIT, "ActiveState", "Job")
    return shown["ActiveState"] in ("inactive", "failed", "deactivating") and shown["Job"] in ("", "0")


def was_begun(paths: Paths, trial: Trial) -> bool:
    """Also by a pinhole-release that did not write that it had."""
    switched = current_version(paths) == trial["version"] != trial["previous"]
    return switched or trial["stage"] != "starting"


def keep(paths: Paths, settings: Settings, state: State) -> None:
    assert state.trial
    version = state.trial["version"]
    write_atomically(paths.releases / version / "unfinished", b"", 0o644)
    state.good = [version, *(other for other in state.good if other != version)]
    state.trial = None
    save_state(paths, state)  # from here on it is kept, and what follows is done again where it was cut short
    finish(paths, settings, state)
    print(f"release {version} is good")


def finish(paths: Paths, settings: Settings, state: State) -> None:
    """What a release brings once it is good: this program's next edition, and whose releases come next."""
    version = current_version(paths)
    if state.trial or version is None or version not in state.good:
        return
    marker = paths.releases / version / "unfinished"
    if not marker.exists():
        return
    try:
        install_system(paths, version, at="end")
        release = installed(paths).get(version)
        if release and (keys := release.get("signers")):
            write_atomically(Path(settings.signers), allowed_signers(keys).encode(), 0o644)
    except OSError as exc:  # tried again by each later command, none of which it may block
        print(
            f"pinhole-release: release {version} is good, but not all of it is in place: {exc}",
            file=sys.stderr,
        )
        return
    prune(paths, settings, state)
    marker.unlink()


def roll_back(paths: Paths, settings: Settings, state: State, reason: str) -> None:
    """Return to the last good release, and remember why."""
    assert state.trial
    version = state.trial["version"]
    if state.trial["stage"] != "returning":
        state.trial["stage"] = "returning"
        note_return(state, version, reason, serial_of(paths, version))
        state.good = [other for other in state.good if other != version]
        save_state(paths, state)
    good = last_good(paths, state)
    if good:
        switch(paths, settings, good)
    else:
        paths.current.unlink(missing_ok=True)
        systemctl("stop", settings.unit, check=False)
    state.trial = None
    prune(paths, settings, state)
    print(f"release {version} was rolled back for {good or 'none'}: {reason}")


def last_good(paths: Paths, state: State) -> str | None:
    """Where a trial returns to. Better what ran before, or is not whole any more, than nothing."""
    assert state.trial
    others = [*state.good, *([state.trial["previous"]] if state.trial["previous"] else [])]
    others = [version for version in others if version != state.trial["version"]]
    whole = [version for version in others if version in installed(paths)]
    runs = [version for version in others if (paths.releases / version / "bin/pinhole").exists()]
    return next(iter([*whole, *runs]), None)


def prune(paths: Paths, settings: Settings, state: State) -> None:
    """Keep the newest good ones, and what is current."""
    current = current_version(paths)
    whole = {*installed(paths), current}
    state.good = [version for version in state.good if version in whole][: settings.keep]
    save_state(paths, state)
    for folder in paths.releases.iterdir():
        if folder.name not in {*state.good, current}:
            remove(folder)


def boot_check(paths: Paths) -> None:
    """Before the unit starts: a release whose trial was cut short is not trusted."""
    with lock(paths, wait_s=30):
        state = load_state(paths)
        if state.trial is None:
            return
        version = state.trial["version"]
        if was_begun(paths, state.trial) and state.trial["stage"] != "returning":
            serial = serial_of(paths, version)
            note_return(state, version, "the machine went down during its trial", serial)
            state.good = [other for other in state.good if other != version]
        if good := last_good(paths, state):
            install_system(paths, good, at="activation")
            point_current(paths, good)
            systemctl("daemon-reload", check=False)
        else:
            paths.current.unlink(missing_ok=True)
        state.trial = None
        save_state(paths, state)
        print(f"release {version} was on trial when the machine went down: back to {good or 'none'}")
