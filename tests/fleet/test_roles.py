"""Each role by itself, by its own molecule scenario, on a fresh machine."""

import json
import os
import sys
from pathlib import Path

import pytest
from fleet import lab as labs

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"
SCENARIOS = sorted(path.parents[2].name for path in ROLES.glob("*/molecule/default/molecule.yml"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", SCENARIOS)
def test_a_role_converges_and_is_idempotent(role, tmp_path):
    with labs.lab() as lab:
        machine = lab.add("instance")
        lab.boot("instance")
        access = {"ansible_user": "root", "ansible_ssh_private_key_file": str(lab.folder / "id")}
        hosts = {"instance": access | {"ansible_host": machine.address}}
        inventory = tmp_path / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        binaries = Path(sys.executable).parent
        lab.shop.run(
            "sh", "-c", 'cd "$0" && exec molecule test', str(ROLES / role), timeout_s=800,
            env=labs.ansible_environment(lab.folder)
            | {
                "PATH": f"{binaries}:{os.environ['PATH']}",
                "MOLECULE_INVENTORY": str(inventory),
                "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
                "ANSIBLE_HOME": str(tmp_path / "ansible"),
            },
        )  # fmt: skip
