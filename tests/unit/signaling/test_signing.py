"""The portal's signing keys: what was begun and cut short is told to the cameras all the same."""

import re

import pytest

from agent.errors import ConfigError
from agent.signaling.signing import SigningFolder
from agent.signaling.trust import KeyRing

NOW_S = 1_800_000_000


class Cut(BaseException):
    """In place of a kill."""


@pytest.fixture
def folder(tmp_path):
    return SigningFolder(tmp_path / "keys", clock=lambda: NOW_S)


def cut(*_):
    raise Cut


def again(tmp_path):
    return SigningFolder(tmp_path / "keys", clock=lambda: NOW_S + 10)


def test_a_key_that_was_made_and_not_counted_is_counted_at_the_next_start(folder, tmp_path, monkeypatch):
    before = folder.key_set()
    monkeypatch.setattr(SigningFolder, "_count_up", cut)
    with pytest.raises(Cut):
        folder.rotate()
    monkeypatch.undo()
    after = again(tmp_path).key_set()
    assert len(after.publics) == 2
    assert after.version > before.version, "no camera would take the new key in"


def test_a_key_that_was_retired_and_not_counted_is_counted_at_the_next_start(folder, tmp_path, monkeypatch):
    folder.rotate()
    before = folder.key_set()
    monkeypatch.setattr(SigningFolder, "_count_up", cut)
    with pytest.raises(Cut):
        folder.retire(folder.keys[0].key.kid)
    monkeypatch.undo()
    after = again(tmp_path).key_set()
    assert len(after.publics) == 1
    assert after.version > before.version, "every camera would believe the old key on and on"
    assert sorted(file.suffix for file in (tmp_path / "keys").iterdir()) == ["", ".pem"]


def test_a_first_start_that_was_cut_short_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(SigningFolder, "_count_up", cut)
    with pytest.raises(Cut):
        again(tmp_path)
    monkeypatch.undo()
    assert again(tmp_path).version >= NOW_S


def test_a_version_that_cannot_be_read_is_named_with_its_file(tmp_path):
    again(tmp_path)
    file = tmp_path / "keys" / "signing-version"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(file))}: .*chmod"):
        again(tmp_path)
    file.chmod(0o600)
    file.write_text("one")
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(file))}: must hold a number$"):
        again(tmp_path)


def test_what_is_for_a_camera_out_of_reach_is_signed_by_the_key_that_it_knows(folder):
    known = KeyRing.of(folder.key_set().publics)
    folder.rotate()
    signature = folder.sign_bytes(b"pinhole-sms-1\nwords")
    assert known.verifies_bytes(b"pinhole-sms-1\nwords", signature)
    assert not known.verifies_bytes(b"pinhole-sms-1\nother", signature)
    assert not known.verifies_bytes(b"pinhole-sms-1\nwords", signature[:-1])
