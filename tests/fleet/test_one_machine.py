"""The short part: one machine, everything that a device needs on it, from nothing; then nothing to change."""

import json

import pytest
from fleet import lab as labs
from fleet import releases
from fleet.enrolment import enrol


@pytest.mark.timeout(900)
def test_a_machine_is_rolled_out_and_then_left_alone(tmp_path):
    key = releases.make_key(tmp_path)
    release = releases.build(tmp_path, "0.1.1", key, "device/x86_64/cp311")
    with labs.lab() as lab:
        lab.add("solo")
        lab.boot("solo")
        enrol(lab, ["solo"], tmp_path)
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps(solo(lab, release, key)))
        first = lab.play(inventory).ok()
        print(first.output[-6000:])
        assert first.report["solo"] == {"release": "0.1.1", "result": "good", "reason": ""}
        assert lab.ssh("solo", "systemctl is-active pinhole mosquitto coturn").split() == ["active"] * 3
        installed = int(lab.ssh("solo", "du -sm /opt/pinhole").split()[0])
        assert installed <= 200, "MB on the device"
        second = lab.play(inventory).ok()
        assert second.changed() == {"solo": 0}, second.output


def solo(lab, release, key):
    address = lab.machines["solo"].address
    return {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(lab.folder / "id"),
                "broker_portal_password": "portal-secret",
                "broker_device_passwords": {"solo": "device-secret"},
                "turn_secret": "a-secret-of-the-test",
                "agent_broker_url": "mqtt://127.0.0.1:1883",
                "agent_broker_username": "solo",
                "agent_broker_password": "device-secret",
                "agent_settings": {
                    "camera": {"source": "synthetic", "width_px": 320, "height_px": 240, "fps": 10}
                },
                "agent_release_dir": str(release),
                "agent_release_public_keys": [key.with_suffix(".pub").read_text().strip()],
                "agent_gate_s": 60,
            },
            "children": {
                group: {"hosts": {"solo": {"ansible_host": address}}}
                for group in ("brokers", "turn_servers", "devices")
            },
        }
    }
