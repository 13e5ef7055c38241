"""`pinhole watch` as the other end of every measurement."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Where to watch; `options` go to each `pinhole watch`."""

    options: tuple[str, ...]
    env: dict[str, str]

    def watch(self, seconds: float, *more: str) -> dict[str, Any]:
        """What was seen; fails where no picture came."""
        return self.end(self.start(seconds, *more), seconds)

    def start(self, seconds: float, *more: str) -> subprocess.Popen[str]:
        """The same, left to run."""
        return subprocess.Popen(
            [sys.executable, "-m", "agent", "watch", *self.options,
             "--seconds", str(seconds), "--json", *more],
            cwd=ROOT, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self, process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
        """Wait for it."""
        try:
            printed, said = process.communicate(timeout=seconds + 60)
        finally:
            process.kill()
        assert process.returncode == 0, f"nothing to see: {said.strip()} {printed.strip()}"
        return json.loads(printed)

    def until_back(self, limit_s: float, seconds: float = 2) -> float:
        """Seconds until a new viewer gets a picture again; fails after `limit_s`."""
        begin_s, said = time.monotonic(), ""
        while time.monotonic() < begin_s + limit_s:
            try:
                seen = self.watch(seconds)
            except AssertionError as exc:
                said = str(exc)
                continue
            return time.monotonic() - begin_s - seen["seconds"]
        raise AssertionError(f"no picture within {limit_s:g} s: {said}")
