"""The upload beside: it must fill a link as TCP does, or what a viewer keeps beside it says nothing."""

import random

from netlab.shape import Direction
from unit.control.conditions import link
from unit.control.rival import SEGMENT_BYTES, S, Upload


def test_an_upload_alone_fills_the_link_and_its_queue():
    one, upload, now = Direction(link(3, 100_000, 20), random.Random(1), 0), Upload(0, 50_000_000), 0
    while now < 20 * S:
        now = max(now, min(at for at in (one.next_ns(), upload.next_ns()) if at is not None))
        for at_ns, segment in one.pop(now):
            upload.arrive(segment, at_ns)
        upload.pump(now, one.push)
    late = [at for at, _ in upload.received if at >= 5 * S]
    assert len(late) * SEGMENT_BYTES * 8 / 15 >= 0.95 * 3e6
    assert one.counters.max_queue_bytes >= 95_000
    assert 0 < one.counters.overflow_packets <= 0.05 * one.counters.in_packets
