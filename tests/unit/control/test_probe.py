"""What a train of packets shows, and how often one is sent."""

import pytest

from agent.control.flight import ProbePacket
from agent.control.probe import EAGER_INTERVAL_NS, INTERVAL_NS, MAX_INTERVAL_NS, Prober

MS = 1_000_000
LIMIT = 10_000_000


def travel(prober, probe, link_bps, target_bps, now, packet_bytes=1000):
    """Send a train over a link of this capacity; what the prober makes of it."""
    packets, left, free_us = [], probe.size_bytes, now // 1000
    while left > 0:
        prober.on_sent(probe.id, packet_bytes)
        free_us = max(free_us, now // 1000) + packet_bytes * 8_000_000 // link_bps
        packets.append(ProbePacket(probe.id, packet_bytes, now, free_us))
        left -= packet_bytes
        now += packet_bytes * 8_000_000_000 // probe.rate_bps
    return prober.on_outcome(packets, target_bps, now + 50 * MS), now + 50 * MS


def test_a_train_that_the_link_slows_down_shows_its_capacity():
    prober = Prober()
    prober.ask(3_000_000, 0)
    probe = prober.due(1_000_000, LIMIT, 0.0, 0)
    assert probe.rate_bps == 3_000_000
    found, _ = travel(prober, probe, 2_000_000, 1_000_000, 0)
    assert found.is_capacity
    assert 1_800_000 <= found.bps <= 2_000_000


def test_a_train_that_passes_shows_its_own_rate_and_the_next_one_follows_at_once():
    prober = Prober()
    probe = prober.due(1_000_000, LIMIT, 0.0, 0)
    found, now = travel(prober, probe, 50_000_000, 1_000_000, 0)
    assert not found.is_capacity
    assert found.bps == pytest.approx(probe.rate_bps, rel=0.05)
    assert prober.due(found.bps, LIMIT, 0.0, now) is not None


def test_a_train_of_large_packets_shows_something_at_a_low_rate_too():
    prober = Prober()
    probe = prober.due(200_000, LIMIT, 0.0, 0)
    found, _ = travel(prober, probe, 1_500_000, 200_000, 0, packet_bytes=1250)
    assert found.bps == pytest.approx(probe.rate_bps, rel=0.05)


def test_what_a_noisy_link_shows_is_believed_less():
    results = []
    for noise_ms in (0.0, 10.0):
        prober = Prober()
        prober.ask(3_000_000, 0)
        found, _ = travel(prober, prober.due(1_000_000, LIMIT, noise_ms, 0), 2_000_000, 1_000_000, 0)
        results.append(found.bps)
    assert results[1] < 0.9 * results[0]


def test_a_train_on_a_full_link_finds_nothing_and_the_next_waits_longer():
    prober, now, waits = Prober(), 0, []
    prober.ask(3_000_000, 0)
    while len(waits) < 5:
        started = now
        while (probe := prober.due(1_000_000, LIMIT, 0.0, now)) is None:
            now += 10 * MS
        waits.append(now - started)
        found, now = travel(prober, probe, 1_000_000, 1_000_000, now)
        assert found is None
    steps = [0, EAGER_INTERVAL_NS, 2 * EAGER_INTERVAL_NS, INTERVAL_NS, MAX_INTERVAL_NS]
    assert waits == pytest.approx(steps, abs=10 * MS)


def test_a_probe_that_is_never_reported_does_not_stop_the_next():
    prober = Prober()
    first = prober.due(1_000_000, LIMIT, 0.0, 0)
    assert prober.due(1_000_000, LIMIT, 0.0, 1000 * MS) is None
    prober.due(1_000_000, LIMIT, 0.0, 2001 * MS)
    second = prober.due(1_000_000, LIMIT, 0.0, 2001 * MS + INTERVAL_NS)
    assert second.id != first.id


def test_at_the_limit_nothing_is_probed():
    assert Prober().due(LIMIT, LIMIT, 0.0, 0) is None


def test_after_too_much_loss_no_train_leaves_and_then_each_step_waits_for_its_losses():
    prober = Prober()
    prober.ask(3_000_000, 0)
    prober.hold_off(5000 * MS)
    assert prober.due(1_000_000, LIMIT, 0.0, 4999 * MS) is None
    probe = prober.due(1_000_000, LIMIT, 0.0, 5000 * MS)
    found, now = travel(prober, probe, 50_000_000, 1_000_000, 5000 * MS)
    assert prober.due(found.bps, LIMIT, 0.0, now) is None
    assert prober.due(found.bps, LIMIT, 0.0, now + INTERVAL_NS // 2) is not None
