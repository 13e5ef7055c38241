import logging

import pytest

from agent.camera.losses import LOG_EVERY_S, Losses
from agent.errors import CameraError


def test_damage_now_and_then_is_counted_and_told_seldom(caplog) -> None:
    losses = Losses(3)
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            losses.bad(f"fault {number}", now_s=number / 50)
            losses.good()
    assert losses.total == 100
    assert [record.message for record in caplog.records] == [
        "camera: a damaged picture is left out (1 so far): fault 0"
    ]
    losses.bad("again", now_s=LOG_EVERY_S + 0.1)
    assert "(101 so far): again" in caplog.text


def test_nothing_but_damage_is_a_failure_with_words() -> None:
    losses = Losses(3)
    losses.bad("not yet implemented", 0)
    losses.bad("not yet implemented", 0)
    with pytest.raises(CameraError, match="3 pictures in a row were damaged, the last one: not yet"):
        losses.bad("not yet implemented", 0)
