"""Whether the role agent goes on only with a device that is enrolled, by Ansible itself, on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[2] / "ansible"
TASKS = ANSIBLE / "roles/agent/tasks/enroll.yml"
SYSTEMCTL = """#!/bin/sh
case "$*" in
show*) printf 'Id=pinhole-enroll.service\\nLoadState=loaded\\nActiveState=activating\\n' ;;
start*) {start} ;;
esac
"""
"""Of a device whose first attempt has failed, and whose next one comes in half a minute."""


@pytest.fixture
def enroll(tmp_path):
    """Play the tasks, where starting the unit does `start`: the exit code, and what was said."""
    (tmp_path / "claim.env").touch()

    def play(start):
        for name, body in {
            "systemctl": SYSTEMCTL.format(start=start),
            "journalctl": "#!/bin/sh\necho why\n",
        }.items():
            (tmp_path / name).write_text(body)
            (tmp_path / name).chmod(0o755)
        text = TASKS.read_text()
        for folder in ("/var/lib/pinhole", "/boot/firmware/pinhole", "/etc/pinhole"):
            text = text.replace(f"{folder}/", f"{tmp_path}/")
        playbook = tmp_path / "playbook.json"
        playbook.write_text(
            json.dumps([{
                "hosts": "localhost", "gather_facts": False, "tasks": yaml.safe_load(text),
                "vars": {"agent_claim_code": "", "agent_portal_url": "https://portal"},
            }])
        )  # fmt: skip
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", playbook],
            capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path,
            env=os.environ | {
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "ANSIBLE_LIBRARY": str(ANSIBLE / "plugins/modules"),
                "ANSIBLE_ACTION_PLUGINS": str(ANSIBLE / "plugins/action"),
                "ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_LOCAL_TEMP": str(tmp_path),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return play


def test_a_unit_between_two_attempts_is_started_and_waited_for(enroll, tmp_path):
    code, said = enroll(f"touch {tmp_path}/portal-keys.json")
    assert code == 0, said
    assert (tmp_path / "portal-keys.json").exists()


def test_a_device_that_is_not_enrolled_goes_no_further(enroll):
    """Where one of the unit's conditions does not hold, systemd calls it started."""
    code, said = enroll("exit 0")
    assert code != 0
    assert "localhost is not enrolled by the claim of its card: why" in said
