"""The agent's side of a release: proves itself while on trial, and reports a rollback.

`pinhole-release` (release/) switches releases and judges them. The two meet in three
files: the trial's flag and the releases' state, which it writes, and our status, which we write.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.model.disk import write_whole
from agent.model.log_limit import LogLimit
from agent.model.sections import ReleaseSection

log = logging.getLogger(__name__)

INTERVAL_S, CALM_INTERVAL_S = 1.0, 5.0
"""On trial, and at all other times."""
TRIAL = Path("/run/pinhole-release/trial")
STATE = Path("/opt/pinhole/state.json")
MAX_STATE_BYTES = 256 * 1024
LOOK_WITHIN_S = 30.0
"""Devices that get the same message do not all ask at once."""
LOOK_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What `pinhole-release` reads in `$RUNTIME_DIRECTORY/status.json`."""

    pid: int
    version: str
    broker: bool
    """Connected."""
    frames: int
    """0 or 1: whether the camera has delivered pictures, and a keyframe when it was asked for one."""
    lacks: str = ""
    """Where it has not: what did not come."""


def stand(version: str, frames: int, forced_keyframes: int, *, is_connected: bool) -> Standing:
    """What counts are worth as a proof. A camera that cannot be asked for keyframes serves nobody."""
    lacks = ""
    if not frames:
        lacks = "it did not capture a picture"
    elif not forced_keyframes:
        lacks = "its camera made no keyframe when it was asked for one"
    return Standing(os.getpid(), version, is_connected, int(not lacks), lacks)


class ReleaseDesk:
    """Writes our status, reads the releases' state, passes on the word that there may be a new release."""

    def __init__(
        self,
        stand: Callable[[], Standing],
        watching: Callable[[], contextlib.AbstractContextManager[None]],
        ask_keyframe: Callable[[], None],
        on_change: Callable[[], None],
        environ: Mapping[str, str] = os.environ,
        trial: Path = TRIAL,
        state: Path = STATE,
    ) -> None:
        """`watching` keeps the camera running inside its block; `on_change` is for a new `release`."""
        self.release: ReleaseSection | None = None
        self._stand, self._watching, self._on_change = stand, watching, on_change
        self._ask_keyframe = ask_keyframe
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._folder = Path(folder) if folder else None
        self._trial, self._state = trial, state
        self._seen: tuple[int, int] | None = None
        self._told: Standing | None = None
        self._looks_at_s = 0.0
        self._faults = LogLimit(60.0)

    @property
    def is_on_trial(self) -> bool:
        """Whether the release that runs has yet to prove itself."""
        return self._trial.exists()

    async def run(self) -> None:
        """Until cancelled; on trial the camera runs until it has made a keyframe that was asked for."""
        with contextlib.ExitStack() as proof:
            if is_on_trial := self._trial.exists():
                log.info("this release is on trial: capturing pictures")
                proof.enter_context(self._watching())
            while True:
                self.look()
                if self._told and self._told.frames:
                    is_on_trial = False
                    proof.close()
                if is_on_trial:
                    self._ask_keyframe()
                await asyncio.sleep(INTERVAL_S if is_on_trial else CALM_INTERVAL_S)

    def look(self) -> None:
        """Tell what has changed, both ways."""
        standing = self._stand()
        if standing != self._told and self._tell(standing):
            self._told = standing
        release = self._read()
        if release != self.release:
            self.release = release
            self._on_change()

    def section(self) -> ReleaseSection | None:
        """What the device's state says of its releases; None where they are not managed here."""
        return self.release

    def look_for_release(self) -> None:
        """The portal announced a release: within half a minute `pinhole-pull.path` sees our file."""
        loop = asyncio.get_running_loop()
        if self._folder is None or loop.time() < self._looks_at_s:
            return
        pause_s = random.uniform(0, LOOK_WITHIN_S)  # noqa: S311 - spreads load, keeps no secret
        self._looks_at_s = loop.time() + pause_s + LOOK_EVERY_S
        log.info(f"there may be a new release: looking in {pause_s:.0f} s")
        loop.call_later(pause_s, self._touch, self._folder / "look")

    def _touch(self, file: Path) -> None:
        try:
            file.write_text("")
        except OSError as exc:
            log.warning(f"cannot ask for a look at new releases: {exc}")

    def _tell(self, standing: Standing) -> bool:
        """False where it is to be written again."""
        if self._folder is None:
            return True
        try:
            write_whole(self._folder / "status.json", json.dumps(asdict(standing)).encode(), 0o644)
        except OSError as exc:
            if self._faults.note(time.monotonic()):
                log.warning(f"cannot write our status: {exc}")
            return False
        return True

    def _read(self) -> ReleaseSection | None:
        """The same as before while the file has not changed."""
        try:
            about = self._state.stat()
            seen = (about.st_mtime_ns, about.st_ino)
            if seen == self._seen:
                return self.release
            self._seen = seen
            with self._state.open("rb") as file:
                return parse_state(json.loads(file.read(MAX_STATE_BYTES)), self._turned_at())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as exc:
            log.warning(f"{self._state}: {exc!r}")
            return self.release

    def _turned_at(self) -> float:
        """When the link to the release that runs was set, in Unix time."""
        try:
            return self._state.with_name("current").lstat().st_mtime
        except OSError:
            return 0.0


def parse_state(state: dict[str, Any], since: float) -> ReleaseSection:
    """What people want to know of `state.json`, and since when the release runs. Pure."""
    last = next(iter(state["given_back"]), None) or {"version": "", "reason": "", "at": 0.0}
    return ReleaseSection(
        on_trial=state["trial"] is not None,
        since=since,
        given_back=str(last["version"])[:64],
        reason=str(last["reason"])[:500],
        given_back_at=float(last["at"]),
    )
