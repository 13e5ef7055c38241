"""Runs checks at the same time, each within its bound, and tells of each as it starts and ends."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from agent.doctor.report import CheckName, Finding, Verdict
from agent.errors import CameraError, PinholeError

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One question: `ask` gets the facts, `judge` says what they mean; judging is pure."""

    name: CheckName
    subject: str
    limit_s: float
    ask: Callable[[], Awaitable[T]]
    judge: Callable[[T], Finding]
    advice: str
    """What to do where the facts cannot be had; empty where the error's words end in it, after a colon."""
    failure: Verdict = "fault"
    """What it means where they cannot be had."""
    host: str = ""
    """Whom it asks: nothing is tried where this name is unknown."""


class Progress(Protocol):
    """Who shows how the visit goes."""

    def started(self, check: CheckName, subject: str) -> None:
        """One check is under way."""

    def ended(self, finding: Finding) -> None:
        """And this came of it; check and subject are those of its start."""


class Visit:
    """Collects the findings of one visit, in the order in which they come."""

    def __init__(self, progress: Progress) -> None:
        self.findings: list[Finding] = []
        self._progress = progress

    async def check(self, check: Check[T]) -> T | None:
        """Ask and judge; the facts, or None where they could not be had."""
        self._progress.started(check.name, check.subject)
        started_s = time.monotonic()
        known: T | None = None
        try:
            async with asyncio.timeout(check.limit_s):
                facts = await check.ask()
            finding, known = check.judge(facts), facts
        except TimeoutError:
            finding = _failure(check, f"no answer within {check.limit_s:g} s")
        except CameraError as exc:
            finding = _failure(dataclasses.replace(check, advice=exc.advice or check.advice), exc.words)
        except PinholeError as exc:
            finding = _failure(check, str(exc))
        except Exception as exc:
            # One check's fault must not hide what the others found.
            log.exception("the check %s failed", check.name)
            finding = _failure(check, f"the check itself failed: {type(exc).__name__}: {exc}")
        self.note(dataclasses.replace(finding, duration_ms=round((time.monotonic() - started_s) * 1000, 1)))
        return known

    def note(self, finding: Finding) -> None:
        """A finding that needed no asking."""
        self.findings.append(finding)
        self._progress.ended(finding)


def _failure(check: Check[T], words: str) -> Finding:
    words, advice = words.removeprefix(f"{check.subject}: "), check.advice
    if not advice:
        words, _, advice = words.rpartition(": ")
    return Finding(check.name, check.subject, check.failure, words or advice, advice)
