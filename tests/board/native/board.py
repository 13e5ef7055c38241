"""A Pi without its hardware: the real picamera2 on the real libcamera and its virtual cameras."""

from pathlib import Path

from parts import trixie
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


ENVIRONMENT = trixie.environment(picamera2(NEWEST))
