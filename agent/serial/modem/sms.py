"""The lifeline: does what the portal signed and a modem got as an SMS, once, and says what became of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Literal, Protocol

from pydantic import ConfigDict, Field, StringConstraints, with_config

from agent.errors import MessageError, ModemError
from agent.model.sections import ModemSection
from agent.model.sms import MAX_CHARS, SmsCommand, Verb, is_command, parse_command
from agent.model.threads import save_in_thread

log = logging.getLogger(__name__)

MAX_AGE_S = 6 * 3600
"""How long a network may keep a message; a person has sent another one by then."""
SKEW_S = 600
NOTE_S = 3600.0
MAX_USED = 64
"""Commands that are known to have been done; those of the last hours, as many as a person sends."""
MOST = 1_000_000_000
"""Nobody counts further."""
Refusal = Literal["invalid", "forged", "old", "replayed", "failed"]

_Time = Annotated[int, Field(ge=0, le=2**53)]
_Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Used:
    """One command that was done."""

    issued_s: _Time
    nonce: _Nonce


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, slots=True)
class Heard:
    """What outlives the agent."""

    floor_s: _Time = 0
    """What was signed before counts no more; 0 where there was never a clock to tell."""
    used: Annotated[tuple[Used, ...], Field(max_length=MAX_USED)] = ()
    done: Annotated[int, Field(ge=0)] = 0
    refused: Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(max_length=16)] = field(
        default_factory=dict
    )
    """How often, by `Refusal`."""


class Record(Protocol):
    """Where it is kept."""

    def load(self) -> Heard | None: ...
    def keep(self, value: Heard, now_s: float) -> None: ...
    def write(self, value: Heard) -> None: ...


@dataclass(frozen=True, slots=True)
class Now:
    """The time, and what it is worth."""

    unix_s: float
    is_set: bool
    """By a time service since the machine started; a board without a battery starts in the past."""
    mono_s: float


OnSms = Callable[[str], Awaitable[str | None]]
"""What a back end calls with the text of each message, whoever sent it; it sends what comes back, if any, to
the same number, and deletes the message either way."""
Act = Callable[[str], str]
"""`act(argument)` does a verb and returns words. Raises MessageError or ModemError."""


class Lifeline:
    """One device's."""

    def __init__(
        self,
        device: str,
        verifies: Callable[[bytes, bytes], bool],
        acts: Mapping[Verb, Act],
        record: Record,
        clock: Callable[[], Now],
    ) -> None:
        """`verifies(signed, signature)` says whether a key of the portal's made it."""
        self._device, self._verifies, self._acts = device, verifies, acts
        self._record, self._clock = record, clock
        self._heard = record.load() or Heard()
        self.note_time()

    @property
    def heard(self) -> Heard:
        """What was done and what was refused so far."""
        return self._heard

    def told(self, section: ModemSection) -> ModemSection:
        """A section of the state, with how many messages did something, and how many did not."""
        done, refused = self._heard.done, sum(self._heard.refused.values())
        return replace(section, sms_done=min(done, MOST), sms_refused=min(refused, MOST))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(NOTE_S)
            self.note_time()

    async def on_sms(self, text: str) -> str | None:
        """Do it where it is for us, and new. An answer for the sender; None for who has proven nothing."""
        if not is_command(text):
            return None
        try:
            command = await self._take(text)
        except MessageError as exc:
            log.warning(f"SMS refused ({exc.code}): {exc}")
            return None
        try:
            words = self._acts[command.verb](command.argument)
            log.info(f"SMS {command.nonce}: {command.verb} {command.argument}: {words}")
        except (MessageError, ModemError) as exc:
            self._refuse("failed")
            words = f"failed: {exc}"
        return _answer(f"{self._device} {command.nonce} {words}")

    def note_time(self) -> None:
        """Once an hour or so: a boot without a clock knows from it what is old.

        Who has no record, or lost it, begins with what is signed from now on.
        """
        now = self._clock()
        if now.is_set:
            floor_s = (
                max(self._floor_s(now), int(now.unix_s) - MAX_AGE_S)
                if self._heard.floor_s
                else int(now.unix_s)
            )
            self._heard = replace(self._heard, floor_s=max(1, floor_s))
            self._record.keep(self._heard, now.mono_s)

    def _floor_s(self, now: Now) -> int:
        """One that is ahead of a right clock came from a wrong one."""
        floor_s = self._heard.floor_s
        return 0 if now.is_set and floor_s > now.unix_s else floor_s

    async def _take(self, text: str) -> SmsCommand:
        """Count it as done before it is: a reboot leaves no time for it after. Raises MessageError."""
        try:
            command, signature = parse_command(text)
        except MessageError:
            self._refuse("invalid")
            raise
        if not self._verifies(command.signed_by(self._device), signature):
            self._refuse("forged")
            raise MessageError("forged", "no key of the portal's signed it for this device")
        self._check_time(command, self._clock())
        used = Used(command.issued_s, command.nonce)
        if used in self._heard.used:
            self._refuse("replayed")
            raise MessageError("replayed", "it was done already")
        before = self._heard
        self._heard = self._with(used)
        if not await save_in_thread("sms", partial(self._write, self._heard)):
            self._heard = replace(self._heard, used=before.used, done=before.done)
            raise MessageError("failed", "the disk does not keep that it was done")
        return command

    def _write(self, heard: Heard) -> bool:
        """Whether the disk has it then."""
        self._record.write(heard)
        kept = self._record.load()  # maybe a newer one: the time is noted meanwhile
        return kept is not None and kept.used == heard.used

    def _check_time(self, command: SmsCommand, now: Now) -> None:
        """Without a clock all counts that was signed since there was one: the outage is younger."""
        floor_s, age_s = self._floor_s(now), now.unix_s - command.issued_s
        is_timely = -SKEW_S <= age_s <= MAX_AGE_S if now.is_set else floor_s > 0
        if not is_timely or command.issued_s < floor_s:
            self._refuse("old")
            words = (
                f"it was signed {age_s:.0f} s ago"
                if now.is_set
                else "too old for what is known without a clock"
            )
            raise MessageError("old", words)

    def _with(self, used: Used) -> Heard:
        all_used, floor_s = (*self._heard.used, used), self._heard.floor_s
        if len(all_used) > MAX_USED:  # what is forgotten must not count again
            oldest = min(all_used, key=lambda each: each.issued_s)
            all_used = tuple(each for each in all_used if each is not oldest)
            floor_s = max(floor_s, oldest.issued_s + 1)
        return replace(self._heard, used=all_used, floor_s=floor_s, done=min(self._heard.done + 1, MOST))

    def _refuse(self, why: Refusal) -> None:
        refused = self._heard.refused
        self._heard = replace(self._heard, refused={**refused, why: min(refused.get(why, 0) + 1, MOST)})
        self._record.keep(self._heard, self._clock().mono_s)


def _answer(words: str) -> str:
    """As one message of GSM 7 bit carries it."""
    return "".join(char if " " <= char <= "z" and char not in "[\\]^`" else "?" for char in words)[:MAX_CHARS]
