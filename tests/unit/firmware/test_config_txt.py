"""The linter of config.txt, on our own file and on fixtures; each invalid one names its faults."""

import re
from pathlib import Path

import pytest
from flash.configtxt import BOARDS, lint

ROOT = Path(__file__).parents[3]
OURS = ROOT / "firmware-config" / "boot" / "config.txt"
FIXTURES = Path(__file__).parent / "config-txt"


def test_our_own_is_good():
    assert lint(OURS.read_text()) == []


def test_our_own_speaks_of_every_board():
    assert set(re.findall(r"^\[(.+)\]$", OURS.read_text(), re.MULTILINE)) == BOARDS | {"all"}


@pytest.mark.parametrize("board", sorted(BOARDS - {"cm4"}))
def test_every_board_has_its_graphics_and_cma(board):
    """Libcamera needs the KMS driver's overlay; [pi4] holds for a CM4."""
    section = OURS.read_text().split(f"[{board}]\n")[1].split("\n[")[0]
    assert re.search(r"^dtoverlay=vc4-kms-v3d", section, re.MULTILINE)


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
