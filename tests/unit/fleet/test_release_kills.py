"""`pinhole-release` is killed before some of its steps; before each of them in tests/fleet."""

import pytest
from parts.release_kills import AFTERWARDS, STORIES, begun, count_steps, kill

__all__ = ["begun"]
SAMPLE = 6
"""Kills of each story."""


@pytest.mark.parametrize("name", STORIES)
def test_a_kill_now_and_then_leaves_nothing_stuck(begun, tmp_path, monkeypatch, name):
    story = STORIES[name]
    steps = count_steps(begun, tmp_path, story, monkeypatch)
    for i, at in enumerate(range(1 + steps // SAMPLE // 2, steps, max(1, steps // SAMPLE))):
        afterwards = list(AFTERWARDS)[i % len(AFTERWARDS)]
        assert kill(begun, tmp_path, story, at, afterwards, monkeypatch), f"step {at} is not reached"
