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
