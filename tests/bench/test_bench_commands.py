"""The scripts that measure, as somebody meets them who has just cloned the project."""

import shutil
import subprocess

import pytest
from parts.stack import ROOT

ENV = """#!/bin/sh
mkdir -p .venv/bin
printf '#!/bin/sh\\necho "after scripts/env %s: $*"\\n' "$1" >.venv/bin/python
chmod 755 .venv/bin/python
"""


@pytest.mark.parametrize(("script", "words"), [("bench", ["start"]), ("netlab", ["matrix"])])
def test_the_environment_is_made_with_what_tests_need(tmp_path, script, words):
    folder = tmp_path / "scripts"
    folder.mkdir()
    shutil.copy(ROOT / "scripts" / script, folder)
    (folder / "env").write_text(ENV)
    (folder / "env").chmod(0o755)
    done = subprocess.run([folder / script, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("after scripts/env test: ")


def test_every_bench_is_told_of():
    done = subprocess.run([ROOT / "scripts/bench", "--help"], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()[1:]]
    files = [file for file in (ROOT / "tests/bench").glob("*.py") if not file.name.startswith("test_")]
    benches = [file.stem for file in files if 'prog="scripts/bench ' in file.read_text()]
    assert {name for name, _ in lines} == {name.replace("_", "-") for name in benches}
    readme = (ROOT / "tests/README.md").read_text()
    for name, what in lines:
        assert what.endswith(".")
        assert f"scripts/bench {name} " in readme


def test_no_bench_is_an_error_that_lists_them():
    done = subprocess.run([ROOT / "scripts/bench"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "first-frame" in done.stderr
