"""The modem role against ModemManager and NetworkManager as they are, and a modem that speaks AT."""

import json
import sys
import time
from pathlib import Path

import pytest
from fleet import lab as labs
from fleet.workshop import LabError

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "ansible/roles"
# A container has no serial ports. ModemManager's own tests reach a modem over a socket, and so does this one.
SOCKET = "abstract:at-modem"
DROP_IN = """[Unit]
ConditionVirtualization=
[Service]
ExecStart=
ExecStart=/usr/sbin/ModemManager --test-enable
"""
SET_PROFILE = (
    "busctl call org.freedesktop.ModemManager1 /org/freedesktop/ModemManager1 "
    "org.freedesktop.ModemManager1.Test SetProfile "
    f"ssas rover generic 1 {SOCKET}"
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_modem_is_unlocked_and_dialled_with_the_roles_settings(tmp_path):
    with labs.lab() as lab:
        machine = lab.add("instance")
        lab.boot("instance")
        for path, text in {
            "/etc/systemd/system/ModemManager.service.d/test.conf": DROP_IN,
            "/root/at_modem.py": (ROOT / "tests/fakes/at_modem.py").read_text(),
        }.items():
            lab.ssh("instance", f"mkdir -p {Path(path).parent} && cat >{path} <<'END'\n{text}END")
        lab.ssh(
            "instance",
            f"systemd-run --quiet --unit=at-modem python3 /root/at_modem.py {SOCKET} /run/at.log 4321",
        )
        inventory = tmp_path / "hosts.json"
        access = {"ansible_user": "root", "ansible_ssh_private_key_file": str(lab.folder / "id")}
        hosts = {"instance": access | {"ansible_host": machine.address}}
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        lab.shop.run(
            str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory),
            str(ROLES / "modem/molecule/default/converge.yml"),
            "--extra-vars", json.dumps({"modem_pin": "4321", "modem_user": "u", "modem_password": "p"}),
            timeout_s=300,
            env=labs.ansible_environment(lab.folder)
            | {
                "ANSIBLE_ROLES_PATH": str(ROLES),
                "ANSIBLE_LIBRARY": str(ROOT / "ansible/plugins/modules"),
                "ANSIBLE_ACTION_PLUGINS": str(ROOT / "ansible/plugins/action"),
            },
        )  # fmt: skip

        lab.ssh("instance", SET_PROFILE)

        await_command(lab, 'AT+CPIN="4321"')
        await_command(lab, 'AT+CGDCONT=1,"IP","internet.example"')
        await_command(lab, "ATD*99***1#")
        # From here on it is a serial line's: pppd starts, and finds that this is none.
        assert "ppp-manager: pppd started" in lab.ssh("instance", "journalctl -u NetworkManager -o cat")


def await_command(lab, command):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            said = lab.ssh("instance", "cat /run/at.log")
        except LabError:
            said = ""
        if command in said.splitlines():
            return
        time.sleep(1)
    journal = lab.ssh("instance", "journalctl -u ModemManager -u NetworkManager -n 60 -o cat --no-pager")
    pytest.fail(f"the modem never got {command}, only:\n{said}\n{journal}")
