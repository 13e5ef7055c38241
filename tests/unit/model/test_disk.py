"""What stands on the disk: whole, ours, and without leftovers."""

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from agent.config import Settings, load, read_secret
from agent.errors import ConfigError, PinholeError, PortalError
from agent.model import disk
from agent.portal.accounts.audit import Audit
from agent.portal.authority import Authority
from agent.portal.store import Store, StoreError
from agent.signaling.enrolment import broker_settings
from agent.signaling.identity import (
    KEY_FILE,
    PORTAL_KEYS_FILE,
    load_identity,
    load_or_make_key,
    save_portal_keys,
)
from agent.signaling.signing import SigningFolder

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def part(folder, of="key.pem"):
    file = folder / f".{of}.{'0' * 16}.pinhole-part"
    file.write_bytes(b"half a key")
    return file


# --- writing


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_has_its_mode_from_the_beginning_and_nothing_is_left(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(modes(tmp_path)))
    seen = []
    before = os.umask(0)
    try:
        disk.write_whole(tmp_path / "key.pem", b"x", mode)
    finally:
        os.umask(before)
    assert set(seen) == {mode}
    assert (names(tmp_path), (tmp_path / "key.pem").read_bytes()) == (["key.pem"], b"x")


def modes(folder):
    return [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()]


@as_root
def test_a_lock_that_cannot_be_given_away_stays_open_for_nobody(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")  # root without CAP_CHOWN

    monkeypatch.setattr(os, "fchown", refuse)
    before = names(Path("/proc/self/fd"))
    with pytest.raises(PermissionError):
        disk.open_lock(tmp_path / ".lock")
    assert names(Path("/proc/self/fd")) == before


def test_content_then_name_then_folder_are_on_the_disk_in_this_order(tmp_path, monkeypatch):
    order = []

    def fsync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        order.append(("folder" if is_folder else "content", (tmp_path / "key.pem").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    disk.write_whole(tmp_path / "key.pem", b"x")
    assert order == [("content", False), ("folder", True)]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    disk.write_whole(tmp_path / "key.pem", b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot write it: No space left"):
        disk.write_private(tmp_path / "key.pem", b"new")
    assert (names(tmp_path), (tmp_path / "key.pem").read_bytes()) == (["key.pem"], b"old")


def test_what_the_dead_left_goes_and_what_is_others_or_being_written_stays(tmp_path):
    living = part(tmp_path, "alive.pem")
    for name in (".ca-key.pem.4711", ".device-key.pem-ab12_x9z", "data-usage.part", ".someone-elses.part"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".ca.pem.99").touch()  # by a release that does not lock: it may be at it
    part(tmp_path)
    with living.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        disk.tidy(tmp_path)
    assert names(tmp_path) == sorted([living.name, ".ca.pem.99", ".someone-elses.part"])
    disk.tidy(tmp_path)
    assert living.name not in names(tmp_path), "its writer is dead by now"


def test_who_is_tidied_away_at_its_first_breath_writes_again(tmp_path, monkeypatch):
    """Two start at once: one is between making its file and locking it when the other tidies."""
    real, times = fcntl.flock, []

    def flock(descriptor, how):
        times.append(1)
        if len(times) == 1:
            disk.tidy(tmp_path)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    disk.write_whole(tmp_path / "key.pem", b"x")
    assert (names(tmp_path), (tmp_path / "key.pem").read_bytes()) == (["key.pem"], b"x")


# --- what is read


@pytest.fixture
def device(tmp_path):
    folder = tmp_path / "device"
    load_or_make_key(folder)
    save_portal_keys(folder, SigningFolder(tmp_path / "portal").key_set())
    return folder


@pytest.fixture
def portal(tmp_path):
    folder = tmp_path / "portal"
    SigningFolder(folder)
    Authority(folder)
    return folder


def start_portal(folder):
    SigningFolder(folder)
    Authority(folder)


def make_link(file):
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


FAULTS = {
    "chmod go-w": lambda file: file.chmod(0o622),
    "sudo chown": lambda file: os.chown(file, NOBODY, NOBODY),
    "cp --remove-destination": make_link,
}


@as_root
@pytest.mark.parametrize("mend", FAULTS)
@pytest.mark.parametrize("name", ["ca-key.pem", "ca.pem", "signing-*.pem", "signing-version"])
def test_a_portal_does_not_start_on_what_others_could_have_put_there(portal, name, mend):
    (file,) = portal.glob(name)
    FAULTS[mend](file)
    with pytest.raises(PinholeError) as caught:
        start_portal(portal)
    assert f"{file}: " in str(caught.value)
    assert mend in str(caught.value)
    assert str(file) in str(caught.value).partition(mend)[2], "the command names the file"


@as_root
@pytest.mark.parametrize("mend", FAULTS)
@pytest.mark.parametrize("name", [KEY_FILE, PORTAL_KEYS_FILE])
def test_nor_does_an_agent(device, name, mend):
    FAULTS[mend](device / name)
    for read in (load_identity, disk.check_folder):
        with pytest.raises(ConfigError, match=mend):
            read(device)


@as_root
def test_an_agent_looks_at_every_file_of_its_folder(device):
    (device / "broker-ca.pem").touch(mode=0o644)
    (device / "enrolment.json").write_text("https://portal\n{}")
    disk.make_private_folder(device)
    for name in ("broker-ca.pem", "enrolment.json"):
        os.chown(device / name, NOBODY, NOBODY)
    with pytest.raises(
        ConfigError, match=r"(?s)broker-ca\.pem: it belongs to.*enrolment\.json: it belongs to"
    ):
        disk.make_private_folder(device)
    settings = Settings.model_validate({"device": {"state_dir": device}})
    with pytest.raises(ConfigError, match="sudo chown"):
        broker_settings(settings)


def test_an_open_folder_of_our_own_is_closed_and_that_is_said_once(portal, caplog):
    portal.chmod(0o777)
    start_portal(portal)
    assert stat.S_IMODE(portal.stat().st_mode) == 0o755
    assert [record.getMessage() for record in caplog.records] == [
        f"{portal}: other users of this machine could write to it: they no longer can"
    ]


def test_a_folder_for_everybody_is_refused_and_left_as_it_is(tmp_path):
    tmp_path.chmod(0o1777)
    for start in (disk.check_folder, lambda folder: Store.open(f"sqlite:///{folder}/portal.db")):
        with pytest.raises(PinholeError, match=f"{tmp_path}: .* a folder for everybody"):
            start(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


@as_root
def test_a_folder_of_somebody_else_is_refused(portal, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    os.chown(portal, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=rf"{portal}: it belongs to nobody, .* sudo chown"):
        start_portal(portal)


def test_the_group_that_is_the_owners_own_is_not_others(tmp_path):
    (tmp_path / "pinhole.toml").touch()
    (tmp_path / "pinhole.toml").chmod(0o664)
    status = (tmp_path / "pinhole.toml").stat()
    assert disk.unsafe(tmp_path, status) == ""


@pytest.mark.parametrize("read", [load, read_secret])
def test_settings_and_secrets_that_others_can_write_are_refused(tmp_path, read):
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o602)
    with pytest.raises(ConfigError, match=f"{file}: other users .* chmod go-w {file}"):
        read(file)


# --- the store and the audit log


@pytest.mark.parametrize("suffix", ["", "-journal"])
def test_a_database_that_others_can_write_is_not_opened(tmp_path, suffix):
    url = f"sqlite:///{tmp_path}/portal.db"
    Store.open(url).close()
    file = tmp_path / f"portal.db{suffix}"
    file.touch()
    file.chmod(0o606)
    with pytest.raises(StoreError, match=f"chmod go-w {file}"):
        Store.open(url)
    file.chmod(0o600)
    tmp_path.chmod(0o777)
    with pytest.raises(StoreError, match=f"chmod go-w {tmp_path}"):
        Store.open(url)


def test_one_that_others_could_read_is_closed_to_them(tmp_path, caplog):
    url = f"sqlite:///{tmp_path}/portal.db"
    Store.open(url).close()
    (tmp_path / "portal.db").chmod(0o644)
    Store.open(url).close()
    assert stat.S_IMODE((tmp_path / "portal.db").stat().st_mode) == 0o640
    assert "every user of this machine could read it" in caplog.text


def test_an_audit_log_that_others_can_write_is_not_gone_on_with(tmp_path):
    file = tmp_path / "audit.jsonl"
    file.touch()
    file.chmod(0o606)
    with pytest.raises((ConfigError, PortalError), match=f"chmod go-w {file}"):
        Audit(None, file)
