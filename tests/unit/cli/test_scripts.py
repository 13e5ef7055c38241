"""Programs in `scripts/` that end badly before they have done anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def lock(tree, path, **env):
    """`scripts/lock` in a tree of its own."""
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/lock", tree / "scripts/lock")
    return subprocess.run(
        ["/bin/sh", tree / "scripts/lock", "--upgrade"],
        env={"PATH": path} | env, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("named", [False, True])
def test_every_lock_is_resolved_once(tmp_path, named):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "uv").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n')
    (programs / "uv").chmod(0o755)
    done = lock(
        tmp_path / "tree",
        "/usr/bin:/bin" if named else f"{programs}:/usr/bin:/bin",
        **({"UV": str(programs / "uv")} if named else {}),
    )
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == [
        "requirements.lock", "tests/requirements.lock", "tests/fuzz/requirements.lock",
        "ansible/device.lock", "ansible/portal.lock",
    ]  # fmt: skip
    assert all(line.startswith("pip compile ") and " --upgrade " in line for line in asked)


def test_without_uv_it_says_so(tmp_path):
    done = lock(tmp_path, "/usr/bin:/bin", UV=str(tmp_path / "no-uv"))
    assert done.returncode == 1
    assert "no-uv is needed" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "No such file"), ("no key at all\n", "it is no SSH key")],
    ids=["gone", "other"],
)
def test_a_release_without_a_key_is_not_begun(tmp_path, text, words):
    key, out = tmp_path / "key", tmp_path / "release"
    if text:
        key.write_text(text)
    done = subprocess.run(
        [sys.executable, ROOT / "ansible/bundle.py", "--key", key, "--out", out],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert "building" not in done.stderr
    assert list(tmp_path.iterdir()) == ([key] if text else [])
