"""Settings from afar: each change is tried, and given back unless the portal is reached and a picture comes.

What is tried is on disk before it is applied: whatever ends the agent meanwhile, its next start has what
was there before.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.config import Settings
from agent.config.changes import check_keys, settable, value_of, with_changes
from agent.device.ledger import Ledger
from agent.errors import ConfigError
from agent.model.command import LATER, CommandError, Order
from agent.model.disk import exists, read_private
from agent.model.remote_settings import (
    MAX_VERSIONS,
    Applied,
    Changes,
    Difference,
    Kept,
    Setting,
    ShownSettings,
    Trial,
    Value,
    Version,
    WentBack,
)
from agent.model.sections import SettingsSection
from agent.model.signal import Result
from agent.model.text import clip
from agent.model.threads import save_in_thread

log = logging.getLogger(__name__)

FILE = "settings.json"
"""In the state folder."""
TRIAL_S = 60.0
LOOK_EVERY_S = 0.5
UNKEPT = "they cannot be kept on disk"
KILLED = "the agent ended while they were tried"
LEFT_OUT = "what was changed from afar does not go with pinhole.toml, and is left out"
NOTHING = Version(0, 0.0, "", {})
"""Before anything was changed."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a trial needs of the agent that runs with the new settings."""

    watching: Callable[[], AbstractContextManager[None]]
    """Keeps the camera running inside its block."""
    frames: Callable[[], int]
    """Pictures that it has made."""
    first_picture_s: Callable[[], float]
    """How long its camera may take for the first: one that loads a network into its sensor takes minutes."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The settings that an agent runs with."""

    settings: Settings
    version: int = 0
    """Of what was changed from afar; 0 for nothing."""
    problem: str = ""
    """Why what was changed does not count, or is not known."""


def as_changed(folder: Path, standing: Settings, *, is_running: bool) -> Changed:
    """What the agent of this state folder runs with, or would start with; for who only looks.

    A trial counts while an agent runs: its next start gives it back. Blocking; writes nothing.
    """
    file = folder / FILE
    try:
        kept = TypeAdapter(Kept).validate_json(read_private(file), extra="ignore") if exists(file) else Kept()
    except ConfigError as exc:
        return Changed(standing, problem=f"what was changed from afar is not known: {exc}")
    except ValidationError:
        return Changed(standing, problem=f"{file}: damaged, so what was changed from afar does not count")
    version = kept.trial.version if kept.trial and is_running else next(iter(kept.versions), NOTHING)
    try:
        return Changed(with_changes(standing, version.changes), version.number)
    except ConfigError as exc:
        return Changed(standing, problem=f"{LEFT_OUT}: {exc}")


class RemoteSettings:
    """What was changed from afar, version by version; one change is tried at a time."""

    def __init__(self, file: Path, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        """`settings` are those of `pinhole.toml`. A trial that is on disk now has ended the agent."""
        self._clock, self._standing = clock, settings
        self._ledger: Ledger[Kept] = Ledger(file, TypeAdapter(Kept))
        self._kept = self._ledger.load() or Kept()
        self._is_applied = self._is_heard = False
        self._saving = asyncio.Lock()
        self.outcome: Result | None = None
        """Of the last trial, until somebody takes it."""
        self.problem = ""
        """Why what was changed does not count."""
        if self._kept.trial:
            self.go_back(KILLED)

    @property
    def is_on_trial(self) -> bool:
        """Whether the newest change has yet to prove itself."""
        return self._kept.trial is not None

    def section(self) -> SettingsSection:
        """For the state."""
        failed, last = self._failed, self._kept.went_back
        return SettingsSection(
            version=self._newest.number,
            on_trial=self.is_on_trial,
            problem=self.problem,
            went_back=failed.number if failed else 0,
            reason=failed.reason if failed else "",
            went_back_at=last.at if last else 0.0,
        )

    def apply(self) -> Settings:
        """Those that count now."""
        trial = self._kept.trial
        self._is_applied, self._is_heard, self.problem = trial is not None, False, ""
        try:
            return with_changes(self._standing, trial.version.changes if trial else self._newest.changes)
        except ConfigError as exc:  # pinhole.toml was changed since
            self.problem = f"{LEFT_OUT}: {exc}"
            log.error(self.problem)  # noqa: TRY400  its words say it all
            return self._standing

    def shown(self) -> ShownSettings:
        """All that may be changed, and the last versions."""
        now = self._proven()
        settings = tuple(
            Setting(key, value_of(now, key), value_of(self._standing, key)) for key in settable()
        )
        return ShownSettings(settings, self._kept.versions, self._failed)

    def _proven(self) -> Settings:
        try:
            return with_changes(self._standing, self._newest.changes)
        except ConfigError:
            return self._standing

    def hear(self, command: str) -> bool:
        """Whether it is the one on trial: the portal signed it for this start, after it had heard of it."""
        if is_tried := self._kept.trial is not None and self._kept.trial.command == command:
            self._is_heard = self._is_applied
        return is_tried

    async def set(self, order: Order, changes: Changes, restart: Callable[[], None]) -> object:
        """Try them: `restart` begins it. None takes a change back. Raises CommandError."""
        async with self._saving:
            return await self._set(order, changes, restart)

    async def _set(self, order: Order, changes: Changes, restart: Callable[[], None]) -> object:
        if self._kept.trial:
            raise CommandError("busy", "another change is being tried: wait a minute")
        before, newest = self._proven(), self._newest
        wanted: dict[str, Value] = {
            key: value for key, value in (newest.changes | changes).items() if value is not None
        }
        try:
            check_keys(changes)
            after = with_changes(self._standing, wanted)
        except ConfigError as exc:
            raise CommandError("invalid", str(exc)) from exc
        changed = tuple(
            Difference(key, value_of(before, key), value_of(after, key))
            for key in settable()
            if value_of(before, key) != value_of(after, key)
        )
        if not changed:
            return Applied(newest.number, ())
        number = max((newest.number, self._kept.went_back.number if self._kept.went_back else 0)) + 1
        version = Version(number, self._clock(), order.user, wanted)
        if not await self._save(replace(self._kept, trial=Trial(order.id, version, changed))):
            raise CommandError("disk", "the change cannot be kept on disk, so it is not tried")
        restart()
        return LATER

    async def run(self, proof: Proof, restart: Callable[[], None], on_outcome: Callable[[], None]) -> None:
        """Until cancelled: see the trial through, where there is one."""
        if self._is_applied and self._kept.trial:
            lacks = await self._lacks(proof)
            async with self._saving:
                if lacks or not await self._confirm():
                    self._note_back(lacks or UNKEPT)
                    await self._save(self._kept)  # else its next start does it
                    restart()
                else:
                    on_outcome()
        await asyncio.Event().wait()

    async def _lacks(self, proof: Proof) -> str:
        """What did not come in time; empty where all did."""
        loop = asyncio.get_running_loop()
        limit_s = max(TRIAL_S, proof.first_picture_s())
        until_s = loop.time() + limit_s
        with proof.watching():
            while not (self._is_heard and proof.frames()):
                if loop.time() > until_s:
                    what = "no picture came" if self._is_heard else "the portal did not confirm it"
                    return f"{what} within {limit_s:g} s"
                await asyncio.sleep(LOOK_EVERY_S)
        return ""

    def go_back(self, reason: str) -> None:
        """To what there was before the trial, while no agent runs; blocking. `outcome` says so."""
        if self._kept.trial is not None:
            self._note_back(reason)
            self._ledger.write(self._kept)

    def _note_back(self, reason: str) -> None:
        trial = self._kept.trial
        assert trial is not None
        reason = clip(reason)  # words of an exception, maybe: what is too long or no UTF-8 is not read again
        log.warning(f"settings of version {trial.version.number} are rolled back: {reason}")
        words = f"the device went back to what it had: {reason}"
        self.outcome = Result(0, trial.command, "set", ok=False, code="went-back", message=clip(words))
        back = WentBack(trial.version.number, self._clock(), reason, trial.changed)
        self._kept = replace(self._kept, trial=None, went_back=back)

    async def _confirm(self) -> bool:
        trial = self._kept.trial
        assert trial is not None
        versions = (trial.version, *self._kept.versions)[:MAX_VERSIONS]
        if not await self._save(replace(self._kept, versions=versions, trial=None)):
            return False
        words = ", ".join(
            f"{each.key}: {_shown(each.before)} → {_shown(each.after)}" for each in trial.changed
        )
        applied = TypeAdapter(Applied).dump_python(Applied(trial.version.number, trial.changed), mode="json")
        self.outcome = Result(
            0, trial.command, "set", ok=True, code="done", message=clip(words), value=applied
        )
        log.info(f"settings of version {trial.version.number} have proven themselves")
        return True

    async def _save(self, kept: Kept) -> bool:
        """Whether the disk has it."""
        if is_kept := await save_in_thread("settings", partial(self._write, kept)):
            self._kept = kept
        return is_kept

    def _write(self, kept: Kept) -> bool:
        self._ledger.write(kept)
        return self._ledger.load() == kept

    @property
    def _failed(self) -> WentBack | None:
        """The last trial, where it did not prove itself."""
        back = self._kept.went_back
        return back if back and back.number > self._newest.number else None

    @property
    def _newest(self) -> Version:
        return self._kept.versions[0] if self._kept.versions else NOTHING


def _shown(value: Value) -> str:
    """As one types it after `key=`."""
    if value is None:
        return "default"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)
