"""Pictures of presets: taken where the head stands, shown while they hide what the masks hide now."""

import asyncio
import math

import pytest

from agent.errors import CameraError
from agent.model.command import CommandError, PtzNumber
from agent.model.still import MAX_ICON_BYTES, Still
from agent.serial.ptz.album import AGAIN_S, LOOKS_S, STANDS_S, Album, Scene

JPEG = b"\xff\xd8 gate"


class Camera:
    """And its clock; `still` is what it gives, or raises."""

    def __init__(self, folder):
        self.folder, self.now_s = folder, 100.0
        self.still, self.is_seen, self.masks = Still(JPEG, 5000.0, 160, 90), True, 3
        self.taken, self.changes = 0, 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.begin()

    def begin(self):
        """The agent starts."""
        scene = Scene(self.take, lambda: self.is_seen, lambda: self.masks)
        self.album = Album(self.folder, scene, lambda: self.now_s, self._on_change)

    async def take(self):
        self.taken += 1
        await self.gate.wait()
        if isinstance(self.still, Exception):
            raise self.still
        return self.still

    def stand(self, place, seconds):
        self.album.note(place)
        self.now_s += seconds

    async def look(self, *numbers):
        """When to look again; whatever was begun is done, unless the gate is shut."""
        look_s = self.album.look(numbers)
        while self.album._task and self.gate.is_set():
            await asyncio.sleep(0)
        return look_s

    async def found(self, number):
        try:
            return await self.album.find(PtzNumber(number))
        except CommandError as exc:
            return exc.code

    def files(self):
        return sorted(file.name for file in self.folder.iterdir())

    async def settled(self, *names):
        async with asyncio.timeout(10):
            while self.files() != sorted(names):
                await asyncio.sleep(0)

    def _on_change(self):
        self.changes += 1


@pytest.fixture
async def camera(tmp_path):
    return Camera(tmp_path / "presets")


async def with_picture(camera, number=7):
    camera.stand(number, 0)
    camera.now_s += STANDS_S
    await camera.look(number)
    assert camera.album.taken_at(number) == 5000


async def test_a_preset_has_its_picture_once_the_head_has_stood_there(camera):
    camera.stand(7, STANDS_S - 0.1)
    assert await camera.look(7) == pytest.approx(camera.now_s + 0.1)
    assert camera.taken == 0, "a still may be older than that"
    camera.now_s += 0.1
    assert await camera.look(7) == math.inf
    assert (camera.album.taken_at(7), camera.changes) == (5000, 1)
    assert (await camera.found(7)).taken_at == 5000
    await camera.look(7)
    assert camera.taken == 1, "it has one"
    assert await camera.found(8) == "no-picture"


async def test_nobody_starts_the_camera_for_it(camera):
    camera.is_seen = False
    camera.stand(7, STANDS_S)
    assert await camera.look(7) == camera.now_s + LOOKS_S
    assert camera.taken == 0
    camera.is_seen = True
    await camera.look(7)
    assert camera.album.taken_at(7)


@pytest.mark.parametrize("place", [None, 9])
async def test_where_nothing_is_kept_nothing_is_taken(camera, place):
    camera.stand(place, STANDS_S)
    assert await camera.look(7) == math.inf
    assert camera.taken == 0


@pytest.mark.parametrize(
    "what", ["it moves", "it moves and is back", "masks", "blank", "forgotten", "too large"]
)
async def test_a_picture_that_is_not_of_the_preset_as_it_is_now_is_not_kept(camera, what):
    camera.gate.clear()
    if what == "too large":
        camera.still = Still(b"x" * (MAX_ICON_BYTES + 1), 5000.0, 160, 90)
    camera.stand(7, STANDS_S)
    await camera.look(7)
    match what:
        case "it moves":
            camera.stand(None, 1)
        case "it moves and is back":
            camera.stand(None, 1)
            camera.stand(7, 1)
        case "masks":
            camera.masks += 1
        case "blank":
            camera.is_seen = False
        case "forgotten":
            camera.album.drop(7)
    camera.gate.set()
    while camera.album._task:
        await asyncio.sleep(0)
    assert camera.album.taken_at(7) == 0
    assert camera.files() == []


async def test_a_preset_that_is_kept_anew_or_forgotten_loses_its_picture(camera):
    await with_picture(camera)
    camera.album.drop(7)
    assert await camera.found(7) == "no-picture"
    await camera.settled()
    camera.now_s += STANDS_S - 0.1
    await camera.look(7)
    assert camera.taken == 1
    camera.now_s += 0.1
    await camera.look(7)
    assert camera.taken == 2


async def test_what_was_taken_behind_other_masks_is_shown_no_more(camera):
    await with_picture(camera)
    camera.masks += 1
    assert camera.album.taken_at(7) == 0
    assert await camera.found(7) == "no-picture"
    camera.stand(None, 1)
    await camera.look(7)
    await camera.settled()


async def test_pictures_outlive_the_agent_and_masks_that_changed_meanwhile_count(camera):
    await with_picture(camera)
    camera.begin()
    assert (await camera.found(7)).taken_at == 5000
    assert camera.files() == ["7-3.jpg"]
    camera.masks += 1
    camera.begin()
    assert await camera.found(7) == "no-picture"
    await camera.look(7)
    await camera.settled()


async def test_only_presets_that_are_kept_have_one_on_disk(camera):
    await with_picture(camera, 7)
    await with_picture(camera, 8)
    await camera.settled("8-3.jpg")
    (camera.folder / "8-2.jpg").write_bytes(JPEG)
    (camera.folder / "notes.txt").write_text("somebody else's")
    camera.begin()
    await camera.look(8)
    assert camera.files() == ["8-3.jpg", "notes.txt"]


async def test_a_still_that_fails_is_tried_again_after_a_while(camera, caplog):
    camera.still = CameraError("no picture came within 15 s")
    camera.stand(7, STANDS_S)
    await camera.look(7)
    assert "preset 7 has no picture: no picture came" in caplog.text
    assert await camera.look(7) == camera.now_s + AGAIN_S
    assert camera.taken == 1
    camera.now_s += AGAIN_S
    await camera.look(7)
    assert camera.taken == 2


async def test_a_disk_that_takes_nothing_costs_pictures_alone(tmp_path, caplog):
    (tmp_path / "presets").write_text("no folder")
    camera = Camera(tmp_path / "presets")
    camera.stand(7, STANDS_S)
    await camera.look(7)
    assert camera.album.taken_at(7) == 0
    assert "presets get no picture" in caplog.text
    (tmp_path / "presets").unlink()
    camera.now_s += AGAIN_S
    await camera.look(7)
    assert camera.files() == ["7-3.jpg"]


async def test_at_the_end_nothing_is_being_taken(camera):
    camera.gate.clear()
    camera.stand(7, STANDS_S)
    await camera.look(7)
    await camera.album.close()
    assert camera.files() == []
