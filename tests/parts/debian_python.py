"""Debian's own Pythons, with their own C library, run from a Debian system's folder without entering it.

So every other part of a test, the broker, the browser and the network, stays what it is.
"""

import tomllib
from pathlib import Path

from fleet import image
from parts.installer import install
from parts.kept import kept

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "tests" / "requirements.lock"
# ld.so(8): the loader of the same system, since another one's C library may be too old, or too new.
_PYTHON = """#!/bin/sh
exec {loader} --library-path {libraries} --argv0 "$0" {program} "$@"
"""


def debian_python(suite: str, folder: Path) -> Path:
    """The Python of a Debian release, with this tree and all that the tests' lock names.

    What the lock names is kept between runs; `folder` is for what is this run's.
    """
    root = image.build(image.own_arch(), suite)
    made = kept(
        f"pythons/{suite}",
        (root.name, LOCK.read_text(), _PYTHON),
        lambda part: install(_lay_out(part, root), "--require-hashes", "-r", str(LOCK)),
    )
    python = _lay_out(folder, root)
    packages = _packages(folder)
    # As an editable install would leave it, which a tree can have in one environment alone.
    (packages / "tree.pth").write_text(f"{_packages(made)}\n{ROOT}\n")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    metadata = packages / f"pinhole-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: pinhole\nVersion: {version}\n")
    return python


def _lay_out(folder: Path, root: Path) -> Path:
    """A virtual environment; its Python."""
    (program,) = (root / "usr" / "bin").glob("python3.??")
    (loader,) = (root / "usr" / "lib").glob("*-linux-gnu/ld-linux-*.so.*")
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_PYTHON.format(loader=loader, libraries=loader.parent, program=program))
    python.chmod(0o755)
    (folder / "pyvenv.cfg").write_text(f"home = {program.parent}\ninclude-system-site-packages = false\n")
    (folder / "lib" / program.name / "site-packages").mkdir(parents=True)
    return python


def _packages(folder: Path) -> Path:
    (packages,) = folder.glob("lib/python3.*/site-packages")
    return packages
