"""What is on its way, over the end of the 16-bit numbers and past its bound."""

from agent.control.flight import MAX_PACKETS, Flight, ProbePacket

MS = 1_000_000


def test_a_report_settles_parts_of_runs():
    flight = Flight()
    flight.on_sent(65_534, [100, 200, 300, 400], 10 * MS)
    flight.on_sent(2, [500], 20 * MS, probe=7)
    first = flight.on_feedback(65_534, [60_000, None, 55_000])
    assert (first.arrivals_us, first.sizes_bytes) == ([60_000, 55_000], [100, 300])
    assert (first.lost, first.unknown_bytes) == (1, [])
    assert (first.delay_us, first.newest_sent_ns) == (45_000, 10 * MS)
    assert flight.bytes == 900
    second = flight.on_feedback(2, [70_000, 80_000])
    assert second.probes == [ProbePacket(7, 500, 20 * MS, 70_000)]
    assert second.unknown_bytes == [400], "nobody will tell of it any more"
    assert (flight.bytes, flight.oldest_sent_ns()) == (0, None)


def test_reports_that_overtake_each_other_settle_each_packet_once():
    flight = Flight()
    flight.on_sent(0, [1], 10 * MS)
    flight.on_sent(1, [10, 20, 30, 40, 50], 20 * MS)
    flight.on_sent(6, [60], 30 * MS)
    middle = flight.on_feedback(3, [70_000, None])
    assert (middle.sizes_bytes, middle.lost, middle.unknown_bytes) == ([30], 1, [1])
    assert (flight.bytes, flight.oldest_sent_ns()) == (140, 20 * MS)
    late = flight.on_feedback(0, [60_000, 61_000, 62_000, 63_000, 64_000])
    assert (late.arrivals_us, late.sizes_bytes) == ([61_000, 62_000], [10, 20])
    last = flight.on_feedback(5, [80_000, 81_000, 82_000])
    assert (last.sizes_bytes, last.lost, last.unknown_bytes) == ([50, 60], 0, [])
    assert (flight.bytes, flight.oldest_sent_ns()) == (0, None)
    assert flight.on_feedback(0, [1, 2, 3]).sizes_bytes == []


def test_packets_lost_in_a_row_are_counted_once_whatever_runs_they_left_in():
    flight = Flight()
    flight.on_sent(0, [10] * 4, 10 * MS)
    flight.on_sent(4, [10] * 4, 20 * MS)
    told = flight.on_feedback(0, [1, None, 1, None, None, None, 1, None])
    assert (told.lost, told.lost_runs) == (5, 3)


def test_what_is_too_old_is_forgotten():
    flight = Flight()
    for start in range(0, 100_000, 1000):
        flight.on_sent(start & 0xFFFF, [10] * 1000, start * MS)
    assert flight.bytes == 10 * MAX_PACKETS
    assert flight.oldest_sent_ns() == 91_000 * MS
