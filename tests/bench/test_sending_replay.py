"""What `scripts/bench sending` measures is the agent's own way of a picture, and the same each time."""

import json
import os
import subprocess
import sys

from parts.stack import ROOT

FRAMES = 20


def replay(do, trace):
    done = subprocess.run(
        [sys.executable, "tests/bench/replay.py", do, "2", str(FRAMES), str(trace)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": ".:tests", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_all_that_is_made_arrives_and_a_second_run_sends_the_same(tmp_path):
    first, second = replay("record", tmp_path / "a"), replay("record", tmp_path / "b")
    assert first["frames"] == 2 * FRAMES
    assert first["arrived"] == first["packets"] > first["frames"]
    assert first["hash"] == second["hash"]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_viewers_said_can_be_said_again(tmp_path):
    recorded = replay("record", tmp_path / "a")
    assert replay("play", tmp_path / "a")["packets"] == recorded["packets"]
