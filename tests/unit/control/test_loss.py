"""Which losses throttle, and for how long."""

from agent.control.loss import HOLD_OFF_NS, LossLimit

S = 1_000_000_000


def bucket(limit, at_s, share, delivered_bps=1_000_000, in_a_row=1):
    """Half a second of a hundred packets; what is allowed from then on."""
    lost = round(100 * share)
    limit.update(0, 0, 0, delivered_bps, int(at_s * S))  # the first one begins here
    return limit.update(100 - lost, lost, lost // in_a_row, delivered_bps, int((at_s + 0.5) * S))


def test_each_try_that_loses_again_is_followed_by_twice_the_peace():
    limit, at_s, waits = LossLimit(), 20.0, []
    while len(waits) < 6:
        assert bucket(limit, at_s, 0.4) == 950_000
        waits.append(limit.held_until_ns / S - at_s - 0.5)
        for _ in range(24):  # clean again, so that the loss does not become usual
            bucket(limit, at_s, 0.0)
        at_s = limit.held_until_ns / S + 1
    assert [round(wait) for wait in waits] == [5, 10, 20, 40, 60, 60]
    bucket(limit, at_s + 200, 0.4)
    assert round(limit.held_until_ns / S - at_s - 200.5) == HOLD_OFF_NS // S, "a good while makes good"


def test_a_flood_of_losses_is_met_at_once_and_a_burst_is_waited_out():
    for lost, allowed_bps in ((12, 950_000), (8, None)):
        limit = LossLimit()
        limit.update(0, 0, 0, 1_000_000, 0)
        assert limit.update(30 - lost, lost, lost, 1_000_000, S // 10) == allowed_bps


def test_a_little_loss_throttles_without_a_hold_off():
    limit = LossLimit()
    for index in range(10):
        bucket(limit, index, 0.0)
    assert bucket(limit, 10, 0.08) == 950_000
    assert limit.held_until_ns == 0


def test_loss_that_stays_whatever_is_sent_is_the_links_own():
    limit = LossLimit()
    assert bucket(limit, 1, 0.25, 1_000_000) == 950_000
    assert bucket(limit, 1.5, 0.25, 800_000) == 760_000
    assert bucket(limit, 2, 0.25, 600_000) is None
    assert bucket(limit, 2.5, 0.25, 600_000) is None
    assert limit.held_until_ns <= 2.5 * S, "and more may be tried"
    assert bucket(limit, 3, 0.6, 600_000) is not None, "but no more loss than that"


def test_packets_lost_in_a_row_are_one_misfortune():
    cuts = []
    for in_a_row in (1, 4):
        limit = LossLimit()
        shares = [0.0, 0.04, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.04, 0.06]
        cuts.append([bucket(limit, at_s, share, in_a_row=in_a_row) for at_s, share in enumerate(shares)][-1])
    assert cuts == [950_000, None]


def test_what_is_usual_holds_seldom_losses_and_no_congestion():
    limit = LossLimit()
    for at_s in range(20):
        bucket(limit, at_s, 0.02 if at_s % 4 == 0 else 0.0)
    assert 0.004 <= limit.usual <= 0.006, "few losses are all in a few half seconds"
    for eighths in range(1, 5):
        now_ns = int(19.5 * S) + eighths * S // 8
        assert limit.update(60, 40, 40, 1_000_000, now_ns) == 950_000, "however many there were"
    assert limit.usual <= 0.006
    assert limit.recent >= 0.08


def test_what_is_found_to_be_the_links_own_is_usual_from_then_on():
    limit = LossLimit()
    for at_s in range(4):
        bucket(limit, at_s, 0.2, 1_000_000 - 150_000 * at_s)
    for at_s in range(4, 100):
        assert bucket(limit, at_s, 0.2, 550_000) is None, "as long as it stays"
    assert limit.usual == 0.2


def test_loss_that_begins_after_a_clean_while_is_the_links_own_as_soon_as_that_is_shown():
    limit = LossLimit()
    for at_s in range(20):
        bucket(limit, at_s, 0.0)
    cuts = [bucket(limit, 20 + at_s, 0.2, 1_000_000 - 200_000 * at_s) for at_s in range(3)]
    assert cuts == [950_000, 760_000, None]
    for at_s in range(23, 60):
        assert bucket(limit, at_s, 0.2, 600_000) is None
    assert limit.usual == 0.2


def test_a_loss_that_chance_excuses_is_not_therefore_the_links_own():
    """A policer whose losses come in rows; with such a belief it is overrun for good."""
    limit, rate_bps, target_bps = LossLimit(), 1_200_000, 1_400_000.0
    for number in range(600):
        share = max(0.0, 1 - rate_bps / target_bps)
        allowed_bps = bucket(limit, number / 2, share, min(rate_bps, int(target_bps)), in_a_row=8)
        target_bps = min(4e6, target_bps * 1.02 if allowed_bps is None else allowed_bps)
        assert target_bps <= 1_700_000
