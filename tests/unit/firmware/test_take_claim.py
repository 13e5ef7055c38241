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
