"""A recorder that is killed, and one whose power fails, at random moments; see `parts/killed_recorder.py`."""

import json
import os
import subprocess
import sys

import pytest

ROOT = __file__.rpartition("/tests/")[0]


def killed(rounds, seed, *words):
    """What was found after so many kills."""
    script = f"{ROOT}/tests/parts/killed_recorder.py"
    done = subprocess.run(
        [sys.executable, script, str(rounds), str(seed), *words],
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
    found = killed(12, 18, *words)
    check(found, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("words", [[], ["cut"]], ids=["killed", "power cut"])
def test_a_thousand(words):
    found = killed(1000, 19, *words)
    print(found)
    check(found, 1000)
    assert found["events"] > 100
    assert found["repair_ms"] < 50, "CPU time a file"
