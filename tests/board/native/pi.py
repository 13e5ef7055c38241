"""A Pi without its hardware: the real picamera2 on the real libcamera and its virtual cameras."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts import trixie
from parts.need import need
from parts.trixie import Layer

HERE = Path(__file__).parent
OLDEST, BOOKWORM, NEWEST = VERSIONS = ("0.3.18", "0.3.31", "0.3.38")
"""Of picamera2: the oldest that the agent works with, Raspberry Pi OS 12's, and the newest."""
PYTHON = "/srv/pinhole/.venv/bin/python"


def picamera2(version: str) -> Layer:
    """It stands where apt puts it."""
    return Layer(
        f"picamera2-{version}",
        """
        python3 -m venv /tmp/venv
        /tmp/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \\
            --require-hashes --target /usr/lib/python3/dist-packages -r /srv/lock
        rm -rf /tmp/venv /root/.cache
        """,
        {"/srv/lock": HERE / f"picamera2-{version}.lock"},
        (HERE / f"picamera2-{version}.lock").read_text(),
    )


IMX500 = Layer(
    "imx500",
    """
    apt-get update -q
    apt-get install -qy --no-install-recommends libarchive13t64
    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \\
        --require-hashes --target /usr/lib/python3/dist-packages -r /srv/lock
    rm -rf /tmp/venv /root/.cache /var/lib/apt/lists /var/cache/apt
    """,
    {"/srv/lock": HERE / "imx500.lock"},
    (HERE / "imx500.lock").read_text(),
)
"""What picamera2's part for the AI Camera needs beside."""
ENVIRONMENT = trixie.environment(picamera2(NEWEST))
"""Made where apt's picamera2 stands, and so with the system's packages, as on a Pi."""


def compile_heap(folder: Path) -> Path:
    """The library that gives buffers where this machine's kernel has none."""
    compiler = shutil.which("gcc")
    need(compiler, "needs gcc: sudo apt-get install gcc libc6-dev")
    library = folder / "heap.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", library, HERE / "heap.c"],
        check=True, timeout=60,
    )  # fmt: skip
    return library


@dataclass(frozen=True)
class Board:
    """A Pi 5 with a camera and one version of picamera2; each command boots it anew."""

    version: str
    heap: Path

    def run(
        self,
        *argv: str,
        timeout_s: float = 90,
        env: Mapping[str, str] | None = None,
        folders: Mapping[str, Path] | None = None,
        more: tuple[Layer, ...] = (),
    ) -> str:
        """What a command prints. Fails with that where it fails."""
        return trixie.run(
            *argv,
            timeout_s=timeout_s,
            layers=(ENVIRONMENT, *more, picamera2(self.version)),
            folders={
                "/srv/board": HERE,
                "/srv/pinhole/agent": trixie.ROOT / "agent",
                "/usr/lib/heap.so": self.heap,
                "/usr/share/libcamera/pipeline/virtual/virtual.yaml": HERE / "virtual.yaml",
                **(folders or {}),
            },
            env={
                "LD_PRELOAD": "/usr/lib/heap.so",
                "PYTHONPATH": "/srv/board/adaptor",
                "PYTHONDONTWRITEBYTECODE": "1",
                "LIBCAMERA_LOG_LEVELS": "*:ERROR",
                **(env or {}),
            },
        )

    def drive(self, what: str, settings: Mapping[str, Any] | None = None, **env: str) -> dict[str, Any]:
        """What `drive.py` saw; `settings` are those of the camera, besides its own."""
        return _seen(self.run(PYTHON, "/srv/board/drive.py", what, json.dumps(settings or {}), env=env))

    def label(self, what: str) -> dict[str, Any]:
        """What `drive_imx500.py` saw, on an AI Camera."""
        yaml = self.heap.parent / "imx500.yaml"
        yaml.write_text((HERE / "virtual.yaml").read_text().replace("imx708", "imx500"))
        folders = {"/usr/share/libcamera/pipeline/virtual/virtual.yaml": yaml}
        return _seen(self.run(PYTHON, "/srv/board/drive_imx500.py", what, folders=folders, more=(IMX500,)))


def _seen(said: str) -> dict[str, Any]:
    (seen,) = [line for line in said.splitlines() if line.startswith("SEEN ")]
    return dict(json.loads(seen.removeprefix("SEEN ")))
