"""Trying a release, from the first check to the last word."""

import subprocess
import time

from release.health import POLL_S, watch
from release.machine import Paths, ReleaseError, Settings, current_version, lock, systemctl, write_atomically
from release.outcome import CUT_SHORT, TRIAL_UNIT, clear_words, keep, roll_back, settle
from release.state import State, installed, load_state, note_return, save_state
from release.system import install_system, point_current, switch

BY_HAND = "rolled back by hand"


def activate(paths: Paths, settings: Settings, version: str, *, needs_confirmation: bool) -> bool:
    """Begin a trial and see it through, or up to the confirmation; False where the release is in use.

    The trial itself is a service: it ends well also where the caller is gone. Raises ReleaseError.
    """
    with lock(paths):
        state = settle(paths, settings)
        if state.trial:
            raise ReleaseError(f"release {state.trial['version']} is on trial: wait for its end")
        if version not in installed(paths):
            raise ReleaseError(f"release {version} is not installed")
        if current_version(paths) == version and version in state.good:
            return False
        check_settings(paths, settings, version)
        state.trial = {
            "version": version,
            "previous": current_version(paths),
            "since": time.time(),
            "stage": "starting",
            "needs_confirmation": needs_confirmation,
        }
        save_state(paths, state)
        clear_words(paths)
        systemctl("start", "--no-block", TRIAL_UNIT)
    deadline = time.monotonic() + settings.gate_s + 120
    while time.monotonic() < deadline:
        state = load_state(paths)
        if state.trial is None or state.trial["version"] != version:
            break
        if needs_confirmation and state.trial["stage"] == "healthy":
            return True
        time.sleep(POLL_S)
    else:
        with lock(paths):
            state = settle(paths, settings)
        if state.trial:
            raise ReleaseError("the trial does not end: see `journalctl -u pinhole-release-trial`")
    return expect_good(state, version)


def adopt(paths: Paths) -> bool:
    """Where an image is made, and nothing can be tried: what was installed is the first good release."""
    versions = list(installed(paths))
    if current_version(paths) or len(versions) != 1:
        raise ReleaseError("only the first release of a machine is taken without a trial")
    [version] = versions
    for at in ("activation", "end"):
        install_system(paths, version, at=at)
    point_current(paths, version)
    state = load_state(paths)
    state.good = [version]
    save_state(paths, state)
    return True


def expect_good(state: State, version: str) -> bool:
    if version in state.good:
        return True
    reason = next((entry["reason"] for entry in state.given_back if entry["version"] == version), "unknown")
    raise ReleaseError(f"release {version} was rolled back: {reason}")


def confirm(paths: Paths, settings: Settings, version: str, refusal: str = "") -> bool:
    """Somebody outside has seen its pictures, or has not; waits for the trial's end. Raises ReleaseError."""
    state = load_state(paths)
    if state.trial is None or state.trial["version"] != version:
        return expect_good(state, version)
    name, text = ("refused", refusal) if refusal else ("confirmed", version)
    write_atomically(paths.run / name, text.encode(), 0o600)
    deadline = time.monotonic() + settings.gate_s + 60
    while (state := load_state(paths)).trial and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if state.trial:
        with lock(paths):
            state = settle(paths, settings)
    return True if refusal else expect_good(state, version)


def check_settings(paths: Paths, settings: Settings, version: str) -> None:
    """A release that cannot read this machine's settings is never started."""
    pinhole = paths.releases / version / "bin/pinhole"
    try:
        done = subprocess.run(
            [pinhole, *settings.check], capture_output=True, text=True, check=False, timeout=120
        )
        words = done.stderr.strip().splitlines() if done.returncode else None
    except (OSError, subprocess.SubprocessError) as exc:
        words = [str(exc)]
    if words is not None:
        message = f"its check of the settings fails: {' '.join(words[-3:])[:300]}"
        state = load_state(paths)
        note_return(state, version, message, installed(paths)[version]["serial"])
        save_state(paths, state)
        raise ReleaseError(f"release {version} was rolled back: {message}")


def run_trial(paths: Paths, settings: Settings) -> bool:
    """The body of the service: switch, watch, keep or roll back. True where it was kept."""
    with lock(paths, wait_s=30):
        state = load_state(paths)
        if state.trial is None:
            return True
        if state.trial["stage"] != "starting":
            roll_back(paths, settings, state, CUT_SHORT)
            return False
        state.trial["stage"] = "running"
        save_state(paths, state)
        paths.trial.touch()
        try:
            switch(paths, settings, state.trial["version"])
            reason = watch(paths, settings, state)
        except (ReleaseError, OSError, ValueError, KeyError) as exc:
            reason = f"its trial failed: {exc}"
        finally:
            clear_words(paths)
        if reason:
            roll_back(paths, settings, state, reason)
        else:
            keep(paths, settings, state)
        return not reason


def rollback(paths: Paths, settings: Settings) -> str:
    """By hand: to the good release before this one."""
    with lock(paths):
        state = settle(paths, settings)
    current = current_version(paths)
    earlier = [version for version in state.good if version != current and version in installed(paths)]
    if not earlier:
        raise ReleaseError("there is no other good release on this machine")
    if current in state.good:
        with lock(paths):
            state.good.remove(current)
            note_return(state, str(current), BY_HAND, state.serial)
            save_state(paths, state)
    activate(paths, settings, earlier[0], needs_confirmation=False)
    return earlier[0]
