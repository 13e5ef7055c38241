"""`config check` looks at every file that the settings name, and a folder of another user is told."""

import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import get_args

import pytest

from agent.camera.imx500 import _check_file
from agent.config import Settings, load, read_password, read_secret
from agent.config.file import MAX_SECRET_BYTES
from agent.config.files import CERTIFICATES, CONTENT, MADE, SECRETS, file_faults
from agent.config.settings import Section, section_of
from agent.errors import ConfigError, PinholeError
from agent.model.disk import check_file
from agent.motion.litert import _read_classes
from agent.mqtt.endpoint import make_tls_context
from agent.portal.listener import _tls
from agent.portal.notify.mail import Mail
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
def locked():
    """A folder of somebody else, for who is not root; all above it, unlike pytest's, let him in."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="pinhole-test-") as above:
        Path(above).chmod(0o711)
        folder = Path(above, "state")
        load_or_make_key(folder)
        SigningFolder(folder)
        save_portal_keys(folder, SigningFolder(folder).key_set())
        folder.chmod(0o700 if is_root else 0)
        if is_root:
            os.seteuid(65534)
        yield folder
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)


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


def test_what_stands_in_a_folder_of_another_user_is_a_fault_beside_the_others(locked):
    found = Settings.model_validate(
        {
            "record": {"folder": locked / "recordings"},
            "broker": {"url": "mqtts://127.0.0.1", "ca_file": locked.parent / "none.pem"},
            "device": {"state_dir": locked},
        }
    )
    faults = dict(line.split(" = ") for line in file_faults(found))
    assert set(faults) == {"broker.ca_file", "record.folder"}
    assert "Permission denied: run this as " in faults["record.folder"]


EVERY = (
    ALL.replace(
        "[portal]\n",
        """[portal]
database_url = "postgresql://u@h/n"
database_password_file = "database-password"
public_url = "https://cams.example.org"
audit_file = "audit"
state_dir = "portal"
crl_file = "crl"
cert_file = "portal.pem"
key_file = "portal-key.pem"
metrics_token_file = "token"
""",
    )
    + """
[portal.oidc]
issuer = "https://example.org"
client_id = "x"
client_secret_file = "client-secret"
[portal.mail]
host = "localhost"
sender = "a@example.org"
user = "u"
password_file = "mail-password"
ca_file = "mail-ca.pem"
[portal.upload]
bucket = "bucket"
access_key = "x"
secret_file = "store-secret"
[device]
state_dir = "state"
[record]
folder = "recordings"
"""
)
AT_START = {
    "broker.password_file": lambda found: read_password(found.broker),
    "broker.ca_file": lambda found: make_tls_context(found.broker),
    "portal.cert_file": lambda found: _tls(found.portal),
    "portal.audit_file": lambda found: check_file(found.portal.audit_file),
    "portal.mail.ca_file": lambda found: Mail(found.portal.mail.model_copy(update={"password_file": None})),
    "motion.classes": lambda found: _read_classes(found.motion.classes),
    "motion.network": lambda found: _check_file(found.motion.network),
}
"""Who reads it when the program starts."""


def every_path(section, prefix=""):
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Section):
            yield from every_path(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for index, one in enumerate(value):
                yield from every_path(one, f"{prefix}{key}.{index}.") if isinstance(one, Section) else ()
        elif isinstance(value, Path):
            yield prefix + key, value


@pytest.fixture(params=[os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def endless(request, settings, tmp_path):
    """Settings that name, in place of each file, what never begins or never ends."""
    found = settings(EVERY)
    for _, path in every_path(found):
        request.param(path)
    request.param(tmp_path / "clip.mp4")
    return found


def test_a_file_that_never_ends_is_named_and_not_read(endless):
    faults = dict(line.split(" = ") for line in file_faults(endless))
    assert set(faults) == {key for key, _ in every_path(endless)} | {"camera.source"}
    for fault in faults.values():
        assert "it is a pipe or a device" in fault


@pytest.mark.parametrize("key", AT_START)
def test_a_program_that_starts_does_not_read_one_either(endless, key):
    with pytest.raises((PinholeError, OSError), match="it is a pipe or a device"):
        AT_START[key](endless)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_settings_that_never_end_are_refused(tmp_path, make):
    make(tmp_path / "pinhole.toml")
    with pytest.raises(ConfigError, match="it is a pipe or a device"):
        load(tmp_path / "pinhole.toml")


@pytest.mark.usefixtures("complete")
def test_a_file_that_is_far_too_large_is_named_and_not_read(settings, tmp_path):
    for name in ("password", "ca.pem", "n.tflite"):
        os.truncate(tmp_path / name, 1 << 40)
    assert keys(settings()) == ["broker.password_file", "broker.ca_file", "motion.network"]


@pytest.fixture
def typed(tmp_path):
    """A pipe that says something once, as `<(…)` is one."""
    os.mkfifo(tmp_path / "typed", 0o600)

    def typed(said):
        writer = threading.Thread(target=(tmp_path / "typed").write_text, args=(said,))
        writer.start()
        try:
            return read_secret(tmp_path / "typed", is_typed=True)
        finally:
            writer.join()

    return typed


def test_a_secret_that_somebody_types_may_come_by_a_pipe(typed):
    assert typed("correct horse\n") == "correct horse"
    assert typed("x" * MAX_SECRET_BYTES) == "x" * MAX_SECRET_BYTES


def test_what_is_too_long_is_no_secret_by_a_pipe_either(typed, tmp_path):
    with pytest.raises(ConfigError, match="it is larger than 4 KiB"):
        typed("x" * MAX_SECRET_BYTES + "y")
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "file").write_text("x" * MAX_SECRET_BYTES + "y")
    with pytest.raises(ConfigError, match="it is larger than 4 KiB"):
        read_secret(tmp_path / "file")
