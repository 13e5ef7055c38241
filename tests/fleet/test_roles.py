"""Each role by itself, by its own molecule scenario, on a fresh machine."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleet import lab as labs

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"
SCENARIOS = sorted(path.parents[2].name for path in ROLES.glob("*/molecule/default/molecule.yml"))
AT_ONCE = 3
"""A role waits more than it works."""


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    """What becomes of each, by its role."""
    with labs.lab() as lab:
        for role in SCENARIOS:
            lab.add(role)
        lab.boot(*SCENARIOS)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield {
                role: pool.submit(run_scenario, lab, role, tmp_path_factory.mktemp(role))
                for role in SCENARIOS
            }


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", SCENARIOS)
def test_a_role_converges_and_is_idempotent(role, scenarios):
    scenarios[role].result()


def run_scenario(lab, role, folder):
    host = {"ansible_host": lab.machines[role].address, "ansible_user": "root"}
    hosts = {"instance": host | {"ansible_ssh_private_key_file": str(lab.folder / "id")}}
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    binaries = Path(sys.executable).parent
    lab.shop.run(
        "sh", "-c", 'cd "$0" && exec molecule test', str(ROLES / role), timeout_s=800,
        env=labs.ansible_environment(lab.folder)
        | {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "MOLECULE_INVENTORY": str(inventory),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(folder / "molecule"),
            "ANSIBLE_HOME": str(folder / "ansible"),
        },
    )  # fmt: skip
