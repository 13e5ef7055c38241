"""The linter of config.txt, on our own file and on fixtures; each invalid one names its faults."""

import re
from pathlib import Path

import pytest
from flash.configtxt import BOARDS, extended, lint, lost_overlays
from flash.errors import FlashError

ROOT = Path(__file__).parents[3]
OURS = ROOT / "firmware-config" / "boot" / "config.txt"
FIXTURES = Path(__file__).parent / "config-txt"


def test_our_own_is_good():
    assert lint(OURS.read_text()) == []


def test_our_own_speaks_of_every_board():
    assert set(re.findall(r"^\[(.+)\]$", OURS.read_text(), re.MULTILINE)) == BOARDS | {"all"}


@pytest.mark.parametrize("board", sorted(BOARDS - {"cm4", "cm5"}))
def test_every_board_has_its_graphics_and_cma(board):
    """Libcamera needs the KMS driver's overlay; [pi4] holds for a CM4, and [pi5] for a CM5."""
    assert any(line.startswith("dtoverlay=vc4-kms-v3d") for line in section(board))


@pytest.mark.parametrize(
    ("board", "line", "what"),
    [
        ("pi5", "dtparam=uart0=on", "the UART on GPIO 14 and 15"),
        ("cm4", "otg_mode=1", "a USB 2.0 host"),
        ("cm5", "dtoverlay=dwc2,dr_mode=host", "a USB 2.0 host"),
    ],
)
def test_a_modem_or_ptz_head_finds_its_port_on_every_board(board, line, what):
    assert line in section(board), f"{board} has not {what}"


def section(board):
    return OURS.read_text().split(f"[{board}]\n")[1].split("\n[")[0].splitlines()


@pytest.mark.parametrize("file", sorted((FIXTURES / "valid").iterdir()), ids=lambda file: file.stem)
def test_valid(file):
    assert lint(file.read_text()) == []


@pytest.mark.parametrize("file", sorted((FIXTURES / "invalid").iterdir()), ids=lambda file: file.stem)
def test_invalid(file):
    """The first lines say what is expected, as `# expect LINE: words`."""
    text = file.read_text()
    expected = re.findall(r"^# expect (\d+): (.+)$", text, re.MULTILINE)
    assert expected
    faults = lint(text)
    assert [fault.line for fault in faults] == [int(line) for line, _ in expected]
    for fault, (_, words) in zip(faults, expected, strict=True):
        assert words in str(fault)


def test_a_place_has_lines_of_its_own_and_they_count():
    lines = ["camera_auto_detect=0", "dtoverlay=vendor-cam,cam0", "[cm4]", "dtparam=pciex1_gen=3", "[all]"]
    text = extended(OURS.read_text(), lines)
    assert text.startswith(OURS.read_text())
    assert text.splitlines()[-len(lines) :] == lines
    assert extended(OURS.read_text(), []) == OURS.read_text()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["dtoverlya=imx462"], "'dtoverlya=imx462': dtoverlya is not known"),
        (["camera_auto_detect=0 # none"], "a comment needs a line"),
        (["[pi6]", "dtoverlay=imx462", "[all]"], r"\[pi6\] is no filter"),
        (["[pi5]", "dtoverlay=imx462"], "ends under"),
        (["dtoverlay=imx462\ncamera_auto_detect=0"], "one line, please"),
        (["imx462"], "neither key=value"),
    ],
)
def test_a_line_that_does_nothing_is_refused_by_name(lines, words):
    with pytest.raises(FlashError, match=words):
        extended(OURS.read_text(), lines)


def test_an_overlay_that_somebody_chose_is_not_lost_in_silence():
    stock = (FIXTURES / "valid/stock.txt").read_text()
    ours = OURS.read_text()
    by_hand = f"{stock}camera_auto_detect=0\ndtoverlay=imx462,clock-frequency=74250000\n"
    assert lost_overlays(stock, ours) == []
    assert lost_overlays(by_hand, ours) == ["dtoverlay=imx462,clock-frequency=74250000"]
    assert lost_overlays(by_hand, extended(ours, lost_overlays(by_hand, ours))) == []
    assert lost_overlays(extended(ours, ["dtoverlay=imx462"]), ours) == []
