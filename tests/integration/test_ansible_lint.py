"""The roles by ansible-lint's strictest profile."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def test_the_roles_pass_the_production_profile(tmp_path):
    done = subprocess.run(
        [BIN / "ansible-lint", "--offline", "--nocolor", "--profile", "production"],
        cwd=ROOT / "ansible", capture_output=True, text=True, check=False,
        env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed: 0 failure(s), 0 warning(s)" in done.stderr + done.stdout


def test_the_dynamic_inventory_is_an_inventory(tmp_path):
    fleet = '{"devices": [{"id": "door", "name": "Front", "online": true, "version": "1.0"}]}'
    (tmp_path / "pinhole").write_text(f"#!/bin/sh\necho '{fleet}'\n")
    (tmp_path / "pinhole").chmod(0o755)
    inventory = tmp_path / "portal.yml"
    inventory.write_text(
        "plugin: pinhole_portal\nportal: http://p\nuser: ann\npassword_file: pw\n"
        f'address: "{{id}}.vpn"\ncommand: [{tmp_path}/pinhole]\n'
    )
    done = subprocess.run(
        [BIN / "ansible-inventory", "-i", inventory, "--list"],
        cwd=ROOT / "ansible", capture_output=True, text=True, check=True,
        env=environment(tmp_path),
    )  # fmt: skip
    listed = json.loads(done.stdout)
    # What a device calls itself is text, never a template.
    assert listed["_meta"]["hostvars"]["door"]["ansible_host"] == {"__ansible_unsafe": "door.vpn"}
    assert listed["release_1_0"]["hosts"] == ["door"]


def test_the_example_vault_is_one_that_the_examples_read(tmp_path):
    inventory = shutil.copytree(ROOT / "ansible" / "inventory", tmp_path / "inventory")
    folder = inventory / "group_vars" / "all"
    vault = shutil.copy(folder / "vault.yml.example", folder / "vault.yml")
    (tmp_path / "pass").write_text("of the test")
    (tmp_path / "pinhole-release-key.pub").write_text("ssh-ed25519 AAAA release\n")
    common = {"cwd": ROOT / "ansible", "capture_output": True, "text": True}
    common["env"] = environment(tmp_path) | {"HOME": str(tmp_path)}
    password = ["--vault-password-file", tmp_path / "pass"]
    subprocess.run([BIN / "ansible-vault", "encrypt", *password, vault], check=True, **common)
    names = ["portal_turn_secret", "agent_claim_code", "agent_portal_url", "agent_release_public_keys"]
    done = subprocess.run(
        [BIN / "ansible", "front-door", "-i", inventory / "hosts.yml", *password, "--connection", "local",
         "-m", "ansible.builtin.debug", "-a", f"msg={{{{ [{', '.join(names)}] }}}}"],
        check=True,
        **common,
    )  # fmt: skip
    assert json.loads(done.stdout.partition("=>")[2])["msg"] == [
        "change-me-16-characters-or-more", "", "https://server.example.org", ["ssh-ed25519 AAAA release"],
    ]  # fmt: skip


def environment(home):
    path = f"{BIN}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "ANSIBLE_HOME": str(home), "LC_ALL": "C.UTF-8"}
