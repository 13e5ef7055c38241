"""The picture comes back by itself; `scripts/netlab recovery` shows the same as a table.

The bounds are twice the goals: they tell back from gone on a busy machine, the command measures.
"""

import pytest
from netlab.recovery import SCENARIOS, run_scenario

TELLING = ("outage-5s", "device-address", "viewer-address", "servers-at-once")
FACTOR = 2.0
MINUTES = 60


pytestmark = pytest.mark.usefixtures("can_emulate", "has_parts")


def named(is_telling):
    return [
        pytest.param(scenario, id=scenario.name)
        for scenario in SCENARIOS
        if (scenario.name in TELLING) == is_telling
    ]


@pytest.mark.parametrize("scenario", named(is_telling=True))
async def test_the_picture_comes_back_by_itself(scenario):
    await must_come_back(scenario)


@pytest.mark.slow
@pytest.mark.timeout(15 * MINUTES)
@pytest.mark.parametrize("scenario", named(is_telling=False))
async def test_it_comes_back_after_everything_else_too(scenario):
    await must_come_back(scenario)


async def must_come_back(scenario):
    result = await run_scenario(scenario, rounds=len(scenario.later_goals) + 1)
    assert result.faults(FACTOR) == [], result.logs
