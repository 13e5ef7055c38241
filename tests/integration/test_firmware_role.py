"""What the role makes of a device's config.txt, by Ansible itself, on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "ansible" / "roles" / "firmware"
SENSOR = ["camera_auto_detect=0", "dtoverlay=imx462"]


@pytest.fixture
def play(tmp_path):
    """Run the role's tasks on config.txt, in a folder: the exit code, what was said, and the file."""
    tasks = yaml.safe_load((ROLE / "tasks/main.yml").read_text())
    names = ("Look for a boot partition", "Boot settings")
    playbook = tmp_path / "playbook.json"

    def run(config, **variables):
        (tmp_path / "config.txt").write_text(config)
        given = {"firmware_files": str(ROOT / "firmware-config"), "firmware_boot_dir": str(tmp_path)}
        playbook.write_text(
            json.dumps([{
                "hosts": "localhost", "gather_facts": False,
                "vars": yaml.safe_load((ROLE / "defaults/main.yml").read_text()) | given | variables,
                "tasks": [task for task in tasks if task["name"] in names],
                "handlers": yaml.safe_load((ROLE / "handlers/main.yml").read_text()),
            }])
        )  # fmt: skip
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", playbook],
            capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path,
            env=os.environ | {
                "ANSIBLE_FILTER_PLUGINS": str(ROLE / "filter_plugins"),
                "ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_LOCAL_TEMP": str(tmp_path),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr, (tmp_path / "config.txt").read_text()

    return run


def test_a_board_and_a_host_have_lines_of_their_own(play):
    code, said, config = play(
        "arm_64bit=1\n", firmware_boot_boards={"cm4": ["dtoverlay=uart3"]}, firmware_boot_lines=SENSOR
    )
    assert code == 0, said
    assert config.splitlines()[-5:] == ["[cm4]", "dtoverlay=uart3", "[all]", *SENSOR]
    assert play(config, firmware_boot_lines=SENSOR)[0] == 0


def test_a_sensor_that_was_set_up_by_hand_is_not_lost(play):
    by_hand = "arm_64bit=1\ncamera_auto_detect=0\ndtoverlay=imx462\n"
    code, said, config = play(by_hand)
    assert code != 0
    assert "dtoverlay=imx462, which the device would lose" in " ".join(said.split())
    assert config == by_hand


def test_a_line_with_a_mistake_changes_nothing(play):
    code, said, config = play("arm_64bit=1\n", firmware_boot_lines=["dtoverlya=imx462"])
    assert code != 0
    assert "dtoverlya is not known" in said
    assert config == "arm_64bit=1\n"
