"""`pinhole-release` is one file on a machine, whatever it is made of here."""

import ast
import re
import subprocess
import sys

import pytest
from parts.release_tool import load, text

from release import joined

tool = load("pinhole_release_joined")


def test_it_runs_by_itself_with_nothing_but_python(tmp_path):
    file = tmp_path / "pinhole-release"
    file.write_text(text())
    done = subprocess.run(
        [sys.executable, "-I", "-S", file, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    asked = {"receive", "install", "activate", "confirm", "refuse", "rollback", "status", "boot-check"}
    assert asked <= set(re.findall(r"^    ([a-z-]+)", done.stdout, re.MULTILINE)), "by units and roles"


def test_what_is_on_a_machine_says_which_edition_it_is():
    """Older ones look for the line before they let a release replace them."""
    assert tool.edition(text().encode()) == tool.EDITION
    assert re.search(r"^EDITION = 2$", text(), re.MULTILINE), "those in the field are of this one"


def test_every_module_is_in_it_once_and_in_order():
    defined = [
        node.name for node in ast.parse(text()).body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    assert len(defined) == len(set(defined))
    modules = {file.stem for file in joined.HERE.glob("*.py")} - {"__init__", "joined"}
    assert modules == set(re.findall(r"^# --- (\w+): ", text(), re.MULTILINE))


def test_two_modules_with_a_name_in_common_are_no_program(tmp_path, monkeypatch):
    (tmp_path / "__init__.py").write_text('"""Two."""\n')
    (tmp_path / "one.py").write_text('"""One."""\n\nimport os\n\n\ndef act():\n    os.sync()\n')
    (tmp_path / "command.py").write_text(
        '"""Two."""\n\nfrom release.one import other\n\n\ndef act():\n    other()\n'
    )
    monkeypatch.setattr(joined, "HERE", tmp_path)
    with pytest.raises(ValueError, match="act is in one and in command"):
        joined.join()


def test_another_name_for_what_is_imported_would_be_lost(tmp_path, monkeypatch):
    (tmp_path / "__init__.py").write_text('"""One."""\n')
    (tmp_path / "command.py").write_text('"""One."""\n\nimport os as system\n')
    monkeypatch.setattr(joined, "HERE", tmp_path)
    with pytest.raises(ValueError, match="import os as system"):
        joined.join()
