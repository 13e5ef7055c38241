"""`pinhole do`: what somebody types, before the portal is asked."""

import pytest

from agent.client.commands import parse_arguments
from agent.errors import PortalError


def test_values_are_json_where_they_can_be_and_else_text():
    given = ["camera.fps=15", "device.name=Garden gate", "camera.audio=true", "log.level=null"]
    assert list(parse_arguments(given).values()) == [15, "Garden gate", True, None]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "[NaN]"])
def test_a_number_that_json_does_not_have_is_refused_by_the_name_of_its_argument(value):
    with pytest.raises(PortalError, match=r"camera\.fps: a number must be finite"):
        parse_arguments([f"camera.fps={value}"])
