"""`config check` looks at every file that the settings name, and a folder of another user is told."""

import os
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from agent.config import Settings, load
from agent.config.files import CERTIFICATES, CONTENT, MADE, SECRETS, file_faults
from agent.config.settings import section_of
from agent.errors import ConfigError
from agent.signaling.enrolment import broker_settings
from agent.signaling.identity import load_identity, load_or_make_key, save_portal_keys
from agent.signaling.signing import SigningFolder

ALL = """
[broker]
url = "mqtts://127.0.0.1"
username = "u"
password_file = "password"
ca_file = "ca.pem"
cert_file = "cert.pem"
key_file = "key.pem"
[camera]
source = "replay:clip.mp4"
[portal]
[[portal.ice_servers]]
urls = ["turn:127.0.0.1"]
username = "u"
credential_file = "credential"
[portal.turn]
urls = ["turn:127.0.0.1"]
secret_file = "secret"
[motion]
network = "n.tflite"
classes = "classes.txt"
"""


@pytest.fixture
def settings(tmp_path):
    def settings(text=ALL) -> Settings:
        (tmp_path / "pinhole.toml").write_text(text)
        return load(tmp_path / "pinhole.toml")

    return settings


@pytest.fixture
def complete(tmp_path):
    """Every file that ALL names."""
    for name in ("password", "credential", "secret"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("x")
    (tmp_path / "clip.mp4").touch()
    for name in ("n.tflite", "classes.txt"):
        (tmp_path / name).write_text("x")
    make_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    (tmp_path / "ca.pem").write_bytes((tmp_path / "cert.pem").read_bytes())


def make_certificate(cert, key):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x", "-days", "2",
         "-out", cert, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip


def keys(settings):
    return [line.split(" = ")[0] for line in file_faults(settings)]


def test_what_is_not_there_is_named_at_once(settings):
    assert keys(settings()) == [
        "broker.password_file", "broker.ca_file", "broker.cert_file", "broker.key_file", "camera.source",
        "portal.ice_servers.0.credential_file", "portal.turn.secret_file",
        "motion.network", "motion.classes",
    ]  # fmt: skip
    assert keys(settings("")) == []


@pytest.mark.usefixtures("complete")
def test_what_is_there_is_good_and_its_content_is_looked_at(settings, tmp_path):
    assert file_faults(settings()) == []
    (tmp_path / "password").write_text("two\nlines\n")
    (tmp_path / "ca.pem").write_text("nothing")
    make_certificate(tmp_path / "other.pem", tmp_path / "key.pem")
    assert keys(settings()) == ["broker.password_file", "broker.ca_file", "broker.cert_file"]


def test_a_token_that_can_be_guessed_is_named_before_the_portal_starts(settings, tmp_path):
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("short")
    [fault] = file_faults(settings('[portal]\nmetrics_token_file = "token"\n'))
    assert fault.startswith("portal.metrics_token_file = ")
    assert "22 characters at least" in fault
    assert "short" not in fault


@pytest.mark.usefixtures("complete")
def test_a_network_that_cannot_be_one_is_named(settings, tmp_path):
    (tmp_path / "n.tflite").write_bytes(b"")
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "classes.txt").mkdir()
    assert file_faults(settings()) == [
        f"motion.network = {tmp_path}/n.tflite: is empty",
        f"motion.classes = {tmp_path}/classes.txt: cannot read it: Is a directory",
    ]


def test_every_path_among_the_settings_is_one_or_the_other():
    def is_path(annotation):
        return annotation is Path or any(is_path(inner) for inner in get_args(annotation))

    def paths(section):
        for name, field in section.model_fields.items():
            inner = section_of(field.annotation)
            if inner:
                yield from paths(inner)
            elif is_path(field.annotation):
                yield name

    assert set(paths(Settings)) == SECRETS | CERTIFICATES | CONTENT | MADE


@pytest.fixture
def locked(tmp_path):
    """A folder of somebody else, for who is not root."""
    folder = tmp_path / "state"
    load_or_make_key(folder)
    SigningFolder(folder)
    save_portal_keys(folder, SigningFolder(folder).key_set())
    for above in tmp_path.parents:
        above.stat()
    is_root = os.geteuid() == 0
    modes = [(path, path.stat().st_mode) for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent)]
    for path, mode in modes:
        path.chmod(mode | 0o011)
    folder.chmod(0o700 if is_root else 0)
    if is_root:
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o700)
    for path, mode in modes:
        path.chmod(mode)


@pytest.mark.parametrize(
    "read",
    [
        load_identity,
        load_or_make_key,
        SigningFolder,
        lambda folder: broker_settings(Settings.model_validate({"device": {"state_dir": folder}})),
    ],
)
def test_a_state_folder_of_another_user_says_who_may(locked, read):
    with pytest.raises(ConfigError, match=r"Permission denied: run this as \w+") as caught:
        read(locked)
    assert str(locked) in str(caught.value)
