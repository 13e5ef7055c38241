"""What the fleet's slow tests spoil on purpose is still there to be spoilt."""

import pytest
from fleet import releases


@pytest.mark.parametrize("spoil", [releases.CRASHES, releases.BLIND], ids=["crashes", "sees-nothing"])
def test_a_release_can_be_spoilt(spoil):
    file, old, _ = spoil
    assert (releases.ROOT / file).read_text().count(old) == 1
