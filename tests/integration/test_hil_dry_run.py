"""The suite for real devices, on what a Pi 4 and a Pi 5 answered: what it asks, does and finds."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HIL = ROOT / "tests" / "hil"
RECORDED = HIL / "recorded"
ALWAYS = {
    "test_the_power_is_cut": "a smart plug (--plug tasmota://HOST)",
    "test_glass_to_glass_by_an_led": "an LED in the camera's sight (--led GPIO)",
    "test_glass_to_glass_by_the_stamp": "the test picture, which carries the time",
}
CASES = {
    "pi-4-trixie": ({}, "wwan0 (modem)"),
    "pi-5-bookworm": (
        {
            "test_the_board_is_a_raspberry_pi_that_is_not_throttled": "vcgencmd on the device",
            "test_heat_under_load": "vcgencmd on the device",
            "test_the_hardware_encodes": "a board with an H.264 encoder",
            "test_the_encoder_stalls": "a board with an H.264 encoder",
            "test_the_modem_is_reset": "a modem that carries the picture: it goes over eth0",
        },
        "eth0",
    ),
}
"""What cannot be checked on each, and over what its picture goes."""


@pytest.mark.parametrize("name", CASES)
def test_the_suite_passes_on_a_board_and_does_it_no_harm(name, tmp_path):
    unchecked, way = CASES[name]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/hil", "-q", "-p", "no:cacheprovider",
         "--device", f"recorded:{RECORDED}/{name}.toml", "--report", str(tmp_path),
         "--load-minutes", "0.0001", "--soak-hours", "0.000001"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    results = json.loads((tmp_path / "results.json").read_text())
    wanted = ALWAYS | unchecked
    assert results["unchecked"].keys() == wanted.keys()
    assert all(results["unchecked"][test].startswith(words) for test, words in wanted.items())
    assert {each["way"] for each in results["figures"]} == {way}
    assert f"over {way}" in (tmp_path / "index.html").read_text()
    commands = (tmp_path / "commands").read_text().splitlines()
    assert [line for line in commands if line.startswith("not recorded")] == []
    assert not any("unbind" in line for line in commands), "kernels have crashed of that"


def test_a_reboot_is_no_recovery(tmp_path):
    """The kernel panics of what was done to the camera, and the board comes back."""
    file = tmp_path / "panic.toml"
    file.write_text(
        (RECORDED / "pi-5-bookworm.toml").read_text()
        + '[[answer]]\ncommand = "cat /proc/sys/kernel/random/boot_id"\n'
        "after = '''sudo -n i2ctransfer .*'''\nsays = \"another\\n\"\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/hil", "-q", "-p", "no:cacheprovider", "-k", "unplugged",
         "--device", f"recorded:{file}", "--report", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the board was rebooted: that is no recovery" in done.stdout
    assert json.loads((tmp_path / "results.json").read_text())["figures"] == []


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("pi-4-trixie", ["gpioset", "--toggle", "300ms,0", "--chip", "gpiochip0", "17=1"]),
        ("pi-5-bookworm", ["gpioset", "--mode=time", "--usec=300000", "gpiochip4", "17=1"]),
    ],
)
def test_an_led_is_lit_by_the_gpioset_that_is_there(name, command, monkeypatch):
    says = {
        each["command"]: each["says"]
        for each in tomllib.loads((RECORDED / f"{name}.toml").read_text())["answer"]
    }
    monkeypatch.syspath_prepend(str(HIL))
    spec = importlib.util.spec_from_file_location("hil_glass_led", HIL / "glass.py")
    glass = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(glass)
    assert glass.lit_command(says["gpioset --version"], says["sudo -n gpiodetect"], 17, 0.3) == command
    for version, chips in (("gpioset 3", says["sudo -n gpiodetect"]), (says["gpioset --version"], "")):
        with pytest.raises(glass.DeviceError):
            glass.lit_command(version, chips, 17, 0.3)
