"""A flood is a line a second, and the count tells how large it was."""

from agent.model.log_limit import LOG_INTERVAL_S, LogLimit


def test_the_first_is_logged_and_then_one_in_each_interval():
    limit = LogLimit()
    said = [limit.note(1000 + step * 0.3) for step in range(8)]
    assert said == [True, False, False, False, True, False, False, False]
    assert limit.count == 8


def test_a_clock_that_is_set_back_does_not_silence_it():
    limit = LogLimit()
    assert limit.note(1000)
    assert limit.note(1000 - LOG_INTERVAL_S)


def test_each_interval_may_be_another():
    limit = LogLimit(10)
    assert [limit.note(at) for at in (0, 9.9, 10)] == [True, False, True]
