"""The arithmetic of `scripts/bench link`, on made-up recordings."""

import inspect
from io import StringIO

import pytest
from bench.figures import Recording, Viewing, columns, figures, middle, ssim
from bench.footage_device import opener
from bench.link import WIDTH, show
from bench.link_run import brief
from bench.scenarios import SCENARIOS, Scenario
from bench.scene import index_of, stamp_of, tick_of
from netlab.shape import Shape
from rich.console import Console
from unit.control.conditions import CONDITIONS

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
        ZERO | {"at_s": at / 4, "framesDecoded": 2 * at, **{key: value * n for key, value in PACKET.items()}}
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


def test_an_upload_beside_and_what_the_link_lost_are_counted_once_settled():
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=25, upload_s=3)
    upload = [(at / 10, 12_500) for at in range(30, 250)]  # 1 Mb/s
    recording = Recording(
        scenario, "ours", [viewing_at(1e6, 25)], upload=upload, came_packets=400, lost_packets=10
    )
    said = figures(recording)
    assert said["upload_bps"] == 1e6
    assert said["lost"] == 0.025
    assert not said["fault"]
    shown = columns(said, 0)
    assert (shown["TCP\nkb/s"], shown["lost\n%"]) == (1000, 2.5)


@pytest.mark.parametrize("bps", [0, 10_000])
def test_a_sender_that_did_not_send_is_a_fault(bps):
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=20)
    assert "kb/s" in figures(Recording(scenario, "ours", [viewing_at(bps, 20)]))["fault"]


def test_packets_without_a_picture_are_a_fault():
    scenario, viewing = Scenario("x", "", Shape(rate_bps=2e6), seconds=20), viewing_at(1e6, 20)
    viewing.stats = [one | {"framesDecoded": 7} for one in viewing.stats]
    assert "0.0 pictures" in figures(Recording(scenario, "ours", [viewing]))["fault"]


@pytest.mark.parametrize(
    ("fps", "words"), [(30, ""), (20, "67 % of its pictures"), (0, "0 % of its pictures")]
)
def test_a_machine_too_busy_to_make_the_pictures_is_a_fault(fps, words):
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=20)
    made = [(float(at), fps * at) for at in range(20)] if fps else [(1.0, 30)]
    said = figures(Recording(scenario, "ours", [viewing_at(1e6, 20)], made=made))
    assert words in said["fault"]
    assert bool(said["fault"]) == bool(words)


def test_a_viewer_without_statistics_and_an_upload_that_did_not_send_are_faults():
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=20, upload_s=3)
    assert "statistics" in figures(Recording(scenario, "ours", [Viewing()]))["fault"]
    assert "upload" in figures(Recording(scenario, "ours", [viewing_at(1e6, 20)]))["fault"]


def test_a_run_that_failed_has_no_phases():
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=20, changes=((10.0, {"rate_bps": 1e6}),))
    said = figures(Recording(scenario, "ours", [], fault="no picture"))
    assert said["fault"] == "no picture"
    assert said["phases"] == []


def test_a_phase_that_cannot_settle_is_left_out():
    changes = tuple(
        change for at in (6.0, 10.0, 14.0) for change in ((at, {"is_up": False}), (at + 0.3, {"is_up": True}))
    )
    scenario = Scenario("x", "", Shape(rate_bps=2e6), seconds=20, changes=changes)
    phases = figures(Recording(scenario, "ours", [viewing_at(1e6, 20)]))["phases"]
    assert [one["from_s"] for one in phases] == [0.0]


def test_of_several_rounds_the_median_and_the_range_are_shown():
    runs = [{"used": 50, "TCP": None}, {"used": 70, "TCP": None}, {"used": 52, "TCP": 8.0}]
    assert middle(runs) == {"used": (52, 50, 70), "TCP": (8, 8, 8)}
    assert middle(runs[:1]) == {"used": (50, 50, 50), "TCP": None}


def test_the_table_cuts_nothing_of_several_rounds():
    changes = ((12.0, {"rate_bps": 1e6}),)
    scenario = Scenario(
        "a-recorded-link-2026", "", Shape(rate_bps=2e6), seconds=20, changes=changes, upload_s=3
    )
    runs = []
    for bps in (0.4e6, 1.3e6, 1.9e6):
        viewing = viewing_at(bps, 20)
        viewing.ssim, viewing.frames = [bps / 2e6], [(at / 10, bps / 1e3) for at in range(200)]
        for one in viewing.stats:
            one |= {"frameHeight": bps / 2000, "retransmittedBytesReceived": one["bytesReceived"] / 3}
        upload, waits = [(at, int(bps / 8)) for at in range(20)], [(at, 1200, bps / 2e3) for at in range(20)]
        figures_of = figures(Recording(scenario, "chromium", [viewing], waits, upload=upload))
        runs.append({"round": 1, **figures_of})
    out = StringIO()
    show(runs, Console(file=out, width=WIDTH))
    assert "…" not in out.getvalue()
    row = next(line for line in out.getvalue().splitlines() if "of 3" in line)
    assert "400-1900" in row
    assert "0.200-0.950" in row


def test_a_fault_is_told_by_its_exception():
    log = "  + Exception Group Traceback:\n  | ExceptionGroup: tasks\n    | TypeError: takes 1\n    +-----"
    assert brief(f"agent did not start: {log}").endswith("… | TypeError: takes 1")
    assert brief("no picture within 60 s") == "no picture within 60 s"


def test_our_agent_opens_the_footage_as_it_opens_a_camera(tmp_path):
    footage = tmp_path / "footage.yuv"
    footage.write_bytes(b"\0")
    arguments = [None] * len(inspect.signature(open_camera).parameters)
    assert opener(footage, tmp_path / "targets")(*arguments).kind == "replay"


@pytest.mark.parametrize("name", ["jitter-100", "policer", "farther", "outages", "fall"])
def test_a_scenario_of_the_simulator_carries_what_its_condition_says(name):
    (scenario,) = (one for one in SCENARIOS if one.name == name)
    condition = CONDITIONS[name]
    mean_bps = scenario.capacity_bits(5, scenario.seconds) / (scenario.seconds - 5)
    assert mean_bps == pytest.approx(condition.mean_bps, rel=0.2)


def test_reports_that_are_lost_and_long_ways_back_are_the_downlinks():
    by_name = {one.name: one for one in SCENARIOS}
    assert by_name["deaf-30"].feedback.loss == 0.3
    assert by_name["deaf-30"].uplink.loss == 0
    assert by_name["far"].feedback.delay_ms == 300
    assert by_name["lossy"].feedback == Shape(delay_ms=50)


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
