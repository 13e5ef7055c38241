"""When parity pays, and how much of it."""

from agent.control.fec import MAX_LOSS, MAX_SHARE, Protection


def protection(loss, rtt_s, *, offered=True):
    one = Protection()
    one.is_offered = offered
    one.update(loss, rtt_s)
    return one


def test_it_needs_a_viewer_who_takes_it_and_a_link_that_is_long_and_loses():
    assert protection(0.02, 0.15).repairs(5) == 1
    assert protection(0.02, 0.15, offered=False).repairs(5) == 0
    assert protection(0.0, 0.15).repairs(5) == 0
    assert protection(0.02, 0.03).repairs(5) == 0
    assert protection(MAX_LOSS + 0.05, 0.15).repairs(5) == 0, "congestion by any name"


def test_it_is_as_strong_as_the_loss_asks_for():
    strengths = [protection(loss, 0.15).repairs(20) for loss in (0.01, 0.03, 0.06, 0.12)]
    assert strengths == sorted(strengths)
    assert strengths[0] < strengths[-1] <= 20 * MAX_SHARE


def test_a_link_at_the_edge_does_not_switch_it_on_and_off():
    one = protection(0.02, 0.15)
    one.update(0.007, 0.05)
    assert one.is_on
    one.update(0.001, 0.15)
    one.update(0.003, 0.15)
    assert not one.is_on


def test_the_longer_the_round_trip_the_less_loss_it_takes():
    """At 130 packets a second, 0.2 % is a loss in four seconds: of 0.1 s nobody sees, of 0.6 s everybody."""
    assert [protection(0.002, rtt_s).repairs(5) for rtt_s in (0.1, 0.6)] == [0, 1]
