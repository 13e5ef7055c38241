"""`scripts/fuzz` as a person starts it: planted bugs are found, kept and shown again."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / ".artifacts" / "fuzz"


def fuzz(*arguments):
    return subprocess.run(
        [ROOT / "scripts" / "fuzz", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def found(canary, seconds, report):
    """The report on a canary, which must have been found, and the file that it left."""
    run = fuzz(canary, "--seconds", str(seconds), "--json", str(report))
    assert run.returncode == 1, run.stderr
    [result] = json.loads(report.read_text())
    kept = ROOT / result["input"]
    assert kept.is_relative_to(ARTIFACTS / canary)
    assert result["replay"] in run.stderr
    assert re.fullmatch(rf"scripts/fuzz {canary} --replay \S+", result["replay"])
    return result, kept


def test_a_planted_crash_is_found_and_can_be_seen_again(tmp_path):
    result, kept = found("canary-crash", 30, tmp_path / "report.json")
    try:
        assert result["result"] == "crash"
        assert "IndexError" in result["said"]
        again = fuzz("canary-crash", "--replay", str(kept))
        assert again.returncode == 1
        assert "IndexError" in again.stderr
    finally:
        kept.unlink()


def test_memory_that_grows_with_every_input_is_found(tmp_path):
    result, kept = found("canary-growth", 30, tmp_path / "report.json")
    try:
        assert result["result"] == "growth"
        again = fuzz("canary-growth", "--replay", str(kept))
        assert "memory grew by" in again.stderr
    finally:
        kept.unlink()


@pytest.mark.slow
def test_an_input_that_never_ends_is_found(tmp_path):
    result, kept = found("canary-hang", 60, tmp_path / "report.json")
    kept.unlink()
    assert result["result"] == "hang"


def test_a_sound_target_is_left_alone_and_counted(tmp_path):
    report = tmp_path / "report.json"
    run = fuzz("topic", "--seconds", "2", "--json", str(report))
    assert run.returncode == 0, run.stderr
    [result] = json.loads(report.read_text())
    assert (result["target"], result["result"]) == ("topic", "ok")
    assert result["runs"] > 100


def test_wrong_usage_says_what_there_is():
    run = fuzz("tpoic")
    assert run.returncode == 2
    assert "topic" in run.stderr
