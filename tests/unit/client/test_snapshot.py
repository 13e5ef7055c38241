"""`pinhole snapshot`: a file with a name that says whose picture it is, and clear words."""

import base64

import pytest

from agent.client.commands import Told
from agent.client.stills import file_name, has_picture, save
from agent.errors import PinholeError

JPEG = b"\xff\xd8\xff" + bytes(1500)
TEXT = base64.b64encode(JPEG).decode()
VALUE = {"jpeg": TEXT, "taken_at": 1_800_000_000.5, "width_px": 640, "height_px": 360}


def told(**changes):
    return Told("c", ok=True, code="done", value=VALUE | changes)


def test_it_is_saved_and_said_what_it_is(tmp_path):
    words = save(told(), tmp_path / "door.jpg")
    assert (tmp_path / "door.jpg").read_bytes() == JPEG
    assert words.startswith(f"{tmp_path}/door.jpg: 2 kB, 640x360, taken 2027-01-")


def test_without_a_name_it_is_named_by_camera_and_time():
    assert str(file_name("front-door", told())).startswith("front-door-2027011")
    assert file_name("front-door", told(taken_at="x")).suffix == ".jpg"
    assert file_name("front-door", told(taken_at=1e300)).suffix == ".jpg"


@pytest.mark.parametrize("jpeg", ["%%", 7, None])
def test_an_answer_without_a_picture_is_told(tmp_path, jpeg):
    with pytest.raises(PinholeError, match="no picture"):
        save(told(jpeg=jpeg), tmp_path / "door.jpg")
    assert not (tmp_path / "door.jpg").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(PinholeError, match=r"nowhere/door\.jpg: No such file or directory"):
        save(told(), tmp_path / "nowhere" / "door.jpg")


def test_what_holds_a_picture():
    assert has_picture(told())
    assert not has_picture(Told("c", ok=True, code="done", value={"seconds": 5}))
    assert not has_picture(Told("c", ok=False, code="failed"))
