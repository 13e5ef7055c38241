from agent.camera.moment import capture_time_us


def test_a_clock_that_is_not_ours_is_not_believed() -> None:
    at_us = 50_000_000
    assert capture_time_us(49_901_000, at_us) == 49_901_000
    assert capture_time_us(7, at_us) == at_us
    assert capture_time_us(at_us + 1, at_us) == at_us, "nothing was taken in the future"
    assert capture_time_us(1_700_000_000_000_000, at_us) == at_us
    assert capture_time_us(None, at_us) == at_us
