"""One target in a process of its own, so that what it does to the process is seen from outside.

`python -m fuzz.worker TARGET FOLDER SECONDS [CORPUS…]` fuzzes; `python -m fuzz.worker TARGET --replay FILE`
runs one input. Standard output holds one JSON object a second; libFuzzer talks on standard error.
"""

import contextlib
import faulthandler
import hashlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from fuzz.catalogue import load, module_of
from fuzz.limits import MIB, TooLargeError, TooSlowError, peak_bytes, run_limited
from fuzz.target import Target

CRASHED, HUNG = 77, 70
"""Exit codes as libFuzzer's."""
HANG_S = 10
RSS_LIMIT_MIB = 1024
REPEATS, REPEATS_S = 20_000, 10.0
INSTRUMENTED = ["agent", "aioice", "aiortc", "fuzz"]
ROUND_EXAMPLES = 2000


class Counter:
    """Tells the parent once a second how far we are, and leaves it an input of that second in `running`."""

    def __init__(self, engine: str, folder: Path) -> None:
        self._engine = engine
        self._running = folder / "running"
        self._runs = 0
        self._told_s = time.monotonic()
        self._tell()

    def count(self, data: bytes) -> None:
        """One more input was run."""
        self._runs += 1
        if self._runs % 16 == 0 and time.monotonic() - self._told_s >= 1:
            self._running.write_bytes(data)
            self._tell()

    def _tell(self) -> None:
        self._told_s = time.monotonic()
        print(json.dumps({"engine": self._engine, "runs": self._runs}), flush=True)

    def finish(self) -> None:
        """The last word."""
        self._tell()


def fuzz(name: str, folder: Path, seconds: float, corpora: list[str]) -> int:
    """Run until the time is over, or something is found; the exit code."""
    try:
        import atheris
    except ImportError:
        return _fuzz_by_hypothesis(load(name), folder, seconds, corpora)
    return _fuzz_by_atheris(atheris, name, folder, seconds, corpora)


def _fuzz_by_atheris(atheris: Any, name: str, folder: Path, seconds: float, corpora: list[str]) -> int:
    with atheris.instrument_imports(include=INSTRUMENTED):
        __import__(module_of(name))
    target, counter = load(name), Counter("atheris", folder)

    def once(data: bytes) -> None:
        run_limited(target, data)
        counter.count(data)

    grown, seeds = folder / "corpus", folder / "seeds"
    grown.mkdir(exist_ok=True)
    _write_seeds(target, seeds)
    arguments = [
        sys.argv[0],
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={target.max_bytes}",
        f"-timeout={HANG_S}",
        f"-rss_limit_mb={RSS_LIMIT_MIB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-len_control=20",
        str(grown),
        str(seeds),
        *corpora,
    ]
    atheris.Setup(arguments, once)
    atheris.Fuzz()  # ends the process
    return 0


def _fuzz_by_hypothesis(target: Target, folder: Path, seconds: float, corpora: list[str]) -> int:
    from fuzz.inputs import inputs
    from hypothesis import HealthCheck, Phase, given, seed, settings

    known = list(target.seeds())
    for corpus in corpora:
        known += [file.read_bytes() for file in sorted(Path(corpus).iterdir()) if file.is_file()]
    counter, end_s, failed = Counter("hypothesis", folder), time.monotonic() + seconds, b""
    running = folder / "running"

    @settings(
        max_examples=ROUND_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(known, target.max_bytes))
    def once(data: bytes) -> None:
        nonlocal failed
        if time.monotonic() > end_s and not failed:
            return
        running.write_bytes(data)  # where it never ends, this is what is left of it
        try:
            run_limited(target, data)
        except BaseException:
            failed = data  # the last one to fail is the smallest
            raise
        counter.count(data)

    number = time.time_ns()
    try:
        while time.monotonic() < end_s:
            number += 1
            seed(number)(once)()
    except TooSlowError:
        _keep(folder, "timeout", failed)
        return HUNG
    except Exception:  # noqa: BLE001  whatever a parser raises is the finding
        _keep(folder, "crash", failed)
        return CRASHED
    finally:
        counter.finish()
    return 0


def _keep(folder: Path, kind: str, data: bytes) -> None:
    traceback.print_exc()
    file = folder / f"{kind}-{hashlib.sha1(data).hexdigest()}"
    file.write_bytes(data)


def _write_seeds(target: Target, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number, seed in enumerate(target.seeds()):
        (folder / f"{number:04}").write_bytes(seed[: target.max_bytes])


def replay(name: str, file: Path) -> int:
    """Run one input; the exit code. What made memory grow is run again and again."""
    target, data = load(name), file.read_bytes()
    faulthandler.dump_traceback_later(HANG_S + REPEATS_S, exit=True)  # shows where it hangs, and ends it
    try:
        run_limited(target, data)
        if file.name.startswith(("growth-", "oom-")):
            _repeat(target, data)
    except TooSlowError:
        traceback.print_exc()
        return HUNG
    except Exception:  # noqa: BLE001  whatever a parser raises is the finding
        traceback.print_exc()
        return CRASHED
    return 0


def _repeat(target: Target, data: bytes) -> None:
    before, end_s = peak_bytes(), time.monotonic() + REPEATS_S
    for number in range(1, REPEATS + 1):
        target.check(data)
        grown_mib = (peak_bytes() - before) / MIB
        if grown_mib > target.max_growth_mib:
            raise TooLargeError(f"memory grew by {grown_mib:.0f} MiB in {number} runs of this input")
        if time.monotonic() > end_s:
            return


def main(arguments: list[str]) -> int:
    """See the module's first lines."""
    name, second, third, *rest = arguments
    if second == "--replay":
        return replay(name, Path(third))
    with contextlib.suppress(BrokenPipeError):
        return fuzz(name, Path(second), float(third), rest)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
