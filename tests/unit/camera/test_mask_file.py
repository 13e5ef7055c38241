"""The masks on disk: what cannot be believed is told, and never taken for none."""

import json
import os
import shutil

import pytest

from agent.camera import mask_file
from agent.camera.mask_file import COUNT_FILE, MASKS_FILE, KeptMasks, Key, MaskFile, MaskFileError, View
from agent.errors import ConfigError
from agent.model import disk
from agent.signaling.trust import SigningKey, make_signing_key

VIEW = View(source="auto", rotate=0, sensor_mode=None, shape="")
POLYGON = "0.1,0.2 0.5,0.2 0.3,0.6"


def device_key() -> Key:
    own = SigningKey(make_signing_key())
    return Key(own.sign_bytes, own.verify_key.verifies_bytes)


@pytest.fixture
def key():
    return device_key()


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def masks(version=1, polygons=(POLYGON,)) -> KeptMasks:
    return KeptMasks(version=version, polygons=polygons, preset=0, view=VIEW, set_at=5.0, set_by="ann")


def test_a_device_that_never_had_any_has_none(folder, key) -> None:
    assert MaskFile(folder, key).load() is None
    assert MaskFile(folder, key).next_version() == 1


def test_what_was_kept_is_loaded_by_the_next_start(folder, key) -> None:
    MaskFile(folder, key).keep(masks(7))
    file = MaskFile(folder, key)
    assert file.load() == masks(7)
    assert file.next_version() == 8
    assert (folder / MASKS_FILE).stat().st_mode & 0o777 == 0o600


SPOILT = {
    "gone": (lambda file: file.unlink(), "is gone, and masks were set here"),
    "empty": (lambda file: file.write_bytes(b""), "is damaged"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-40]), "is damaged"),
    "no JSON object": (lambda file: file.write_bytes(b"[]"), "is damaged"),
    "deep": (lambda file: file.write_bytes(b"[" * 50_000), "is damaged"),
    "zeros": (lambda file: file.write_bytes(bytes(file.stat().st_size)), "is damaged"),
    "too large": (lambda file: file.write_bytes(b" " * 70_000), "larger than 64 KiB"),
    "edited": (
        lambda file: file.write_bytes(file.read_bytes().replace(b"0.1,0.2", b"0.9,0.9")),
        "was not signed by this device",
    ),
    "writable to all": (lambda file: file.chmod(0o666), "other users of this machine can write"),
    "a link": (
        lambda file: (file.rename(file.with_name("x")), file.symlink_to(file.with_name("x"))),
        "a symbolic link",
    ),
    "a folder": (lambda file: (file.unlink(), file.mkdir()), "cannot read it"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_was_spoilt_is_no_word_that_nothing_is_covered(folder, key, how) -> None:
    spoil, words = SPOILT[how]
    MaskFile(folder, key).keep(masks(3))
    spoil(folder / MASKS_FILE)
    file = MaskFile(folder, key)
    with pytest.raises(MaskFileError, match=words):
        file.load()
    assert file.next_version() == 4, "what is set anew counts"


def test_one_flipped_bit_anywhere_is_found(folder, key) -> None:
    MaskFile(folder, key).keep(masks(3))
    for name in (MASKS_FILE, COUNT_FILE):
        file = folder / name
        whole = file.read_bytes()
        for at in range(0, len(whole) - 1, 3):  # not the line's end, which says nothing
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            with pytest.raises(MaskFileError):
                MaskFile(folder, key).load()
        file.write_bytes(whole)
    assert MaskFile(folder, key).load() == masks(3)


def test_an_older_file_that_was_put_back_is_found(folder, key) -> None:
    file = MaskFile(folder, key)
    file.keep(masks(1, ()))
    shutil.copy(folder / MASKS_FILE, folder / "old")
    file.keep(masks(2))
    (folder / "old").replace(folder / MASKS_FILE)
    with pytest.raises(MaskFileError, match="is older than the last masks"):
        MaskFile(folder, key).load()


def test_another_devices_are_not_this_ones(folder, key) -> None:
    MaskFile(folder, device_key()).keep(masks())
    with pytest.raises(MaskFileError, match="was not signed by this device"):
        MaskFile(folder, key).load()


def test_neither_file_passes_for_the_other(folder, key) -> None:
    MaskFile(folder, key).keep(masks())
    shutil.copy(folder / COUNT_FILE, folder / MASKS_FILE)
    with pytest.raises(MaskFileError, match="was not signed by this device"):
        MaskFile(folder, key).load()


def test_of_another_release_is_not_understood_by_halves(folder, key) -> None:
    words = json.loads(masks().model_dump_json()) | {"blurred": ["0,0 1,0 1,1"]}

    class Newer:
        def dump_json(self, _value):
            return json.dumps(words).encode()

    MaskFile(folder, key)._write(folder / MASKS_FILE, Newer(), None)
    with pytest.raises(MaskFileError, match="is of another release"):
        MaskFile(folder, key).load()


class PowerError(Exception):
    """The power fails."""


@pytest.mark.parametrize("before", [None, 4])
def test_a_power_cut_at_any_write_leaves_the_old_or_the_new(folder, key, monkeypatch, before) -> None:
    """Each call that reaches the disk may be the last one."""
    for cut in range(40):
        for file in folder.iterdir():
            file.unlink()
        if before:
            MaskFile(folder, key).keep(masks(before, ()))
        left = [cut]

        def dying(real, left=left):
            def call(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise PowerError
                return real(*args, **kwargs)

            return call

        with monkeypatch.context() as power:
            power.setattr(disk.os, "fsync", dying(os.fsync))
            power.setattr(disk.os, "open", dying(os.open))
            power.setattr(mask_file.Path, "replace", dying(mask_file.Path.replace))
            try:
                MaskFile(folder, key).keep(masks(5))
            except PowerError:
                ended = False
            else:
                ended = True
        found = MaskFile(folder, key).load()
        assert found == masks(5) if ended else found in (before and masks(before, ()), masks(5)), cut
        assert MaskFile(folder, key).load() == found
        if ended:
            break
    else:
        pytest.fail("it never ends")


def test_without_room_nothing_is_changed(folder, key, monkeypatch) -> None:
    MaskFile(folder, key).keep(masks(1))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk_full:
        disk_full.setattr(disk.os, "fsync", full)
        with pytest.raises(ConfigError, match="No space left"):
            MaskFile(folder, key).keep(masks(2))
    assert MaskFile(folder, key).load() == masks(1)
