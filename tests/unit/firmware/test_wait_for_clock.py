import subprocess
from pathlib import Path

import pytest

from agent.device import journal

ROOTFS = Path(__file__).parents[3] / "firmware-config/rootfs"
SCRIPT = ROOTFS / "usr/libexec/pinhole/wait-for-clock"
UNIT = ROOTFS / "usr/lib/systemd/system/pinhole-clock.service"


@pytest.mark.parametrize(
    ("answers", "look_s", "sleeps", "expected"),
    [
        ("yes", 0, 0, "the clock is right"),
        ("no no yes", 0, 2, "the clock is right"),
        ("no no no no no no no no", 0, 3, "no time server answered within 5 s"),
        ("no no no no no no no no", 4, 1, "no time server answered within 5 s"),
        ("", 0, 3, "no time server answered within 5 s"),
    ],
)
def test_it_waits_for_the_clock_but_not_for_ever(tmp_path, monkeypatch, answers, look_s, sleeps, expected):
    """`look_s` is how long a busy board takes to ask."""
    queue, slept, uptime = tmp_path / "answers", tmp_path / "slept", tmp_path / "uptime"
    queue.write_text("\n".join(answers.split()) + "\n")
    uptime.write_text("100.50 3.00\n")
    slept.touch()
    pass_time = f'read -r up _ <"{uptime}"; echo "$((${{up%.*}} + $passed)).50 3.00" >"{uptime}"'
    programs = {
        "timedatectl": f'passed={look_s}; {pass_time}; head -n1 "{queue}"; sed -i 1d "{queue}"',
        "sleep": f'passed=$1; {pass_time}; echo "$1" >>"{slept}"',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    result = subprocess.run(
        ["/bin/sh", SCRIPT, "5"], capture_output=True, text=True, timeout=20, check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "UPTIME_FILE": uptime, "RUNTIME_DIRECTORY": tmp_path},
    )  # fmt: skip
    assert expected in result.stdout
    assert slept.read_text().split() == ["2"] * sleeps
    theirs, ours = journal._CLOCK_IS_SET
    assert f"\nRuntimeDirectory={ours.parent.relative_to('/run')}\n" in UNIT.read_text()
    monkeypatch.setattr(journal, "_CLOCK_IS_SET", (tmp_path / theirs.name, tmp_path / ours.name))
    assert journal.read_moment().is_clock_set == ("right" in expected)
    (tmp_path / theirs.name).touch()
    assert journal.read_moment().is_clock_set
