"""`pinhole-release` is killed before each of its steps, and then used again as if nothing had happened."""

import pytest
from parts.release_kills import AFTERWARDS, STORIES, begun, count_steps, kill

__all__ = ["begun"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", STORIES)
def test_a_kill_before_each_step_leaves_nothing_stuck(begun, tmp_path, monkeypatch, name):
    story, ways = STORIES[name], list(AFTERWARDS)
    steps = count_steps(begun, tmp_path, story, monkeypatch)
    for at in range(1, steps + 1):
        afterwards = ways[at % len(ways)]
        try:
            assert kill(begun, tmp_path, story, at, afterwards, monkeypatch), "not reached"
        except AssertionError as exc:
            raise AssertionError(f"killed before step {at} of {steps}, then {afterwards}: {exc}") from exc
    print(f"\n{name}: {steps} kills")
