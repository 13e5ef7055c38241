"""Puts faults into modules that guard the door, one at a time, and says which of them no test sees.

mutmut makes the faults and runs the tests, in a copy of the tree. A fault is known by its function and its
lines, since mutmut's own numbers change with every edit.
"""

import contextlib
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
MIN_SCORE = 0.9
SAMPLE, SEED = 400, 1
TIMEOUT_S = 1800.0
MAX_EQUIVALENT_SHARE = 0.05
"""More of them than this would be an excuse."""
_COPIED = ("agent", "tests/unit", "tests/parts", "tests/fakes", "tests/data")
_IGNORED = shutil.ignore_patterns("__pycache__", "node_modules")
_PYTEST = ("--hypothesis-profile=ci", "-p", "no:cacheprovider")
"""The profile tries the same examples each time, and has no deadline that load could break."""
_LOG_CALL = r"^\s*log\."
"""What the log says is held by no test."""
_VERDICTS = {0: "survived", 1: "killed", 3: "killed", 5: "untested", 33: "untested"}
"""By pytest's exit code; 33 is mutmut's own, where no test calls the function."""
_TIMED_OUT = {-24, 24, 152, 255, 36}


@dataclass(frozen=True, slots=True)
class Target:
    """What is mutated together, and the tests that concern it."""

    name: str
    files: tuple[str, ...]
    """Of the tree, with wildcards."""
    tests: tuple[str, ...]


TARGETS = {
    target.name: target
    for target in (
        Target(
            "trust",
            ("agent/signaling/trust.py",),
            ("tests/unit/signaling/test_trust.py",),
        ),
        Target("claims", ("agent/portal/claims.py",), ("tests/unit/portal/test_claims.py",)),
        Target(
            "answer",
            ("agent/rtc/answer.py", "agent/rtc/codecs.py"),
            ("tests/unit/rtc/test_answer.py", "tests/unit/rtc/test_field_offers.py"),
        ),
        Target(
            "gateway",
            tuple(
                f"agent/portal/{name}.py"
                for name in ("gateway", "limits", "presence", "rate_limit", "session_table", "sessions")
            ),
            ("tests/unit/portal/gateway",),
        ),
        Target(
            "accounts",
            ("agent/portal/accounts/*.py",),
            tuple(
                f"tests/unit/portal/test_{name}.py"
                for name in (
                    *(
                        "access",
                        "attempts",
                        "audit",
                        "audit_chain",
                        "ceremonies",
                        "company",
                        "desk",
                        "passwords",
                    ),
                    *(
                        "relying_party",
                        "seal",
                        "second_factors",
                        "shares",
                        "sign_in",
                        "users",
                        "web_sessions",
                    ),
                )
            ),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    name: str
    """As mutmut calls it."""
    file: str
    function: str
    """`check`, or `OfferJudge.check`."""
    was: str
    becomes: str

    def __str__(self) -> str:
        was, becomes = (text.replace("\n", "\n    ") for text in (self.was, self.becomes))
        return f"{self.file}: {self.function}\n  - {was}\n  + {becomes}"


@dataclass(frozen=True, slots=True)
class Score:
    """What the tests of one target saw."""

    target: str
    made: int
    """All mutants that there are; as many were run as have a verdict."""
    verdicts: dict[Mutant, str]
    equivalent: int
    """Left out: no test could tell them from the original."""

    def count(self, verdict: str) -> int:
        """How many ended like this."""
        return sum(one == verdict for one in self.verdicts.values())

    @property
    def share(self) -> float:
        """Of those that were run, how many did not go unseen: a fault that hangs is seen, too."""
        return (self.count("killed") + self.count("timed out")) / max(1, len(self.verdicts))

    def as_json(self) -> dict[str, str | int | float]:
        """The figures."""
        return {
            "module": self.target,
            "mutants": self.made,
            "run": len(self.verdicts),
            "killed": self.count("killed"),
            "timed_out": self.count("timed out"),
            "unseen": len(self.unseen()),
            "equivalent": self.equivalent,
            "score": round(self.share, 4),
        }

    def unseen(self) -> list[Mutant]:
        """What no test noticed, by where it is."""
        return [one for one, verdict in self.verdicts.items() if verdict in ("survived", "untested", "odd")]


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A mutant that does the same as the original, and why."""

    file: str
    function: str
    was: str
    becomes: str
    why: str

    def matches(self, mutant: Mutant) -> bool:
        """Whether it is this one."""
        own = (self.file, self.function, self.was, self.becomes)
        return own == (mutant.file, mutant.function, mutant.was, mutant.becomes)


def equivalents(target: Target) -> list[Equivalent]:
    """Those that are listed of a target."""
    listed = [Equivalent(**one) for one in tomllib.loads(EQUIVALENT.read_text())["mutant"]]
    return [one for one in listed if any(fnmatch(one.file, pattern) for pattern in target.files)]


def sources(target: Target) -> list[Path]:
    """The target's files."""
    return sorted(path for pattern in target.files for path in ROOT.glob(pattern))


@functools.cache
def mutants_of(target: Target) -> list[Mutant]:
    """Every mutant there is."""
    from mutmut.configuration import reset_config

    with tempfile.TemporaryDirectory(prefix="pinhole-mutation-") as name, contextlib.chdir(name):
        _configure(Path(name), target)  # mutmut reads its settings where it stands
        reset_config()
        return [mutant for path in sources(target) for mutant in _mutants_in(path)]


def _mutants_in(path: Path) -> list[Mutant]:
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import (
        mangled_name_from_mutant_name,
        orig_function_and_class_names_from_key,
    )

    file = str(path.relative_to(ROOT))
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    made = mutate_file_contents(file, path.read_text())
    lines = made.code.split("\n")

    def body(name: str) -> list[str]:
        span = made.line_span_by_function_name[name]
        return [line.replace(name, "") for line in lines[span.start - 1 : span.end]]

    found = []
    for name in made.mutant_names:
        function, owner = orig_function_and_class_names_from_key(name)
        diff = list(
            unified_diff(body(mangled_name_from_mutant_name(name) + "__mutmut_orig"), body(name), n=0)
        )[2:]
        was, becomes = (
            "\n".join(line[1:].strip() for line in diff if line[0] == sign) for sign in ("-", "+")
        )
        label = f"{owner}.{function}" if owner else function
        found.append(Mutant(f"{module}.{name}", file, label, was, becomes))
    return found


def sample(mutants: Sequence[Mutant], most: int | None, seed: int) -> list[Mutant]:
    """All, or as many as wanted, the same for the same seed."""
    if most is None or len(mutants) <= most:
        return list(mutants)
    chosen = set(random.Random(seed).sample(range(len(mutants)), most))
    return [mutant for number, mutant in enumerate(mutants) if number in chosen]


def measure(target: Target, *, most: int | None, seed: int, timeout_s: float, watched: bool = False) -> Score:
    """Run the target's tests against its mutants, one after another; `watched` shows how far it is."""
    made = mutants_of(target)
    listed = equivalents(target)
    counted = [mutant for mutant in made if not any(one.matches(mutant) for one in listed)]
    chosen = sample(counted, most, seed)
    with tempfile.TemporaryDirectory(prefix="pinhole-mutation-") as name:
        folder = Path(name)
        _copy_tree(folder, target)
        _run_mutmut(folder, [mutant.name for mutant in chosen], timeout_s, watched=watched)
        codes = _exit_codes(folder, sources(target))
    verdicts = {mutant: _verdict(codes.get(mutant.name)) for mutant in chosen}
    return Score(target.name, len(made), verdicts, len(made) - len(counted))


def _verdict(code: int | None) -> str:
    if code in _TIMED_OUT:
        return "timed out"
    return _VERDICTS.get(-1 if code is None else code, "odd")


def _copy_tree(folder: Path, target: Target) -> None:
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=_IGNORED)
    _configure(folder, target)


def _configure(folder: Path, target: Target) -> None:
    settings = {
        "source_paths": ["agent"],
        "only_mutate": [str(path.relative_to(ROOT)) for path in sources(target)],
        "do_not_mutate_patterns": [_LOG_CALL],
        "pytest_add_cli_args_test_selection": list(target.tests),
        "pytest_add_cli_args": list(_PYTEST),
        "timeout_constant": 10.0,  # on a busy machine, too, only what hangs takes five times that
        "timeout_multiplier": 5.0,
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    text = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(f"{text}\n[tool.mutmut]\n{table}")


def _run_mutmut(folder: Path, names: Iterable[str], timeout_s: float, *, watched: bool) -> None:
    log = folder / "mutmut.log"
    mutmut = Path(sys.executable).with_name("mutmut")
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["nice", "-n", "10", mutmut, "run", "--max-children", "1", *names],
            cwd=folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=None if watched else out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(timeout_s)
    except BaseException as exc:
        os.killpg(process.pid, signal.SIGKILL)  # it, and the mutant that it is at
        process.wait()
        if isinstance(exc, subprocess.TimeoutExpired):
            raise TimeoutError(f"the mutants took longer than {timeout_s:.0f} s") from None
        raise
    if code != 0:
        raise RuntimeError(f"mutmut ended with {code}:\n{log.read_text()[-4000:]}")


def _exit_codes(folder: Path, paths: Iterable[Path]) -> dict[str, int | None]:
    codes: dict[str, int | None] = {}
    for path in paths:
        meta = folder / "mutants" / f"{path.relative_to(ROOT)}.meta"
        if meta.exists():
            codes |= json.loads(meta.read_text())["exit_code_by_key"]
    return codes
