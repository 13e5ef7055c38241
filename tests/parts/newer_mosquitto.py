"""Mosquitto 2.1, which no released Debian has: unpacked from the next one, from this computer's own mirror.

It runs with that release's loader and libraries, and nothing of it is installed.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fleet import workshop
from parts.kept import kept
from parts.need import need

SUITE = "forky"
PROGRAM = """#!/bin/sh
here=${{0%/*}}
exec "$here/{loader}" --library-path "$here/{libraries}" --argv0 mosquitto "$here/usr/sbin/mosquitto" "$@"
"""
NOT_NEEDED = ("systemd_", "gcc-", "libsystemd-shared")
"""What its packages want and it does not link to."""
MAKE_S = 300


@dataclass(frozen=True)
class Newer:
    """Where its program and its plugins are."""

    program: Path
    plugins: Path


def newer_mosquitto() -> Newer:
    """Fetched in a minute where it is not cached."""
    sources = workshop.apt_sources()
    need(sources, "it is fetched from this computer's own Debian sources, and it has none")
    mirror, keyring = sources or ("", "")
    folder = kept("mosquitto", (SUITE, PROGRAM, NOT_NEEDED), lambda part: _fetch(part, mirror, keyring))
    [plugins] = folder.glob("usr/lib/*/mosquitto")
    return Newer(folder / "mosquitto", plugins)


def _fetch(part: Path, mirror: str, keyring: str) -> None:
    """Lists and packages by apt, in folders of its own: this computer's are left alone."""
    apt = part / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {SUITE} main\n")
    options = {
        "Dir::State": apt / "state", "Dir::State::status": "/dev/null", "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root", "Acquire::Languages": "none",
    }  # fmt: skip
    get = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    _run(*get, "update")
    _run(*get, "-y", "--download-only", "--no-install-recommends", "install", "mosquitto")
    for package in (apt / "cache/archives").glob("*.deb"):
        if not package.name.startswith(NOT_NEEDED):
            _run("dpkg-deb", "--extract", str(package), str(part))
    shutil.rmtree(apt)
    [libraries] = (part / "usr/lib").glob("*-linux-gnu")
    _run("ldconfig", "-n", str(libraries))
    [loader] = libraries.glob("ld-linux-*.so.*")
    program = part / "mosquitto"
    program.write_text(PROGRAM.format(loader=loader.relative_to(part), libraries=libraries.relative_to(part)))
    program.chmod(0o755)


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=MAKE_S, check=False,
        env=os.environ | {"PATH": workshop.PATH, "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:] or done.stdout[-2000:]
