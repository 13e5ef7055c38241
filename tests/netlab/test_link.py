"""The link emulator between real namespaces. Bounds are wide: the machine has other work."""

import statistics
import time

import pytest
from netlab.internet import internet
from netlab.namespaces import LabError
from netlab.plan import SERVER_IP, Plan
from netlab.shape import Burst, Shape, random_trace
from netlab.traffic import receiving, send, start_upload

pytestmark = pytest.mark.usefixtures("can_emulate")


def uplink(shape):
    return internet(Plan("none", "none", uplink=shape))


def rate_bps(received, size_bytes=1500):
    span_s = received.arrivals_s[-1] - received.arrivals_s[0]
    return (len(received.numbers) - 1) * size_bytes * 8 / span_s


@pytest.mark.parametrize("mbps", [1.5, 20])
def test_the_rate_is_kept_and_the_queue_drops_the_rest(mbps):
    with uplink(Shape(rate_bps=mbps * 1e6, queue_bytes=60_000)) as lab:
        with receiving(lab) as received:
            send(lab, "device", SERVER_IP, count=int(mbps * 250), interval_us=6000 / mbps)  # twice the rate
        counters = lab.link.statistics().uplink
    assert rate_bps(received) == pytest.approx(mbps * 1e6, rel=0.05)
    assert received.numbers == sorted(received.numbers)
    assert counters.overflow_packets == counters.in_packets - counters.out_packets > 0
    assert 55_000 < counters.max_queue_bytes <= 60_000


def test_delay_and_jitter_are_as_asked_and_order_is_kept():
    with uplink(Shape(delay_ms=50, jitter_ms=20)) as lab, receiving(lab) as received:
        send(lab, "device", SERVER_IP, count=200, size_bytes=200, interval_us=5000)
    assert len(received.numbers) == 200
    assert received.numbers == sorted(received.numbers)
    # Without reordering, a packet waits for a slower one before it: the mean is above 50 ms.
    assert statistics.median(received.delays_ms) == pytest.approx(56, abs=8)
    assert max(received.delays_ms) - min(received.delays_ms) > 15


def test_a_policer_passes_its_rate_without_a_wait_and_loses_the_rest():
    with uplink(Shape(rate_bps=1.5e6, bucket_bytes=30_000)) as lab:
        send(lab, "device", SERVER_IP, count=1, size_bytes=100, interval_us=0)  # each hop knows the next one
        with receiving(lab) as burst:
            send(lab, "device", SERVER_IP, count=2000, interval_us=500)  # 24 Mb/s for 1 s, or for longer
        counters, passages = lab.link.statistics().uplink, lab.link.passages()["uplink"]
        lab.spaces.folder.joinpath("receiver-server.log").unlink()
        with receiving(lab) as after:
            send(lab, "device", SERVER_IP, count=100, interval_us=20_000)  # 0.6 Mb/s
    assert burst.numbers[:15] == list(range(15)), "the bucket was full"
    assert counters.overflow_packets == counters.in_packets - counters.out_packets > 0
    span_s = (passages[-1].at_ns - passages[0].at_ns) / 1e9
    assert sum(one.size_bytes for one in passages) <= 30_000 + 1500 + 1.5e6 / 8 * span_s
    assert not any(one.waited_ns for one in passages)
    assert len(after.numbers) > 50, "it fills again"


def test_an_upload_takes_what_the_link_has():
    with uplink(Shape(rate_bps=3e6, queue_bytes=60_000, delay_ms=20)) as lab:
        began_s = time.monotonic()
        upload = start_upload(lab, "device", "server", SERVER_IP)
        with receiving(lab):
            send(lab, "device", SERVER_IP, count=250, interval_us=12_000)  # 1 Mb/s for 3 s
        counters = lab.link.statistics().uplink
        arrived = upload.arrived()
    assert counters.max_queue_bytes > 30_000
    # The taker may read late what came in time: all of it counts, and from before there was any.
    assert 60_000 < sum(size for _, size in arrived) < 3e6 / 8 * (arrived[-1][0] - began_s)


def test_an_upload_that_fails_says_so():
    with uplink(Shape()) as lab:
        upload = start_upload(lab, "device", "server", SERVER_IP)
        upload.taker.stop()
        upload.sender.popen.wait(20)
        with pytest.raises(LabError, match="ended by itself"):
            upload.arrived()


def test_only_the_direction_that_was_asked_is_delayed():
    with uplink(Shape(delay_ms=100)) as lab, receiving(lab, "device") as received:
        send(lab, "server", "198.51.100.10", count=50, interval_us=2000)
    assert statistics.median(received.delays_ms) < 20


def test_loss_is_as_asked_alone_and_in_bursts():
    with uplink(Shape(loss=0.1)) as lab:
        with receiving(lab) as even:
            send(lab, "device", SERVER_IP, count=2000, size_bytes=100, interval_us=500)
        lab.link.change("uplink", loss=0, burst=Burst(enter=0.01, leave=0.1))
        lab.spaces.folder.joinpath("receiver-server.log").unlink()
        with receiving(lab) as bursty:
            send(lab, "device", SERVER_IP, count=2000, size_bytes=100, interval_us=500)
    assert 0.07 < 1 - len(even.numbers) / 2000 < 0.13
    gaps = [b - a - 1 for a, b in zip(bursty.numbers, bursty.numbers[1:], strict=False) if b - a > 1]
    assert statistics.mean(gaps) > 4


def test_a_trace_gives_what_it_holds():
    trace = random_trace(1, 2, 4e6)
    with uplink(Shape(trace=trace, queue_bytes=30_000)) as lab, receiving(lab) as received:
        send(lab, "device", SERVER_IP, count=1500, interval_us=1333)  # 9 Mb/s for 2 s
    assert rate_bps(received) == pytest.approx(len(trace) * 1500 * 8 / 2, rel=0.15)


def test_a_long_trace_may_come_while_packets_flow():
    trace = tuple(range(1, 60_000))
    with uplink(Shape(rate_bps=1e6)) as lab:
        lab.link.change("uplink", rate_bps=None, trace=trace)
        with receiving(lab) as received:
            send(lab, "device", SERVER_IP, count=500, interval_us=1500)  # 8 of 12 Mb/s
    assert len(received.numbers) == 500


def test_one_direction_may_lose_alone():
    with uplink(Shape()) as lab:
        lab.link.change("downlink", loss=0.3)
        with receiving(lab) as up:
            send(lab, "device", SERVER_IP, count=500, size_bytes=100, interval_us=500)
        with receiving(lab, "device") as down:
            send(lab, "server", "198.51.100.10", count=1000, size_bytes=100, interval_us=500)
    assert len(up.numbers) == 500
    assert 0.2 < 1 - len(down.numbers) / 1000 < 0.4


def test_an_outage_comes_and_goes_while_packets_flow():
    with uplink(Shape(delay_ms=10)) as lab:
        with receiving(lab) as received:
            lab.link.plan([(0.8, "both", {"is_up": False}), (1.4, "both", {"is_up": True})])
            send(lab, "device", SERVER_IP, count=220, size_bytes=100, interval_us=10_000)
        outage = lab.link.statistics().uplink.outage_packets
    gaps = [b - a for a, b in zip(received.arrivals_s, received.arrivals_s[1:], strict=False)]
    assert max(gaps) == pytest.approx(0.6, abs=0.15)
    assert sorted(gaps)[-2] < 0.2
    others = outage - (220 - len(received.numbers))
    assert 0 <= others <= 5, "the kernel's own packets are lost too"


def test_it_is_punctual_at_20_megabits():
    with uplink(Shape(rate_bps=30e6, delay_ms=20)) as lab:
        with receiving(lab) as received:
            send(lab, "device", SERVER_IP, count=3000, interval_us=600)
        said = lab.link.statistics()
    assert len(received.numbers) == 3000
    assert said.late_p99_ms < 20, "a lab that cannot keep up is late by ever more"


def test_a_wrong_change_is_refused_and_alters_nothing():
    with uplink(Shape(delay_ms=20)) as lab:
        with pytest.raises(LabError, match="probabilities"):
            lab.link.change(loss=3)
        with pytest.raises(LabError, match="no speed"):
            lab.link.change("uplink", speed=1)
        with pytest.raises(LabError, match="sideways"):
            lab.link.plan([(0, "sideways", {})])
        with receiving(lab) as received:
            send(lab, "device", SERVER_IP, count=20, interval_us=2000)
    assert len(received.numbers) == 20


def test_a_lab_whose_emulator_dies_says_so():
    with uplink(Shape()) as lab:
        lab.link.process.popen.kill()
        lab.link.process.popen.wait()
        with pytest.raises(LabError, match="does not answer"):
            lab.link.statistics()
