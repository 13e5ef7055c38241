"""The talk with a modem over its AT port: bytes in, answers and news out (ITU-T V.250, TS 27.007). Pure.

One command at a time. Whether a line is its answer or news (an unsolicited result code) is decided by the
command that waits: news comes whenever it likes, also in the middle of an answer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from agent.serial.modem.commands import Command, is_allowed

MAX_LINE_BYTES = 2048
MAX_LINES = 64
"""Of one answer: a 5G modem's list of cells has twenty."""
_ENDS = re.compile(rb"[\r\n]+")
_RESULT = re.compile(r"OK$|ERROR$|\+CM[ES] ERROR: ?(.*)$|COMMAND NOT SUPPORT$|TOO MANY PARAMETERS$")
_NUMBER = re.compile(r"\d{3,}(?=\d{4})")
_PDU = re.compile(r"[0-9A-Fa-f]{20,}")
"""A message that a modem hands on by itself: its sender's number is in it, each two digits swapped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command."""

    command: Command
    lines: tuple[str, ...]
    result: str
    """`OK`, or how it was refused; empty where nothing came in time."""

    @property
    def is_ok(self) -> bool:
        """The modem did it."""
        return self.result == "OK"

    @property
    def is_missed(self) -> bool:
        """The modem said nothing, or not to the end."""
        return not self.result

    @property
    def error(self) -> str:
        """The number or words of `+CME ERROR` (TS 27.007 section 9.2) or `+CMS ERROR`; else empty."""
        found = _RESULT.match(self.result)
        return (found[1] or "").strip() if found else ""


@dataclass(frozen=True, slots=True)
class News:
    """A line that nobody asked for."""

    line: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The modem waits for the text of the command: this is to be written."""

    body: bytes


Event = Answer | News | Prompt
LEAVE_PROMPT, END_TEXT = b"\x1b", b"\x1a"
"""End the input of a text (TS 27.005 section 3.5.1): the first sends none."""


@dataclass(slots=True)
class _Waiting:
    command: Command
    ends_s: float
    is_prompted: bool = False
    lines: list[str] = field(default_factory=list)


class Channel:
    """One port's talk. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self.is_in_data_mode = False
        """The port carries a connection's bytes, not lines: `commands.ESCAPE` leads out."""
        self.is_at_prompt = False
        """It waits for the text of a message that somebody began: `LEAVE_PROMPT` leads out."""
        self.dropped_bytes = 0
        """Of lines that were too long."""
        self._waiting: _Waiting | None = None
        self._rest = b""
        self._is_skipping = False

    @property
    def deadline_s(self) -> float | None:
        """When the command that waits has waited for long enough; None where none does."""
        return self._waiting.ends_s if self._waiting else None

    def send(self, command: Command, now_s: float) -> bytes:
        """What goes to the port. Raises ValueError for a command that may not, or while another one waits."""
        if not is_allowed(command.text, command.body):
            raise ValueError(f"not a command that this agent may send: {command.text!r}")
        if self._waiting:
            raise ValueError(f"{self._waiting.command.text} has not been answered")
        self._waiting = _Waiting(command, now_s + command.limit_s)
        return command.text.encode() + (b"" if command.text == "+++" else b"\r")

    def feed(self, data: bytes) -> list[Event]:
        """Take what the port gave."""
        return list(self._feed(data))

    def expire(self, now_s: float) -> list[Event]:
        """Give up a command that has waited for long enough."""
        if self._waiting and now_s >= self._waiting.ends_s:
            return [self._end("")]
        return []

    def reset(self) -> None:
        """The port was opened anew: nothing is pending, and what came in part is void."""
        self._waiting, self._rest, self._is_skipping = None, b"", False
        self.is_in_data_mode = self.is_at_prompt = False

    def _feed(self, data: bytes) -> Iterator[Event]:
        *lines, rest = _ENDS.split(self._rest + data)
        self._rest = b""
        for line in lines:
            if self._is_skipping or len(line) > MAX_LINE_BYTES:
                self.dropped_bytes += len(line)
                self._is_skipping = False
            elif text := _text(line):
                yield from self._take(text)
        if self._is_skipping or len(rest) > MAX_LINE_BYTES:
            self.dropped_bytes += len(rest)
            self._is_skipping = True
        elif rest.strip() == b">":
            self.is_at_prompt = True
            if self._waiting and self._waiting.command.body and not self._waiting.is_prompted:
                self._waiting.is_prompted = True
                yield Prompt(self._waiting.command.body.encode() + END_TEXT)
        else:
            self._rest = rest

    def _take(self, line: str) -> Iterator[Event]:
        kind = _kind(line, self._waiting)
        if kind in ("connect", "result"):
            self.is_in_data_mode, self.is_at_prompt = kind == "connect", False
            if self._waiting:
                yield self._end("CONNECT" if kind == "connect" else line)
        elif line == "NO CARRIER":
            self.is_in_data_mode = False
        elif kind == "answer" and self._waiting:
            self._waiting.lines.append(line)
        elif kind == "news" and not self.is_in_data_mode:
            yield News(line)

    def _end(self, result: str) -> Answer:
        assert self._waiting
        waiting, self._waiting = self._waiting, None
        return Answer(waiting.command, tuple(waiting.lines), result)


def _kind(line: str, waiting: _Waiting | None) -> Literal["connect", "result", "answer", "news", "nothing"]:
    if line.startswith("CONNECT"):
        return "connect"
    if waiting is None:
        return "news"
    if line.upper() == waiting.command.text.upper():
        return "nothing"  # the echo, which ATE0 has yet to end
    if _RESULT.match(line):
        is_late = line == "OK" and waiting.command.must_answer and not waiting.lines
        return "nothing" if is_late else "result"
    if waiting.command.answer and waiting.command.answer.match(line):
        return "answer" if len(waiting.lines) < MAX_LINES else "nothing"
    return "news"


def _text(line: bytes) -> str:
    """Printable ASCII, without what a bad line put between."""
    spaced = line.replace(b"\t", b"  ")
    return bytes(byte for byte in spaced if 0x20 <= byte < 0x7F).decode().strip()


def redact(line: str) -> str:
    """A line as a log may have it: of a number as long as a subscriber's, the last four digits."""
    if _PDU.fullmatch(line):
        return "…"
    return _NUMBER.sub("…", line)
