import re
import shlex
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "firmware-config/rootfs/usr/libexec/pinhole/take-claim"


@pytest.mark.parametrize("name", ["raspberrypi", "door"])
@pytest.mark.parametrize("brought", [False, True])
def test_the_device_gets_its_name_and_its_settings(tmp_path, name, brought):
    boot, settings, asked = tmp_path / "pinhole", tmp_path / "pinhole.toml", tmp_path / "asked"
    boot.mkdir()
    if brought:
        (boot / "pinhole.toml").write_text("[camera]\n")
        (boot / "portal-ca.pem").write_text("authorities\n")
    programs = {
        "uname": f"echo {name}",
        "hostnamectl": f'echo "$*" >>{asked}',
        "install": 'shift $(($# - 2)); cp "$@"',
    }
    for program, body in programs.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / program).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "BOOT": str(tmp_path),
        "SETTINGS": str(settings),
        "RUNTIME_DIRECTORY": str(tmp_path),
        "PINHOLE_DEVICE": "door",
        "PINHOLE_CODE": "AAAA-1111",
    }
    subprocess.run(["/bin/sh", SCRIPT], env=env, check=True, timeout=20)
    assert settings.read_text() == ("[camera]\n" if brought else "")
    assert (tmp_path / "code").read_text() == "AAAA-1111\n"
    assert (tmp_path / "portal-ca.pem").exists() is brought
    assert asked.exists() == (name != "door")


def test_settings_that_are_there_stay(tmp_path):
    """Ansible's go before the card's."""
    (tmp_path / "pinhole").mkdir()
    (tmp_path / "pinhole/pinhole.toml").write_text("[camera]\n")
    (tmp_path / "pinhole.toml").write_text("[log]\n")
    for program, body in {"uname": "echo door", "install": 'shift $(($# - 2)); cp "$@"'}.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / program).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "BOOT": str(tmp_path),
        "SETTINGS": str(tmp_path / "pinhole.toml"),
        "RUNTIME_DIRECTORY": str(tmp_path),
        "PINHOLE_DEVICE": "door",
        "PINHOLE_CODE": "AAAA-1111",
    }
    subprocess.run(["/bin/sh", SCRIPT], env=env, check=True, timeout=20)
    assert (tmp_path / "pinhole.toml").read_text() == "[log]\n"


@pytest.mark.parametrize("used", [None, "0.2"])
def test_the_release_in_use_enrols_or_before_any_is_the_one_that_was_built(tmp_path, used):
    for version in ("0.1", "0.2", "0.3"):
        release = tmp_path / "releases" / version
        (release / "bin").mkdir(parents=True)
        (release / "bin/pinhole").write_text(f'#!/bin/sh\necho {version} "$@"\n')
        (release / "bin/pinhole").chmod(0o755)
    (tmp_path / "releases/0.1/release.json").touch()  # the others are half built, but for `used`
    if used:
        (tmp_path / "current").symlink_to(f"releases/{used}")
    done = subprocess.run(
        ["/bin/sh", SCRIPT.with_name("enroll")], check=True, timeout=20, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "PINHOLE_HOME": str(tmp_path), "PINHOLE_PORTAL": "https://portal",
             "RUNTIME_DIRECTORY": "/run/x", "PINHOLE_OPTIONS": "--ca-file /run/x/ca.pem"},
    )  # fmt: skip
    assert done.stdout.split() == [
        used or "0.1", "enroll", "--config", "/etc/pinhole/pinhole.toml", "--portal", "https://portal",
        "--code-file", "/run/x/code", "--ca-file", "/run/x/ca.pem",
    ]  # fmt: skip


def test_the_claim_stays_until_no_power_cut_can_take_the_identity(tmp_path):
    unit = SCRIPT.parents[2] / "lib/systemd/system/pinhole-enroll.service"
    [command] = re.findall(r"^ExecStartPost=\+(.+)$", unit.read_text(), re.MULTILINE)
    for program in ("sync", "rm", "systemctl"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@"\n')
        (tmp_path / program).chmod(0o755)
    done = subprocess.run(
        shlex.split(command),
        env={"PATH": str(tmp_path)},
        check=True,
        timeout=20,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "sync",
        "rm -f /boot/firmware/pinhole/claim.env",
        "sync",
        "systemctl --no-block start pinhole.service",
    ]
