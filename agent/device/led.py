"""Blinks the board's LED, so that whoever stands before ten cameras finds the one; and gives it back."""

import asyncio
import contextlib
import json
import logging
from functools import partial
from pathlib import Path

from agent.model.command import CommandError
from agent.model.disk import write_whole
from agent.model.threads import HungCallError, call_in_thread

log = logging.getLogger(__name__)

LEDS = tuple(Path("/sys/class/leds") / name for name in ("ACT", "led0"))
"""As current kernels call it, and older ones."""
HALF_S = 0.25
NOTE_S = 5.0
"""A card may take a second for it."""
MAX_BYTES = 4096


class Led:
    """One LED of /sys/class/leds (Documentation/leds/leds-class.rst in Linux)."""

    def __init__(self, note: Path, leds: tuple[Path, ...] = LEDS) -> None:
        """`note` remembers what made it light before, for a start of the agent that finds it blinking."""
        self._note, self._leds = note, leds
        self._wanted = asyncio.Event()
        self._until_s = 0.0
        self._before: dict[str, str] | None = None
        """What the note says, also where no disk takes the note."""

    def blink(self, seconds: float) -> None:
        """From now on, so long. Raises CommandError where this machine has none that we may use."""
        if self._find() is None:
            raise CommandError("no-led", "this machine has no LED that the agent may blink")
        self._until_s = asyncio.get_running_loop().time() + seconds
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled; the LED is then as it was."""
        self._give_back()  # where we were killed while it blinked
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._blink()
            except OSError as exc:
                log.warning(f"the LED does not blink: {exc}")
            finally:
                self._give_back()

    async def _blink(self) -> None:
        led = self._find()
        if led is None:
            return
        words = (led / "trigger").read_text()[:MAX_BYTES]
        trigger = words.partition("[")[2].partition("]")[0] or "none"
        level = (led / "brightness").read_text()[:MAX_BYTES].strip()
        self._before = {"trigger": trigger, "brightness": level}
        try:
            note = json.dumps(self._before).encode()
            await call_in_thread("led", NOTE_S, partial(write_whole, self._note, note))
        except (OSError, HungCallError) as exc:
            log.warning(f"the LED stays dark or lit if the agent is killed now: {exc}")
        (led / "trigger").write_text("none")
        is_lit = False
        while asyncio.get_running_loop().time() < self._until_s:
            is_lit = not is_lit
            (led / "brightness").write_text("1" if is_lit else "0")
            await _pause(HALF_S)

    def _give_back(self) -> None:
        led = self._find()
        if led is None or not (self._before or self._note.exists()):
            return
        try:
            before = self._before or json.loads(self._note.read_bytes()[:MAX_BYTES])
            (led / "brightness").write_text(str(before["brightness"]))
            (led / "trigger").write_text(str(before["trigger"]))
        except (OSError, ValueError, TypeError, KeyError) as exc:
            log.warning(f"the LED stays as it is: {exc!r}")
        self._before = None
        with contextlib.suppress(OSError):
            self._note.unlink()

    def _find(self) -> Path | None:
        return next((led for led in self._leds if _may_write(led / "trigger")), None)


_pause = asyncio.sleep


def _may_write(file: Path) -> bool:
    try:
        with file.open("r+b"):
            return True
    except OSError:
        return False
