"""Runs one worker and watches it from outside: how far it is, how large it is, and how it ends."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from fuzz.limits import MIB

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / ".artifacts" / "fuzz"
POLL_S = 0.25
SILENCE_S = 20.0
"""A worker tells once a second how far it is; one that says nothing for so long hangs."""
SETTLE_SHARE = 0.25
"""So much of the time the engine and the libraries may take to fill their caches."""
MAX_GROWTH_MIB = 64
"""From then on; a corpus grows by a few."""
TAIL_LINES = 60
LIBFUZZER = re.compile(r"^#\d+\s.*\bcov: (\d+)")
KINDS = {70: "hang", 71: "growth", 77: "crash"}

Result = Literal["ok", "crash", "hang", "growth", "broken"]


@dataclass
class Report:
    """What came of one target."""

    target: str
    result: Result = "ok"
    engine: str = ""
    runs: int = 0
    seconds: float = 0.0
    coverage: int | None = None
    """Branches that were reached, as the engine counts them."""
    settled_mib: float | None = None
    """Resident memory when the first quarter was over."""
    last_mib: float = 0.0
    peak_mib: float = 0.0
    input: str | None = None
    replay: str | None = None
    said: str = ""
    """The end of what the engine and Python printed, where something was found."""

    @property
    def runs_per_s(self) -> float:
        """Inputs a second."""
        return self.runs / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"runs_per_s": round(self.runs_per_s, 1)}


def run_target(
    name: str, seconds: float, corpora: Sequence[str], on_progress: Callable[[Report], None]
) -> Report:
    """Fuzz one target for so long, or until something is found."""
    folder = ARTIFACTS / name
    folder.mkdir(parents=True, exist_ok=True)
    before = set(_findings(folder))
    report, began_s = Report(name), time.monotonic()
    process = _start(name, str(folder), str(seconds), *corpora)
    ears = _Ears(process)
    try:
        _watch(process, ears, report, began_s, seconds, on_progress)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        ears.join()
    report.seconds = round(time.monotonic() - began_s, 1)
    ears.fill(report)
    if report.result == "ok" and process.returncode:
        report.result = KINDS.get(process.returncode, "broken")
    if report.result != "ok":
        report.said = "\n".join(ears.tail)
        found = sorted(set(_findings(folder)) - before) or _from_running(folder, report.result)
        if found:
            report.input = os.path.relpath(found[0])
            report.replay = f"scripts/fuzz {name} --replay {report.input}"
    (folder / "running").unlink(missing_ok=True)
    return report


def replay(name: str, file: Path) -> int:
    """Run one input again, for people to look at; the worker's exit code."""
    command = [sys.executable, "-m", "fuzz.worker", name, "--replay", str(file.resolve())]
    return subprocess.run(command, env=_environment(), check=False, timeout=60).returncode


def _watch(
    process: subprocess.Popen[str],
    ears: "_Ears",
    report: Report,
    began_s: float,
    seconds: float,
    on_progress: Callable[[Report], None],
) -> None:
    eye = psutil.Process(process.pid)
    while process.poll() is None:
        time.sleep(POLL_S)
        now_s = time.monotonic()
        try:
            resident = eye.memory_info().rss
        except psutil.Error:
            return
        if not resident:  # it has ended, and waits to be noticed
            continue
        report.last_mib = round(resident / MIB, 1)
        report.seconds = round(now_s - began_s, 1)
        report.peak_mib = max(report.peak_mib, report.last_mib)
        ears.fill(report)
        on_progress(report)
        if report.settled_mib is None and report.seconds >= seconds * SETTLE_SHARE:
            report.settled_mib = report.last_mib
        if report.settled_mib is not None and report.last_mib - report.settled_mib > MAX_GROWTH_MIB:
            report.result = "growth"
            return
        if now_s - ears.heard_s > SILENCE_S:
            report.result = "hang"
            return


class _Ears:
    """Reads both pipes of a worker in threads, so that neither fills."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.heard_s = time.monotonic()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._engine, self._runs, self._coverage = "", 0, None
        self._threads = [
            threading.Thread(target=self._read, args=(pipe, take), daemon=True)
            for pipe, take in ((process.stdout, self._take_report), (process.stderr, self._take_line))
        ]
        for thread in self._threads:
            thread.start()

    def fill(self, report: Report) -> None:
        """Put what was heard into the report."""
        report.engine, report.runs, report.coverage = self._engine, self._runs, self._coverage

    def join(self) -> None:
        """Wait until both pipes are read to their end."""
        for thread in self._threads:
            thread.join(timeout=5)

    def _read(self, pipe: Any, take: Callable[[str], None]) -> None:
        with pipe:
            for line in pipe:
                take(line.rstrip())

    def _take_report(self, line: str) -> None:
        if line.startswith('{"engine"'):
            heard = json.loads(line)
            self._engine, self._runs, self.heard_s = heard["engine"], heard["runs"], time.monotonic()
        else:
            self.tail.append(line)

    def _take_line(self, line: str) -> None:
        if found := LIBFUZZER.match(line):
            self._coverage = int(found.group(1))
        elif line.startswith("stat::number_of_executed_units:"):
            self._runs = int(line.rpartition(":")[2])
        elif line and not line.startswith(("stat::", "INFO:")):
            self.tail.append(line[:400])


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fuzz.worker", *arguments],
        env=_environment(), text=True, errors="replace", cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        process_group=0,  # Ctrl-C is the parent's to answer
    )  # fmt: skip


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONUNBUFFERED": "1"}


def _findings(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if re.match("(crash|timeout|oom|growth|slow-unit)-", file.name)]


def _from_running(folder: Path, result: Result) -> list[Path]:
    """The engine left nothing: what it last said it was running."""
    running = folder / "running"
    if not running.exists():
        return []
    kind = {"hang": "timeout"}.get(result, result)
    kept = folder / f"{kind}-{hashlib.sha1(running.read_bytes()).hexdigest()}"
    return [running.rename(kept)]
