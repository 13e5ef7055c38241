"""The last step of the restarts: a reboot where it may help, and never a loop of them."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "firmware-config/rootfs/usr/libexec/pinhole/rescue"
MINUTE_S, DAY_S = 60, 86_400


class Board:
    """What the script sees of a Pi, and what it asks systemd for."""

    def __init__(self, folder):
        self.folder = folder
        self.asked = folder / "asked"
        for name, body in {
            "systemctl": f'echo "$*" >>"{self.asked}"',
            "sleep": f'echo "sleep $*" >>"{self.asked}"',
            "sync": "",
            "pinhole": "exit 0",
        }.items():
            self.program(name, body)

        (folder / "portal-keys.json").touch()

    def program(self, name, body):
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    @property
    def count(self):
        file = self.folder / "reboots"
        return file.read_text().strip() if file.exists() else None

    def rescue(self, uptime_s):
        """What it asked for after this uptime."""
        (self.folder / "uptime").write_text(f"{uptime_s}.42 11.00\n")
        self.asked.write_text("")
        subprocess.run(
            ["/bin/sh", SCRIPT],
            env={
                "PATH": f"{self.folder}:/usr/bin:/bin",
                "STATE_DIRECTORY": str(self.folder),
                "PINHOLE": str(self.folder / "pinhole"),
                "IDENTITY": str(self.folder / "portal-keys.json"),
                "UPTIME_FILE": str(self.folder / "uptime"),
            },
            timeout=20, check=True, capture_output=True,
        )  # fmt: skip
        return self.asked.read_text().splitlines()


AGAIN = ["sleep 300", "reset-failed pinhole.service", "--no-block start pinhole.service"]


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


def test_a_board_that_just_started_is_not_rebooted(board):
    assert board.rescue(9 * MINUTE_S) == AGAIN
    assert board.count is None


def test_each_reboot_takes_twice_the_uptime_of_the_one_before(board):
    due_s = 10 * MINUTE_S
    for number in range(1, 12):
        wait_s = min(due_s, DAY_S - 1)
        if due_s <= DAY_S:
            assert board.rescue(wait_s - 1) == AGAIN
            assert board.rescue(wait_s) == ["reboot"]
            assert board.count == str(number)
        due_s *= 2
    assert board.rescue(DAY_S - 1) == AGAIN, "at most one a day"


def test_a_day_of_uptime_begins_anew(board):
    (board.folder / "reboots").write_text("30\n")
    assert board.rescue(DAY_S - 1) == AGAIN
    assert board.rescue(DAY_S) == ["reboot"]
    assert board.count == "1"


def test_settings_that_are_wrong_need_a_person_not_a_reboot(board):
    board.program("pinhole", 'echo "camera.fps: at most 60"; exit 1')
    assert board.rescue(5 * DAY_S) == AGAIN


def test_a_device_that_is_not_enrolled_is_not_rebooted(board):
    (board.folder / "portal-keys.json").unlink()
    assert board.rescue(5 * DAY_S) == AGAIN


@pytest.mark.parametrize("broken", ["", "x\n", "1e9\n", "-3\n"])
def test_a_count_that_a_power_cut_broke_counts_as_none(board, broken):
    (board.folder / "reboots").write_text(broken)
    assert board.rescue(10 * MINUTE_S) == ["reboot"]
    assert board.count == "1"
