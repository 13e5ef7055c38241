"""What our own plugins of Ansible send, and what they write."""

import grp
import importlib.util
import json
import os
import pwd
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

PLUGINS = Path(__file__).parents[3] / "ansible" / "plugins"


def load(file):
    spec = importlib.util.spec_from_file_location(f"plugin_{file.replace('/', '_')[:-3]}", PLUGINS / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


send, tree, files = (
    load(file) for file in ("action/pinhole_send.py", "action/pinhole_files.py", "modules/pinhole_files.py")
)
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def run(monkeypatch):
    """The module, as Ansible calls it; what it answers."""

    class Module:
        def __init__(self, argument_spec, supports_check_mode):
            assert supports_check_mode
            assert set(argument_spec) == {"files"}
            self.params, self.check_mode, self._diff = {"files": Module.given}, Module.check, Module.check

        def exit_json(self, **answer):
            Module.answer = answer

        def fail_json(self, msg):
            pytest.fail(msg)

    monkeypatch.setattr(files, "AnsibleModule", Module)

    def run(*entries, check=False):
        defaults = {"content": None, "mode": None} | ME
        Module.given, Module.check = [defaults | entry for entry in entries], check
        files.main()
        return Module.answer

    return run


def test_parcels_are_small_and_nothing_is_left_out():
    sizes = {"huge": 30_000_000, "a": 3_000_000, "b": 1_000_000, "c": 500_000, "tiny": 1}
    assert list(send.parcels(sizes)) == [["tiny", "c", "b"], ["a"], ["huge"]]
    assert list(send.parcels({})) == []


@pytest.mark.parametrize(
    ("rc", "stderr", "words"),
    [
        (2, "usage: pinhole-release", "run site.yml for this machine once"),
        (1, "pinhole-release: bad signature", "^pinhole-release: bad signature$"),
        (127, "", "ended with 127"),
    ],
)
def test_a_machine_that_takes_nothing_says_why(rc, stderr, words):
    action = object.__new__(send.ActionModule)
    action._low_level_execute_command = lambda *_, **__: {"rc": rc, "stdout": "", "stderr": stderr}
    with pytest.raises(AnsibleActionFail, match=words):
        action._send([])


def test_a_tree_is_files_by_their_places(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/x").write_text("#!/bin/sh\n")
    (tmp_path / "usr/bin/x").chmod(0o700)
    (tmp_path / "y").write_text("ä")
    assert tree.in_tree(tmp_path) == [
        {"path": "/usr/bin/x", "content": "#!/bin/sh\n", "mode": "0755"},
        {"path": "/y", "content": "ä", "mode": "0644"},
    ]


def test_files_are_written_once(run, tmp_path):
    file, folder = tmp_path / "new/secret", tmp_path / "folder"
    entries = (
        {"path": str(file), "content": "ä\r\n", "mode": "0600"},
        {"path": str(folder), "mode": "0700"},
    )
    checked = run(*entries, check=True)
    assert checked["changed"]
    assert "ä" in checked.pop("diff")[0]["after"]
    assert list(tmp_path.iterdir()) == []
    assert run(*entries) == checked
    assert file.read_bytes() == "ä\r\n".encode()
    assert [path.stat().st_mode & 0o777 for path in (file, folder)] == [0o600, 0o700]
    assert not run(*entries)["changed"]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("spoil", ["content", "mode", "link", "binary"])
def test_what_is_not_as_it_should_be_is_replaced(run, tmp_path, spoil):
    file, other = tmp_path / "file", tmp_path / "other"
    entry = {"path": str(file), "content": "good\n"}
    run(entry)
    match spoil:
        case "content":
            file.write_text("bad\n")
        case "mode":
            file.chmod(0o666)
        case "link":
            file.rename(other)
            file.symlink_to(other)
        case "binary":
            file.write_bytes(b"\xff\xfe")
    answer = run(entry)
    assert answer["paths"] == [str(file)]
    json.dumps(answer)
    assert file.read_text() == "good\n"
    assert file.stat().st_mode & 0o777 == 0o644
    assert not file.is_symlink()


def test_what_a_killed_run_left_goes_and_what_another_writes_stays(run, tmp_path):
    left, at_work = (tmp_path / f".secret.{'x' * 7}{n}.pinhole-part" for n in "12")
    for part in (left, at_work):
        part.write_text("half a secret")
    os.utime(left, (0, 0))
    run({"path": str(tmp_path / "secret"), "content": "s", "mode": "0600"})
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "secret", at_work])


def test_a_folder_may_be_on_another_disk(run, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    assert not run({"path": str(tmp_path / "folder")})["changed"]
