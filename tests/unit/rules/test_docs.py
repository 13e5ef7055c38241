"""The commands in the documentation are commands that there are."""

import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from agent.config import Settings

ROOT = Path(__file__).parents[3]
SYSTEM = ("chown", "echo", "rpi-image-gen", "systemctl", ".venv/bin/ruff")
"""What the documentation may take for granted."""
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Lines of the `sh` blocks in every README, without comments."""
    folders = (".", "agent", "agent/portal", "firmware-config", "tests", "tests/hil")
    readmes = [file for folder in folders if (file := ROOT / folder / "README.md").exists()]
    readmes.append(ROOT / "agent/portal/BROKER.md")
    lines = [
        line
        for readme in readmes
        for block in BLOCK.findall(readme.read_text())
        for line in block.splitlines()
    ]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def test_there_are_some():
    assert any(line.startswith("pinhole ") for line in commands())


@pytest.mark.parametrize("line", commands())
def test_a_command_in_the_docs_exists(line):
    words = shlex.split(line, comments=True)
    if words[0] == "sudo":
        words = words[1:]
    program = words[0]
    if program.startswith("scripts/"):
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} is not executable"
    elif program == "pinhole":
        known_by_help(words[1:])
    else:
        assert program in SYSTEM, line


@pytest.mark.parametrize("text", TOML.findall((ROOT / "README.md").read_text()))
def test_settings_in_the_docs_are_settings(text):
    Settings.model_validate(tomllib.loads(text))


def known_by_help(words: list[str]) -> None:
    """The command exists, and its help knows every option that the line uses."""
    depth = {"config": 2, "portal": 3}.get(words[0], 1)  # how many words name a command of a group
    command = list(takewhile(re.compile("[a-z-]+").fullmatch, words[:depth]))
    command = [word for word in command if not word.startswith("-")]
    known = help_of(*command)
    for option in words:
        if option.startswith("--"):
            assert option.partition("=")[0] in known


@cache
def help_of(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "agent", *command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "", "COLUMNS": "200"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
