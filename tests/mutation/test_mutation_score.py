"""Faults in the modules that guard the door: nine of ten are seen by a test."""

import pytest
from mutation.mutants import (
    MAX_EQUIVALENT_SHARE,
    MIN_SCORE,
    SAMPLE,
    SEED,
    TARGETS,
    TIMEOUT_S,
    equivalents,
    measure,
    mutants_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", TARGETS)]


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_nine_of_ten_faults_are_seen_by_a_test(name):
    score = measure(TARGETS[name], most=SAMPLE, seed=SEED, timeout_s=TIMEOUT_S)
    print(score.as_json())
    unseen = "\n\n".join(map(str, score.unseen()))
    assert score.share >= MIN_SCORE, f"{name}: {score.share:.1%}; no test sees these:\n{unseen}"


def test_what_is_called_equivalent_still_exists_and_is_little(name):
    made, listed = mutants_of(TARGETS[name]), equivalents(TARGETS[name])
    gone = [one for one in listed if not any(one.matches(mutant) for mutant in made)]
    assert gone == [], "the code has changed: judge anew"
    assert len(listed) <= MAX_EQUIVALENT_SHARE * len(made)
    assert all(one.why for one in listed)
