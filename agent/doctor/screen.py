"""How a visit looks in a terminal: what runs, each finding as it comes, and the verdict."""

import re
from collections import Counter
from typing import Self

from rich.console import Console
from rich.text import Text

from agent.doctor.report import Finding, Report, count
from agent.model.text import printable

MARKS = {"good": ("✔", "green"), "warning": ("!", "yellow"), "fault": ("✘", "red"), "unknown": ("?", "dim")}
NAME_WIDTH = 8


class Screen:
    """See `agent.doctor.visit.Progress`. `with` it, so that the terminal is left as it was."""

    def __init__(self, console: Console, *, is_quiet: bool) -> None:
        """Quiet shows what runs, and no findings."""
        self._console = console
        self._is_quiet = is_quiet
        self._running: Counter[str] = Counter()
        self._status = console.status("")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def started(self, check: str, _subject: str) -> None:
        self._running[check] += 1
        self._show_running()

    def ended(self, finding: Finding) -> None:
        self._running[finding.check] -= 1
        self._show_running()
        if not self._is_quiet:
            self._console.print(draw(finding), soft_wrap=True)

    def close(self, report: Report) -> None:
        """The verdict."""
        if not self._is_quiet:
            self._console.print(summary(report), soft_wrap=True)

    def _show_running(self) -> None:
        names = sorted(name for name, running in self._running.items() if running > 0)
        self._status.update(Text(f"checking {', '.join(names)}", "dim"))


def draw(finding: Finding) -> Text:
    """A line, and one below where there is something to do."""
    mark, colour = MARKS[finding.verdict]
    subject = f"{finding.subject}: " if finding.subject else ""
    text = Text(f"{mark} ", colour)
    text.append(f"{finding.check:<{NAME_WIDTH}} ", "bold")
    text.append(_line(subject + finding.message), "default")
    if finding.duration_ms:
        text.append(f"  {_duration(finding.duration_ms)}", "dim")
    if finding.advice:
        text.append(f"\n{' ' * (NAME_WIDTH + 3)}→ {_line(finding.advice)}", colour)
    return text


def summary(report: Report) -> Text:
    """The last line."""
    faults, warnings = count(report.findings, "fault"), count(report.findings, "warning")
    words = f"{_plural(faults, 'fault')}, {_plural(warnings, 'warning')} in {report.duration_ms / 1000:.1f} s"
    if report.can_serve:
        return Text(f"\nThis device can serve: {words}.", "bold green")
    return Text(f"\nThis device cannot serve: {words}.", "bold red")


def _line(text: str) -> str:
    """Foreign words on one line."""
    return re.sub(r"\s+", " ", printable(text))


def _duration(duration_ms: float) -> str:
    return f"{duration_ms:.0f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.1f} s"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
