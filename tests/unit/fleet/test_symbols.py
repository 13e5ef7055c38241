"""What a release's modules need not have on a device."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from parts.need import need
from parts.release_tool import load

release = load("release_symbols")
MODULE = next(Path(av.__file__).parent.glob("packet.*.so"))


@pytest.fixture
def site(tmp_path):
    """Two modules of PyAV beside its libraries, which they find by their own place."""
    need(shutil.which("strip"), "needs strip: sudo apt-get install binutils")
    (tmp_path / "site/av").mkdir(parents=True)
    libraries = Path(av.__file__).parents[1] / "av.libs"
    if libraries.is_dir():
        (tmp_path / "site/av.libs").symlink_to(libraries)
    for name in ("one.so", "two.so"):
        shutil.copyfile(MODULE, tmp_path / "site/av" / name)
    return tmp_path / "site"


def drop(site):
    release.drop_symbols(Path(sys.executable), site)


def names(site):
    return sorted(path.name for path in (site / "av").iterdir())


def test_a_module_is_smaller_and_loads(site):
    drop(site)
    one = site / "av/one.so"
    assert one.stat().st_size < 0.6 * MODULE.stat().st_size
    assert names(site) == ["one.so", "two.so"]
    subprocess.run([sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", one], check=True)


def test_what_another_release_has_too_is_left_alone(site, tmp_path):
    os.link(site / "av/one.so", tmp_path / "elsewhere.so")
    drop(site)
    assert (tmp_path / "elsewhere.so").read_bytes() == MODULE.read_bytes()
    assert (site / "av/one.so").read_bytes() == MODULE.read_bytes()
    assert (site / "av/two.so").stat().st_size < MODULE.stat().st_size


def test_one_that_does_not_load_keeps_all_as_they_were(site):
    (site / "av/two.so").unlink()
    shutil.copyfile(shutil.which("true"), site / "av/two.so")  # strip takes it, nobody loads it
    drop(site)
    assert (site / "av/one.so").read_bytes() == MODULE.read_bytes()
    assert names(site) == ["one.so", "two.so"]


def test_what_is_no_module_at_all_keeps_all_as_they_were(site):
    (site / "av/two.so").write_bytes(b"no ELF")
    drop(site)
    assert (site / "av/one.so").read_bytes() == MODULE.read_bytes()
    assert names(site) == ["one.so", "two.so"]


def test_a_machine_without_strip_has_a_larger_release(site, monkeypatch):
    monkeypatch.setattr(release.shutil, "which", lambda _: None)
    drop(site)
    assert (site / "av/one.so").read_bytes() == MODULE.read_bytes()
