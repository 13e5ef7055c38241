"""Every fuzzing target for a moment: what should hold of each parser holds for a few hundred inputs."""

import pytest
from fuzz.catalogue import CANARIES, load, names
from fuzz.inputs import inputs
from fuzz.limits import run_limited
from hypothesis import HealthCheck, given, settings

EXAMPLES = 150


@pytest.mark.parametrize("name", names())
def test_what_should_hold_holds(name):
    target = load(name)
    seeds = list(target.seeds())
    for seed in seeds:
        assert len(seed) <= target.max_bytes
        run_limited(target, seed)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs(seeds, target.max_bytes))
    def once(data):
        run_limited(target, data)

    once()


@pytest.mark.parametrize("name", CANARIES[:1])
def test_a_planted_bug_is_found(name):
    target = load(name)

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(inputs(list(target.seeds()), target.max_bytes))
    def once(data):
        run_limited(target, data)

    with pytest.raises(IndexError):
        once()
