"""A recorder that is killed, and one whose power fails, at random moments.

See `parts/killed_recorder.py`; and `parts/cut_disk.py`, where the kernel says what a disk has of it by then.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from parts.need import need

ROOT = __file__.rpartition("/tests/")[0]


ALONE = ("unshare", "--mount", "--propagation", "private")


def found_by(part, rounds, seed, *words, before=()):
    """What a script found in so many rounds."""
    script = f"{ROOT}/tests/parts/{part}.py"
    done = subprocess.run(
        [*before, sys.executable, script, str(rounds), str(seed), *words],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(found, rounds):
    assert found["faults"] == []
    assert found["rounds"] == rounds
    assert found["lost_s"] <= 1.0
    assert found["decoded"] > 0


@pytest.mark.parametrize("words", [[], ["cut"]], ids=["killed", "power cut"])
def test_a_few(words):
    found = found_by("killed_recorder", 12, 18, *words)
    check(found, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("words", [[], ["cut"]], ids=["killed", "power cut"])
def test_a_thousand(words):
    found = found_by("killed_recorder", 1000, 19, *words)
    print(found)
    check(found, 1000)
    assert found["events"] > 100
    assert found["repair_ms"] < 50, "CPU time a file"


@pytest.fixture
def can_log():
    """A disk whose writes are noted can be made."""
    tools = all(shutil.which(name) for name in ("mkfs.ext4", "mount", "unshare"))
    has_devices = all(Path("/dev", name).exists() for name in ("fuse", "loop-control"))
    is_there = os.geteuid() == 0 and tools and has_devices
    need(is_there, "needs loop devices and FUSE: run as root, after sudo apt-get install e2fsprogs")


@pytest.mark.usefixtures("can_log")
@pytest.mark.parametrize(
    "rounds", [6, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_power_cuts_of_a_disk(rounds):
    found = found_by("cut_disk", rounds, 20, before=ALONE)
    print(found)
    check(found, rounds)
    assert found["events"] > 3 * rounds
    assert found["flushes"] > 100
