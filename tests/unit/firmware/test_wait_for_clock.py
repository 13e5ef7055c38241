import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "firmware-config/rootfs/usr/libexec/pinhole/wait-for-clock"


@pytest.mark.parametrize(
    ("answers", "sleeps", "expected"),
    [
        ("yes", 0, "the clock is right"),
        ("no no no yes", 3, "the clock is right"),
        ("no no no no no no no no", 5, "no time server answered within 5 s"),
        ("", 5, "no time server answered within 5 s"),
    ],
)
def test_it_waits_for_the_clock_but_not_for_ever(tmp_path, answers, sleeps, expected):
    queue, slept = tmp_path / "answers", tmp_path / "slept"
    queue.write_text("\n".join(answers.split()) + "\n")
    slept.touch()
    programs = {
        "timedatectl": f'head -n1 "{queue}"; sed -i 1d "{queue}"',
        "sleep": f'echo "$1" >>"{slept}"',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    result = subprocess.run(
        ["/bin/sh", SCRIPT, "5"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert expected in result.stdout
    assert slept.read_text().split() == ["1"] * sleeps
