"""Pictures of events: there when asked for, few, and no trouble where the disk is."""

import asyncio
import base64
import os

import pytest

from agent.errors import CameraError
from agent.model.still import Still
from agent.record import thumbnails as thumbnails_module
from agent.record.thumbnails import MAX_WAITING, Thumbnails


class Camera:
    def __init__(self):
        self.taken, self.fault, self.gate = 0, None, asyncio.Event()
        self.gate.set()

    async def take(self):
        await self.gate.wait()
        if self.fault:
            raise self.fault
        self.taken += 1
        return Still(b"\xff\xd8" + bytes([self.taken]) * 10, 1_800_000_000.0 + self.taken, 320, 180)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def camera():
    return Camera()


@pytest.fixture
def thumbnails(tmp_path, camera):
    return Thumbnails(tmp_path / "thumbnails", camera.take)


async def test_an_event_keeps_its_picture_over_a_restart(thumbnails, camera, tmp_path):
    thumbnails.begin("b1-1")
    await thumbnails.find("b1-1")
    for each in (thumbnails, Thumbnails(tmp_path / "thumbnails", camera.take)):
        found = await each.find("b1-1")
        assert base64.b64decode(found.jpeg).startswith(b"\xff\xd8\1")
        assert found.taken_at == 1_800_000_001.0


async def test_who_asks_while_it_is_taken_waits_for_it(thumbnails, camera):
    camera.gate.clear()
    thumbnails.begin("b1-1")
    thumbnails.begin("b1-1")
    asking = asyncio.create_task(thumbnails.find("b1-1"))
    await asyncio.sleep(0)
    camera.gate.set()
    assert await asking
    assert camera.taken == 1


@pytest.mark.parametrize("event", ["b1-2", "../device-key", "", "a/b"])
async def test_of_what_is_no_event_of_ours_there_is_none(thumbnails, event):
    thumbnails.begin("b1-1")
    assert await thumbnails.find(event) is None


async def test_the_oldest_goes_where_there_are_too_many(thumbnails, monkeypatch, tmp_path):
    monkeypatch.setattr(thumbnails_module, "MAX_COUNT", 3)
    for number in range(5):
        thumbnails.begin(f"e{number}")
        await thumbnails.find(f"e{number}")
    assert names(tmp_path / "thumbnails") == ["e2.jpg", "e3.jpg", "e4.jpg"]
    assert await thumbnails.find("e1") is None


async def test_a_start_keeps_the_bound_too_and_leaves_what_is_not_ours(camera, monkeypatch, tmp_path):
    folder = tmp_path / "thumbnails"
    folder.mkdir(mode=0o700)
    for number in range(5):
        file = folder / f"e{number}.jpg"
        file.write_bytes(b"x" * 100)
        os.utime(file, (number, number))
    (folder / "notes.txt").write_text("mine")
    monkeypatch.setattr(thumbnails_module, "MAX_BYTES", 250)
    thumbnails = Thumbnails(folder, camera.take)
    assert names(folder) == ["e3.jpg", "e4.jpg", "notes.txt"]
    assert await thumbnails.find("e4")


async def test_a_camera_that_fails_costs_this_picture_alone(thumbnails, camera, caplog):
    camera.fault = CameraError("no picture came within 15 s")
    thumbnails.begin("e1")
    assert await thumbnails.find("e1") is None
    assert "event e1 has no picture: no picture came" in caplog.text
    camera.fault = None
    thumbnails.begin("e2")
    assert await thumbnails.find("e2")


async def test_a_disk_that_takes_nothing_costs_pictures_alone(thumbnails, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(thumbnails_module, "write_dated", full)
    thumbnails.begin("e1")
    assert await thumbnails.find("e1") is None
    assert "No space left on device" in caplog.text


async def test_a_storm_of_events_is_bounded(thumbnails, camera):
    camera.gate.clear()
    for number in range(3 * MAX_WAITING):
        thumbnails.begin(f"e{number}")
    camera.gate.set()
    await asyncio.gather(*(thumbnails.find(f"e{number}") for number in range(3 * MAX_WAITING)))
    assert camera.taken == MAX_WAITING


async def test_a_folder_that_cannot_be_made_keeps_nobody_from_starting(tmp_path, camera, caplog):
    (tmp_path / "thumbnails").write_text("a file")
    thumbnails = Thumbnails(tmp_path / "thumbnails", camera.take)
    assert "events get no picture" in caplog.text
    thumbnails.begin("e1")
    assert await thumbnails.find("e1") is None
    (tmp_path / "thumbnails").unlink()
    thumbnails.begin("e2")
    assert await thumbnails.find("e2"), "nor the next ones from a picture"
