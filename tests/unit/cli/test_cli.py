"""The command line, run as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import cli
from agent.model.command import COMMANDS
from agent.model.program import command

ROOT = Path(__file__).parents[3]


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


def test_the_help_of_do_lists_the_commands_of_the_table():
    lines = pinhole("do", "--help").stdout.splitlines()
    for kind in COMMANDS.values():
        listed = [line for line in lines if line.split()[:1] == [kind.name]]
        assert [kind.permission in line for line in listed] == [True] * ("broker" in kind.ways)
    assert any("identify seconds=…" in line for line in lines)


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


def test_a_file_that_is_not_there_is_not_good(tmp_path):
    (tmp_path / "p.toml").write_text('[broker]\nusername = "u"\npassword_file = "nosuch"\n')
    result = pinhole("config", "check", "p.toml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"broker.password_file = {tmp_path}/nosuch: cannot read the secret" in result.stderr


def test_a_device_that_is_not_enrolled_cannot_serve(tmp_path):
    (tmp_path / "p.toml").write_text('[device]\nstate_dir = "state"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n')
    result = pinhole("doctor", "--config", "p.toml", "--no-camera", "--json", cwd=tmp_path)
    assert result.returncode == 1
    [found] = [one for one in json.loads(result.stdout)["findings"] if one["check"] == "identity"]
    assert found["verdict"] == "fault"
    assert "not enrolled" in found["message"]


@pytest.mark.parametrize("portal", ["https://[bad", "http://h:99999", "ftp://x", "nohost", "https://"])
@pytest.mark.parametrize("command", ["watch", "fleet", "enroll"])
def test_an_address_that_is_none_is_told_in_words(tmp_path, monkeypatch, capsys, command, portal):
    """In this process: fifteen of their own take a quarter of a minute."""
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("x")
    (tmp_path / "p.toml").touch()
    who = (
        ("--code", "X", "-c", "p.toml")
        if command == "enroll"
        else ("--user", "x", "--password-file", "password")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pinhole", command, "--portal", portal, *who])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith(f"pinhole: {portal}: ")


def test_an_error_of_the_system_names_its_file_without_a_traceback(monkeypatch, capsys):
    def app():
        raise PermissionError(13, "Permission denied", "/var/lib/x")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "pinhole: /var/lib/x: Permission denied\n"


def test_who_has_seen_enough_sees_no_traceback():
    line = f"{sys.executable} -m agent config example | head -n 1"
    result = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("typed", "completed"), [("pinhole po", ["portal"]), ("pinhole portal user res", ["reset-link"])]
)
def test_the_shell_completes_commands(typed, completed):
    env = os.environ | {
        "_PINHOLE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    program = "import sys; sys.argv[0] = 'pinhole'; from agent.cli import main; main()"  # as its script does
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.stdout.split() == completed


@pytest.mark.parametrize("is_active", [True, False])
def test_what_is_printed_to_be_typed_is_found(tmp_path, monkeypatch, is_active):
    own = tmp_path / "env" / "bin"
    own.mkdir(parents=True)
    (own / "pinhole").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", str(own) if is_active else "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert command() == ("pinhole" if is_active else "env/bin/pinhole")


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


def test_what_was_typed_is_repeated_letter_by_letter():
    """To rich, `:x:` is the name of a picture."""
    assert "--camera picamera:x: " in pinhole("demo", "--camera", "picamera:x").stderr
