"""The agent with the real picamera2, of three versions, on the real libcamera."""

import json

import pytest
from board.native.pi import NEWEST, OLDEST, PYTHON, Board

pytestmark = pytest.mark.timeout(1200)  # the first one makes what is kept
BARS = [[235, 128, 128], [210, 16, 145], [169, 165, 16], [144, 54, 34],
        [107, 201, 221], [82, 90, 239], [41, 239, 110], [16, 128, 128]]  # fmt: skip
"""Y, U and V of libcamera's test pattern; it moves to the left."""
CODED = 16
"""What encoding may change of a value."""
CONFIG = """
[device]
id = "door"
state_dir = "/tmp/state"
[camera]
source = "auto"
width_px = 640
height_px = 360
[camera.preview]
width_px = 320
"""


def shows_the_bars(seen: list[list[int]]) -> bool:
    return any(
        all(
            abs(value - wanted) <= CODED
            for bar, pattern in zip(seen, BARS[turn:] + BARS[:turn], strict=True)
            for value, wanted in zip(bar, pattern, strict=True)
        )
        for turn in range(len(BARS))
    )


def camera_finding(said: str) -> dict[str, object]:
    report = json.loads(said[said.index("{\n") : said.rindex("}") + 1])
    (finding,) = [finding for finding in report["findings"] if finding["check"] == "camera"]
    return finding


def doctor(board: Board, **how) -> dict[str, object]:
    script = (
        f"cat >/tmp/pinhole.toml <<'END'\n{CONFIG}\nEND\n{PYTHON} -m agent doctor --json -c /tmp/pinhole.toml"
    )
    return camera_finding(board.run("sh", "-c", f"cd /srv/pinhole; {script} || true", **how))


def test_pictures_come_and_the_encoder_obeys(board):
    seen = board.drive("camera")
    assert seen["formats"] == {"main": [640, 360, 30], "preview": [320, 180, 10]}
    assert seen["agreed"] == {"main": ["NV12", 640], "lores": ["NV12", 320]}
    assert seen["units"]["main"] > seen["units"]["preview"] > 2
    assert seen["first_is_keyframe"] == {"main": True, "preview": True}
    assert seen["forced"] == {"main": 1, "preview": 1}, "keyframes that were asked for"
    assert seen["age_s"] < 1, "the capture time is the sensor's"
    assert shows_the_bars(seen["picture"]["main"]), seen["picture"]["main"]
    assert shows_the_bars(seen["picture"]["preview"]), seen["picture"]["preview"]
    assert seen["failures"] == []


def test_masks_are_black_in_both_streams_from_one_moment_to_the_next(board):
    seen = board.drive("masked")
    left, clear, whole = seen["shown"]
    for stream in ("main", "preview"):
        is_black = [[luma < 16 + CODED for luma, _, _ in shown[stream]] for shown in (left, clear, whole)]
        assert is_black[0][:4] == [True] * 4, left[stream]
        assert sum(is_black[0][4:]) <= 1, "one bar is black by itself"
        assert shows_the_bars(clear[stream]), clear[stream]
        assert is_black[2] == [True] * 8, whole[stream]
        assert all(abs(value - 128) < CODED for _, *chroma in whole[stream] for value in chroma)
    assert seen["failures"] == []


def test_the_rate_follows_its_demand(newest):
    seen = newest.drive("rate")
    assert 0.35 < seen["half"] / seen["whole"] < 0.65
    assert seen["low_bps"] < seen["high_bps"] / 2


def test_it_rests_at_a_third_of_its_rate_and_is_back_with_who_watches(board):
    seen = board.drive("rests")
    assert seen["failures"] == []
    assert seen["rest"]["fps"] < 0.6 * seen["full"]["fps"]
    assert seen["rest"]["looks"] >= 5, "motion sees as much as ever"
    assert seen["again"]["fps"] < 0.6 * seen["full"]["fps"]
    assert seen["first_is_keyframe"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_rows_with_padding_are_read_right(heap, version):
    seen = Board(version, heap).drive("camera", PINHOLE_LAYOUT="YUV420:708")
    assert seen["agreed"] == {"main": ["YUV420", 708], "lores": ["YUV420", 354]}
    assert shows_the_bars(seen["picture"]["main"]), seen["picture"]["main"]
    assert shows_the_bars(seen["picture"]["preview"]), seen["picture"]["preview"]


def test_a_format_or_a_size_that_was_not_agreed_is_told(newest):
    seen = newest.drive("camera", PINHOLE_LAYOUT="XBGR8888")
    assert "delivers XBGR8888, and NV12 or YUV420 was asked for" in seen["error"]
    seen = newest.drive("camera", {"width_px": 1000, "height_px": 64, "preview": {"enabled": False}})
    assert "delivers 1920x1080, and 1000x64 was asked for" in seen["error"]


def test_without_a_heap_it_says_what_to_do(bookworm):
    seen = bookworm.drive("camera", PINHOLE_HEAPS="")
    assert "let the agent's user be in the group `video`" in seen["error"]


def test_after_a_stall_it_is_back(bookworm):
    states = bookworm.drive("stall", PINHOLE_STALL="/tmp/stalled")["states"]
    assert [state for state, _ in states[:3]] == ["idle", "starting", "live"]
    assert states[3] == ["failed", "no picture from the picamera camera for 3 s"]
    assert states[-1] == ["live", ""]


def test_the_doctor_finds_it_good(board):
    finding = doctor(board)
    assert finding["verdict"] in ("good", "warning"), finding  # a busy machine is slow
    assert "picamera, 640x360" in finding["message"]
    assert finding["details"]["frames"] > 0
    assert finding["details"]["is_software"] is True


def test_the_demo_is_watched(board):
    said = board.run("sh", "-c", f"""
        cd /srv/pinhole
        {PYTHON} -m agent demo --camera picamera >/tmp/demo.log 2>&1 &
        for turn in $(seq 300); do grep -q 'Ctrl-C ends' /tmp/demo.log && break; sleep 0.1; done
        {PYTHON} -m agent watch --seconds 2 --json
        kill -INT $!; wait $!; cat /tmp/demo.log >&2
    """)  # fmt: skip
    seen = json.loads(said[said.index("{") : said.rindex("}\n") + 1])
    assert seen["frames"] > 5
    assert (seen["width_px"], seen["height_px"]) == (1280, 720)
    assert "picamera" in said


@pytest.mark.parametrize("fault", [
    "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
    "import a_part_that_is_missing",
])  # fmt: skip
def test_a_picamera2_that_does_not_import_is_told_by_its_error(bookworm, tmp_path, fault):
    broken = tmp_path / "__init__.py"
    broken.write_text(fault)
    target = "/usr/lib/python3/dist-packages/simplejpeg/__init__.py"
    finding = doctor(bookworm, folders={target: broken})
    assert finding["verdict"] == "fault"
    assert "picamera2 is installed and does not import: " in finding["message"]
    assert "numpy.dtype size changed" in finding["message"] or "a_part_that_is_missing" in finding["message"]
    assert "must all come from apt" in finding["advice"]


def test_the_environment_on_a_pi_has_the_numpy_of_apt(newest):
    said = newest.run(PYTHON, "-c", "import numpy; print(numpy.__file__)")
    assert said.strip() == "/usr/lib/python3/dist-packages/numpy/__init__.py"


def test_our_numbers_are_the_controls_of_libcamera(newest):
    wanted = {
        "AfModeEnum.Manual": 0, "AfModeEnum.Auto": 1, "AfModeEnum.Continuous": 2, "AfTriggerEnum.Start": 0,
        "AeFlickerModeEnum.Manual": 1, "AeExposureModeEnum.Long": 2, "HdrModeEnum.SingleExposure": 3,
        "draft.NoiseReductionModeEnum.Off": 0, "draft.NoiseReductionModeEnum.Fast": 1,
        "draft.NoiseReductionModeEnum.HighQuality": 2, "draft.NoiseReductionModeEnum.Minimal": 3,
    }  # fmt: skip
    code = f"from libcamera import controls; print([int(eval('controls.' + n)) for n in {list(wanted)}])"
    assert json.loads(newest.run("python3", "-c", code)) == list(wanted.values())
