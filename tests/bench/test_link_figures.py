"""The arithmetic of `scripts/bench link`, on made-up recordings."""

import inspect

import pytest
from bench.figures import Recording, Viewing, figures, ssim
from bench.footage_device import opener
from bench.scenarios import SCENARIOS, Scenario
from bench.scene import index_of, stamp_of, tick_of
from netlab.shape import Shape

from agent.camera.select import open_camera
from agent.model import stamp

PACKET = {"bytesReceived": 1100, "headerBytesReceived": 62, "packetsReceived": 1}  # 1200 on the wire
ZERO = dict.fromkeys(
    (
        "retransmittedBytesReceived", "fecBytesReceived", "packetsLost", "freezeCount",
        "totalFreezesDuration", "framesDecoded", "keyFramesDecoded", "nackCount", "pliCount", "frameHeight",
    ),
    0,
)  # fmt: skip


def viewing_at(bps, seconds):
    """A viewer that gets this rate, a picture every 100 ms that is 50 ms old."""
    count = [int(at / 4 * bps / 8 / 1200) for at in range(int(seconds * 4) + 4)]
    stats = [
        ZERO | {"at_s": at / 4, **{key: value * n for key, value in PACKET.items()}}
        for at, n in enumerate(count)
    ]
    return Viewing(frames=[(at / 10, 50.0) for at in range(int(seconds * 10))], stats=stats)


def test_utilisation_is_what_arrived_of_what_the_link_carries():
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=20)
    said = figures(Recording(scenario, "ours", [viewing_at(1.5e6, 20)]))
    assert said["utilisation"] == pytest.approx(0.75, abs=0.01)
    assert said["viewers"][0]["delay_p95_ms"] == 50


def test_an_outage_carries_nothing_and_a_step_is_judged_once_it_may_have_settled():
    changes = ((10.0, {"rate_bps": 1e6}), (20.0, {"is_up": False}))
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=30, changes=changes)
    assert scenario.capacity_bits(0, 30) == pytest.approx(30e6)
    phases = figures(Recording(scenario, "ours", [viewing_at(1e6, 30)]))["phases"]
    assert [one["settled"] for one in phases] == pytest.approx([0.5, 1.0], abs=0.02)


def test_our_agent_opens_the_footage_as_it_opens_a_camera(tmp_path):
    footage = tmp_path / "footage.yuv"
    footage.write_bytes(b"\0")
    arguments = [None] * len(inspect.signature(open_camera).parameters)
    assert opener(footage, tmp_path / "targets")(*arguments).kind == "replay"


def test_a_trace_carries_1500_bytes_a_line_and_starts_over():
    scenario = Scenario("x", "", Shape(trace=(0, 500, 1000)), seconds=3)
    assert scenario.capacity_bits(0.1, 2.9) == pytest.approx(12_000 * (2 + 3 + 2))


def test_a_stamp_names_its_picture():
    for tick in (0, 1, 2, 29, 53_123_456_789):
        assert tick_of(stamp_of(tick)) == tick
        assert stamp.decode_bits(stamp.encode_bits(stamp_of(tick))) == stamp_of(tick) % stamp.MODULUS_MS
    assert [index_of(tick) for tick in (0, 239, 240, 479, 480)] == [0, 239, 239, 0, 0]


def test_ssim_is_1_for_the_same_picture_and_less_for_a_smaller_one():
    picture = bytes((x * y) % 200 + 20 for y in range(180) for x in range(320))
    assert ssim(320, 180, picture, (320, 180), picture) == 1
    half = bytes(picture[y * 320 + x] for y in range(0, 180, 2) for x in range(0, 320, 2))
    assert ssim(160, 90, half, (320, 180), picture) < 0.95


def test_scenarios_have_names_of_their_own():
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)
