"""What is on its way, over the end of the 16-bit numbers and past its bound."""

from agent.control.flight import MAX_PACKETS, Flight, ProbePacket, SentRun

MS = 1_000_000


def test_a_report_settles_parts_of_runs():
    flight = Flight()
    flight.on_sent(SentRun(65_534, [100, 200, 300, 400], 10 * MS))
    flight.on_sent(SentRun(2, [500], 20 * MS, probe=7))
    first = flight.on_feedback([(65_534, 60_000), (65_535, None), (0, 55_000), (9, 1)])
    assert (first.received, first.lost, first.unknown_bytes) == ([(60_000, 100), (55_000, 300)], 1, [])
    assert (first.delay_us, first.newest_sent_ns) == (45_000, 10 * MS)
    assert flight.bytes == 900
    second = flight.on_feedback([(2, 70_000)])
    assert second.probes == [ProbePacket(7, 500, 20 * MS, 70_000)]
    assert second.unknown_bytes == [400], "nobody will tell of it any more"
    assert (len(flight), flight.bytes, flight.oldest_sent_ns()) == (0, 0, None)


def test_what_is_too_old_is_forgotten():
    flight = Flight()
    for start in range(0, 100_000, 1000):
        flight.on_sent(SentRun(start & 0xFFFF, [10] * 1000, start * MS))
    assert len(flight) == MAX_PACKETS
    assert flight.bytes == 10 * MAX_PACKETS
    assert flight.oldest_sent_ns() == 91_000 * MS
