"""Which disks may be overwritten, by what lsblk says of them."""

import pytest
from flash.errors import FlashError
from flash.target import choose, judge


def disk(**changes):
    return {
        "name": "/dev/sda", "type": "disk", "size": 32_000_000_000, "ro": False, "rm": True, "hotplug": True,
        "model": "SD Reader ", "tran": "usb", "mountpoints": [None],
    } | changes  # fmt: skip


def test_an_unused_card_is_taken():
    target = judge("/dev/sda", [disk()])
    assert target.is_card
    assert target.words == "SD Reader, 32.0 GB, at /dev/sda"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mountpoints": ["/media/card"]}, "is in use"),
        ({"children": [{"name": "/dev/sda1", "mountpoints": ["/boot"]}]}, "is in use"),
        ({"children": [{"name": "/dev/sda1", "mountpoints": ["[SWAP]"]}]}, "is in use"),
        (
            {"children": [{"name": "/dev/sda1", "mountpoints": [None],
                           "children": [{"name": "/dev/mapper/root", "mountpoints": ["/"]}]}]},
            "is in use",
        ),
        ({"ro": True}, "write-protected"),
        ({"type": "loop"}, "no card"),
        ({"rm": False, "hotplug": False, "tran": "nvme"}, "cannot be taken out"),
        ({"size": 0}, "no card in it"),
        ({"size": 4 * 1024**4}, "too large"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(changes, words):
    with pytest.raises(FlashError, match=words):
        judge("/dev/sda", [disk(**changes)])


def test_a_partition_is_refused():
    with pytest.raises(FlashError, match="part of /dev/sda: give the whole card"):
        judge("/dev/sda1", [disk(children=[{"name": "/dev/sda1", "mountpoints": [None]}])])


def test_a_card_that_is_not_there():
    with pytest.raises(FlashError, match="is the card in its reader"):
        choose(__import__("pathlib").Path("/dev/no-such-card"))


def test_neither_file_nor_card(tmp_path):
    with pytest.raises(FlashError, match="neither"):
        choose(tmp_path)
