"""`pinhole verify`: what it says, and that nobody's own key is taken for the camera's."""

import json

import pytest
from parts.recordings import OFFSET_US, START_US, RecordingsFolder, pictures
from typer.testing import CliRunner

from agent.cli import app, evidence
from agent.model.evidence import TOPIC, encode_box, encode_manifest
from agent.model.keys import encode_public
from agent.record.export import About, Exporter
from agent.signaling.trust import SigningKey, make_signing_key

BEGAN_S = (START_US + OFFSET_US) / 1e6
KEY, THIEF = SigningKey(make_signing_key()), SigningKey(make_signing_key())


@pytest.fixture(autouse=True)
def _no_demo(monkeypatch):
    monkeypatch.setattr(evidence, "wants_portal", lambda portal, user: bool(portal or user))


@pytest.fixture
def made(tmp_path):
    desk = RecordingsFolder(tmp_path / "recordings")
    desk.record(pictures(4))
    about = About("front", "Front door", "1.2.3", encode_public(KEY.public))
    exporter = Exporter(desk.index, about, lambda words: KEY.seal(TOPIC, words), 0)
    yield exporter.make("main", BEGAN_S, BEGAN_S + 4)
    desk.index.close()


def run(*words):
    return CliRunner().invoke(app, ["verify", *map(str, words)])


def test_by_the_cameras_key_all_is_proven(made, tmp_path):
    for key in (encode_public(KEY.public), tmp_path / "key"):
        (tmp_path / "key").write_text(f"{encode_public(KEY.public)}\n")
        result = run(made.file, "--key", key)
        assert result.exit_code == 0, result.output
        assert "not changed since its camera signed it" in result.output
        assert "front (Front door), software 1.2.3" in result.output
        assert "40 pictures" in result.output


def test_without_a_key_a_whole_file_is_called_whole_and_no_more(made):
    result = run(made.file)
    assert result.exit_code == 3
    assert "whose key that is, --portal or --key can tell" in result.output


def test_a_changed_file_is_told_and_leaves_no_doubt(made, tmp_path):
    data = bytearray(made.file.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed.mp4").write_bytes(data)
    result = run(tmp_path / "changed.mp4", "--key", encode_public(KEY.public))
    assert result.exit_code == 1
    assert "at least one was changed" in result.output
    said = json.loads(run(tmp_path / "changed.mp4", "--json").output)
    assert (said["intact"], said["manifest"]) == (False, None)


def test_who_signs_anew_with_a_key_of_their_own_is_found_out(made, tmp_path):
    body = made.file.read_bytes()[: made.manifest.size_bytes]
    forged = encode_box(THIEF.seal(TOPIC, encode_manifest(made.manifest)))
    (tmp_path / "forged.mp4").write_bytes(body + forged)
    result = run(tmp_path / "forged.mp4", "--key", encode_public(KEY.public))
    assert result.exit_code == 1
    assert "another device's" in result.output


def test_json_has_all_of_it(made):
    said = json.loads(run(made.file, "--key", encode_public(KEY.public), "--json").output)
    assert (said["intact"], said["key_is_trusted"]) == (True, True)
    assert said["manifest"]["device"] == "front"
    assert said["manifest"]["parts"][0]["pictures"] == 40


def test_a_key_that_is_none_and_a_file_that_is_not_there_are_told(made, tmp_path):
    result = run(made.file, "--key", tmp_path / "nothing")
    assert isinstance(result.exception, Exception)
    assert "43 characters" in str(result.exception)
    assert run(tmp_path / "nothing.mp4").exit_code == 1
