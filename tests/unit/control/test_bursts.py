"""When a picture may leave at once."""

from agent.control.bursts import CLEAN_NS, Bursts

S = 1_000_000_000
REPORT_NS = 62_000_000


def follow(bursts, start_ns, seconds, loss=lambda _: 0.0, *, is_queued=False):
    """A report each 62 ms; the times at which bursts are taken."""
    taken = []
    for now in range(start_ns, start_ns + int(seconds * S), REPORT_NS):
        bursts.update(loss(bursts.are_taken(now)), is_queued=is_queued, now_ns=now)
        if bursts.are_taken(now):
            taken.append(now)
    return taken


def test_they_begin_once_the_path_has_long_been_clean():
    bursts = Bursts()
    assert follow(bursts, 0, 10)[0] - CLEAN_NS < REPORT_NS
    assert follow(bursts, 10 * S, 1, is_queued=True) == []
    assert follow(bursts, 11 * S, 10)[0] - 11 * S - CLEAN_NS < REPORT_NS


def test_a_path_that_loses_them_is_tried_ever_more_seldom():
    bursts = Bursts()
    taken = follow(bursts, 0, 120, lambda in_burst: 0.05 if in_burst else 0.0)
    assert taken == []
    assert not bursts.are_taken(120 * S)
    tries = []
    for now in range(120 * S, 600 * S, REPORT_NS):
        if bursts.are_taken(now):
            tries.append(now)
        bursts.update(0.05 if bursts.are_taken(now) else 0.0, is_queued=False, now_ns=now)
    assert len(tries) <= 4


def test_loss_long_after_they_began_is_not_theirs():
    bursts = Bursts()
    follow(bursts, 0, 60)
    bursts.update(0.05, is_queued=False, now_ns=60 * S)
    assert not bursts.are_taken(60 * S)
    assert follow(bursts, 61 * S, 10)[0] - 61 * S - CLEAN_NS < REPORT_NS
