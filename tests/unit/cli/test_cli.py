"""The command line, run as a person runs it."""

import json
import subprocess
import sys

import pytest


def pinhole(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "", "COLUMNS": "100", **options.get("env", {})},
        cwd=options.get("cwd"),
    )


def test_help_names_every_command_and_gives_examples():
    result = pinhole("--help")
    assert result.returncode == 0
    for word in ("run", "portal", "demo", "watch", "doctor", "config", "pinhole run --config pinhole.toml"):
        assert word in result.stdout


def test_help_loads_no_media_library():
    code = (
        "import sys, agent.cli; print([m for m in ('av', 'aiortc', 'aiohttp', 'amqtt') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"


def test_version():
    assert pinhole("--version").stdout == "pinhole 0.1.0\n"


def test_a_good_file_is_good(tmp_path):
    (tmp_path / "p.toml").write_text(pinhole("config", "example").stdout)
    result = pinhole("config", "check", "p.toml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "p.toml: good\n")


@pytest.mark.parametrize("command", [("config", "check"), ("run", "--config"), ("portal", "--config")])
def test_faults_are_one_message_without_a_traceback(tmp_path, command):
    (tmp_path / "p.toml").write_text("[camera]\nsource = 'x'\nfps = 0\n")
    result = pinhole(*command, "p.toml", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("pinhole: p.toml: 2 faults:\n  camera.source")
    assert "Traceback" not in result.stderr


def test_wrong_usage_is_exit_code_2():
    assert pinhole("run").returncode == 2
    assert pinhole("fly").returncode == 2


def test_watch_needs_a_password(tmp_path):
    result = pinhole("watch", "--portal", "http://127.0.0.1:9", env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert result.returncode == 1
    assert "--password-file" in result.stderr


def test_doctor_takes_a_password_with_its_portal_alone(tmp_path):
    result = pinhole("doctor", "--config", "p.toml", "--password-file", "x", cwd=tmp_path)
    assert result.returncode == 2
    assert "--portal" in result.stderr


@pytest.mark.parametrize("name", ["missing.toml", "\x1b[2J.toml"])
def test_doctor_without_settings_says_so_in_its_report(tmp_path, name):
    result = pinhole("doctor", "--config", name, "--json", cwd=tmp_path)
    assert result.returncode == 1
    assert json.loads(result.stdout)["can_serve"] is False
    assert "\x1b" not in pinhole("doctor", "--config", name, cwd=tmp_path).stdout


def test_an_escape_sequence_in_a_file_does_not_reach_the_terminal(tmp_path):
    (tmp_path / "p.toml").write_text('[device]\nid = "\\u001b[2J"\n"a\\u001b[2J" = 1\n')
    result = pinhole("config", "check", "p.toml", cwd=tmp_path)
    assert result.returncode == 1
    assert "\x1b" not in result.stderr
