"""Installs what a lock names into an environment of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from parts.kept import OWN_PROCESSES
from parts.need import need

TIMEOUT_S = 900


def install(python: Path, *arguments: str) -> None:
    """`pip install` into the environment of this Python, without a look at what is around it."""
    done = subprocess.run(
        [*OWN_PROCESSES, *_installer(python), "--quiet", *arguments],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def _installer(python: Path) -> list[str]:
    """The first that is there, as in `scripts/env`."""
    uv = os.environ.get("UV", "uv")
    for check, command in (
        ([uv, "--version"], [uv, "pip", "install", "--python", str(python)]),
        *(
            ([each, "-m", "pip", "--version"], [each, "-m", "pip", "--python", str(python), "install"])
            for each in (sys.executable, "python3", "/usr/bin/python3")
        ),
    ):
        if shutil.which(check[0]) and not subprocess.run(check, capture_output=True, check=False).returncode:
            return command
    need(False, "needs pip: sudo apt-get install python3-pip")
    raise AssertionError
