"""What `scripts/bench sending` measures is the agent's own way of a picture, and the same each time."""

import argparse
import json
import os
import subprocess
import sys

import pytest
from bench.programs import name_builds, trees
from bench.sending import show
from parts.stack import ROOT
from rich.console import Console

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


@pytest.mark.parametrize(("names", "is_told"), [(("ours",), False), (("ours", "base"), True)])
def test_bytes_are_compared_where_there_is_another_tree(names, is_told, capsys):
    columns = ("calls a frame and viewer", "wake-ups/s", "µs warm", "µs cold")
    row = {"hash": "a", "trace": "", **dict.fromkeys(columns, 1)}
    show({(1, name): dict(row) for name in names}, argparse.Namespace(instructions=False, json=None))
    assert ("the same" in capsys.readouterr().out) == is_told


def test_the_build_of_python_is_named(capsys):
    name_builds(Console(), trees(None))
    assert f"ours: Python {sys.version}" in capsys.readouterr().out
