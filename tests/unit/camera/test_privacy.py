"""Which masks are in force, and that a doubt blackens the picture instead of showing it."""

import asyncio
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.camera.mask_file import MASKS_FILE, Key, MaskFile
from agent.camera.masking import BLANK, CLEAR, Cover
from agent.camera.privacy import SET_AGAIN, Around, Privacy
from agent.config import CameraSettings, DeviceSettings, Settings
from agent.doctor.masks import see_masks
from agent.errors import MessageError
from agent.model.command import COMMANDS, CommandError, Order, parse_arguments
from agent.model.masks import MAX_CORNERS_IN_ALL, parse_polygon
from agent.model.sections import fields_of, is_sound
from agent.signaling.identity import KEY_FILE
from agent.signaling.trust import SigningKey, make_signing_key

WISH = ["0,0 0.3,0 0.3,1 0,1", "0.6,0.6 0.9,0.7 0.7,1"]


class Device:
    """One that is started again and again."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.folder = folder
        (folder / KEY_FILE).write_bytes(make_signing_key())
        (folder / KEY_FILE).chmod(0o600)
        own = SigningKey((folder / KEY_FILE).read_bytes())
        self.key = Key(own.sign_bytes, own.verify_key.verifies_bytes)
        self.events, self.changes, self.asked, self.sight = [], 0, [], "imx708, whole"
        self.start()

    def start(self, *, has_head=False, **camera) -> Privacy:
        self.settings = CameraSettings(**camera)
        capture = SimpleNamespace(
            restart=lambda: self.asked.append("restart"),
            request_keyframe=lambda stream, _need: self.asked.append(stream),
        )
        around = Around(
            lambda kind, words, _: self.events.append((kind, words)),
            self._changed,
            lambda: capture,
            lambda: self.asked.append("anew"),
            lambda: 99.0,
        )
        self.privacy = Privacy(MaskFile(self.folder, self.key), self.settings, around, has_head=has_head)
        self.run()
        return self.privacy

    def run(self):
        """The camera starts."""
        self.privacy.masking.begin(self.sight)
        self.privacy.look()

    def set(self, polygons, **arguments):
        wish = parse_arguments(COMMANDS["set-masks"], {"polygons": polygons, **arguments})
        order = Order("c1", "set-masks", {}, "ann", ("manage",), "broker")
        return asyncio.run(self.privacy.set(order, wish))

    def on_other_preset(self, preset):
        asyncio.run(self.privacy.on_other_preset(preset))

    @property
    def cover(self):
        return self.privacy.masking._now

    def _changed(self):
        self.changes += 1


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


def test_without_any_the_picture_is_as_it_is(device) -> None:
    assert device.cover == CLEAR
    assert fields_of(device.privacy.section()) == {"state": "none", "problem": "", "version": 0, "since": 0.0}
    assert device.events == []


def test_what_is_set_is_in_force_at_once_and_after_a_start(device) -> None:
    shown = device.set(WISH)
    assert (shown.state, shown.polygons, shown.version, shown.set_by) == ("in-force", tuple(WISH), 1, "ann")
    for _ in range(2):
        assert device.cover == Cover(tuple(map(parse_polygon, WISH)), sight="imx708, whole")
        device.start()
    assert device.set([]).state == "none"
    assert device.start().section().version == 2
    assert device.cover == CLEAR


def test_keyframes_are_asked_for_so_that_nothing_shines_through(device) -> None:
    device.set(WISH)
    assert device.asked == ["anew", "main", "preview"]
    assert device.changes == 1


def test_a_camera_that_encodes_by_itself_is_started_anew(device) -> None:
    device.privacy.masking.is_bypassed = True
    device.set(WISH)
    assert device.asked[0] == "restart"


def test_what_cannot_be_read_makes_the_picture_blank_and_says_so(device) -> None:
    device.set(WISH)
    (device.folder / MASKS_FILE).write_bytes(b"{}")
    device.start()
    assert device.cover == BLANK
    section = device.privacy.section()
    assert section.state == "blank"
    assert section.problem.endswith(f"{MASKS_FILE} is damaged: {SET_AGAIN}")
    ((kind, words),) = device.events
    assert kind == "mask-failed"
    assert "the picture is blank" in words
    shown = device.set(WISH)
    assert (shown.state, shown.problem, shown.version) == ("in-force", "", 2)
    device.start()
    assert len(device.events) == 1, "set anew, they can be read"


@pytest.mark.parametrize(
    "change", [{"rotate": 180}, {"source": "v4l2:/dev/video0"}, {"width_px": 640, "height_px": 480}]
)
def test_masks_of_another_view_make_it_blank_too(device, change) -> None:
    device.start(width_px=1280, height_px=720)
    device.set(WISH)
    device.start(width_px=1920, height_px=1080)
    assert device.privacy.state == "in-force", "the same shape"
    device.start(**{"width_px": 1280, "height_px": 720} | change)
    assert device.cover == BLANK
    assert "another view" in device.privacy.section().problem
    device.set([])
    assert device.start().state == "none", "no masks are of no view"


def test_a_camera_that_shows_something_else_is_blank_from_its_first_picture_on(device) -> None:
    device.set(WISH)
    device.sight = "imx708, its middle"
    device.start(fps=60)
    assert (device.cover, device.privacy.state) == (BLANK, "blank")
    assert "shows another part of its sensor" in device.privacy.section().problem
    device.run()
    assert [kind for kind, _ in device.events] == ["mask-failed"], "once"
    device.sight = "imx708, whole"
    device.run()
    assert device.privacy.state == "in-force"
    device.sight = "another, whole"
    device.run()
    assert device.set(WISH).state == "in-force", "set anew"


def test_nobody_knows_what_a_camera_shows_that_never_ran(device) -> None:
    device.sight = ""
    device.start()
    with pytest.raises(CommandError, match="watch its picture"):
        device.set(WISH)
    device.sight = "imx708, whole"
    device.run()
    device.set(WISH)
    device.sight = ""
    assert device.start().state == "in-force", "nothing is shown"
    assert device.cover == BLANK, "and nothing would be"


def test_a_head_needs_a_preset_and_away_from_it_the_picture_is_blank(device) -> None:
    privacy = device.start(has_head=True)
    with pytest.raises(CommandError, match="name that \\(preset=NUMBER\\)"):
        device.set(WISH)
    with pytest.raises(CommandError, match="has not shown that it stands at preset 3"):
        device.set(WISH, preset=3)
    privacy.on_place(3)
    assert device.set(WISH, preset=3).state == "in-force"
    changes = device.changes
    privacy.on_place(None)
    assert device.cover == BLANK
    assert "the head is not at preset 3" in privacy.section().problem
    privacy.on_place(4)
    assert device.cover == BLANK
    privacy.on_place(3)
    assert privacy.state == "in-force"
    assert device.changes == changes + 2
    assert device.start(has_head=True).state == "blank", "after a start nobody knows where it points"
    assert device.events == [], "which is no failure"
    device.start()
    assert "a head that the settings do not name" in device.privacy.section().problem


def test_a_preset_that_is_another_place_takes_its_masks_along(device, monkeypatch) -> None:
    privacy = device.start(has_head=True)
    privacy.on_place(3)
    device.set(WISH, preset=3)
    device.on_other_preset(4)
    assert privacy.state == "in-force"
    with monkeypatch.context() as patch:
        patch.setattr("agent.model.disk.os.fsync", full)
        with pytest.raises(CommandError, match="nothing was changed"):
            device.on_other_preset(3)
    assert privacy.state == "in-force", "and the preset is not kept anew"
    device.on_other_preset(3)
    assert device.cover == BLANK
    assert "preset 3, to which the masks belong, was kept anew" in privacy.section().problem
    privacy = device.start(has_head=True)
    privacy.on_place(3)
    assert privacy.state == "blank", "after a start too"
    assert device.set(WISH, preset=3).state == "in-force"
    assert device.start(has_head=True).section().version == 3


def test_a_head_that_came_later_moves_what_was_covered(device) -> None:
    device.set(WISH)
    assert device.start(has_head=True).state == "blank"
    device.start()
    with pytest.raises(CommandError, match="has no head"):
        device.set(WISH, preset=1)


def test_what_cannot_be_kept_is_refused_and_the_old_masks_stay(device, monkeypatch) -> None:
    device.set(WISH)
    device.folder.chmod(0o500)
    real = device.cover
    monkeypatch.setattr("agent.model.disk.os.fsync", full)
    with pytest.raises(CommandError, match=r"nothing was changed: .*No space left"):
        device.set([])
    device.folder.chmod(0o700)
    assert device.cover == real


class SlowDisk:
    """Takes what is written when it is told to, or never; nobody else waits for it."""

    def __init__(self, device, monkeypatch) -> None:
        self._keep, self.may_go, self.kept = MaskFile.keep, threading.Semaphore(0), []
        monkeypatch.setattr(MaskFile, "keep", lambda file, masks: self.keep(file, masks))  # noqa: PLW0108  # of the class
        self._device = device

    def keep(self, file, masks) -> None:
        assert threading.current_thread() is not threading.main_thread(), "the event loop waits for no disk"
        self.kept.append(masks.polygons)
        assert self.may_go.acquire(timeout=20)
        self._keep(file, masks)

    def set(self, polygons):
        wish = parse_arguments(COMMANDS["set-masks"], {"polygons": polygons})
        order = Order("c1", "set-masks", {}, "ann", ("manage",), "broker")
        return asyncio.create_task(self._device.privacy.set(order, wish))


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)


async def test_while_a_disk_takes_its_time_the_masks_of_before_hold_and_who_comes_second_waits(
    device, monkeypatch
) -> None:
    disk = SlowDisk(device, monkeypatch)
    first, second = disk.set(WISH), disk.set(WISH[:1])
    await until(lambda: disk.kept)
    assert (device.cover, first.done(), second.done()) == (CLEAR, False, False)
    disk.may_go.release()
    assert (await first).polygons == tuple(WISH)
    assert len(device.cover.polygons) == 2
    await until(lambda: len(disk.kept) == 2)
    disk.may_go.release()
    assert (await second).version == 2
    assert len(device.cover.polygons) == 1
    assert device.start().section().version == 2
    assert len(device.cover.polygons) == 1, "on the disk as well"


async def test_a_disk_that_never_answers_makes_the_picture_blank_until_masks_are_set_anew(
    device, monkeypatch
) -> None:
    disk = SlowDisk(device, monkeypatch)
    monkeypatch.setattr("agent.camera.privacy.KEEP_S", 0.0)
    with pytest.raises(CommandError, match="the picture is blank now: the disk did not answer"):
        await disk.set(WISH)
    assert (device.cover, device.privacy.state) == (BLANK, "blank")
    assert [kind for kind, _ in device.events] == ["mask-failed"]
    monkeypatch.undo()
    later = disk.set([])
    assert (await later).state == "none"
    assert device.cover == CLEAR
    disk.may_go.release()  # the disk answers at last: what was set later stays
    await until(lambda: not [one for one in threading.enumerate() if one.name == "masks"])
    assert device.start().state == "none"


@pytest.mark.parametrize(
    ("polygons", "words"),
    [
        (["0,0 1,1"], "a mask has 3 to 24 corners, and this one 2"),
        (["0,0 1,1 2,0"], "each x and y is a part of the picture's side: 0 to 1"),
        (["0,0 1,1 nan,0"], "each x and y is a part"),
        (["0,0 1,1 -0,0"], "each x and y is a part"),
        (["0,0 1,1 1e-1,0"], "each x and y is a part"),
        (["0,0 1,1 \u0660,0"], "each x and y is a part"),
        (["0,0 1,1 0.5"], "a corner is x,y"),
        (["0,0,0 1,1 0.5,1"], "a corner is x,y"),
        ([""], "each x and y"),
        (["0,0 1,0 1,1"] * 17, "at most 16 items"),
        (["0,0 " * 23 + "1,1"] * 9, f"at most {MAX_CORNERS_IN_ALL} corners"),
        (["0,0 " * 500], "at most 500 characters"),
        ("0,0 1,0 1,1", "valid"),
        ([[[0, 0], [1, 0], [1, 1]]], "polygons"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(polygons, words) -> None:
    with pytest.raises(MessageError, match=re.escape(words)) as caught:
        parse_arguments(COMMANDS["set-masks"], {"polygons": polygons})
    assert str(caught.value).startswith("set-masks: polygons")


def test_the_largest_wish_fits_into_a_request_of_the_data_channel() -> None:
    corners = " ".join(["0.1234,0.5678"] * (MAX_CORNERS_IN_ALL // 12))
    wish = {"polygons": [corners] * 12}
    assert parse_arguments(COMMANDS["set-masks"], wish).polygons
    assert len(str(wish)) < 4096 - 512


def test_the_section_is_one_that_portals_take(device) -> None:
    assert is_sound("masks", fields_of(device.privacy.section()))


def test_the_doctor_says_what_to_do(device) -> None:
    settings = Settings(device=DeviceSettings(state_dir=device.folder))
    assert see_masks(settings) is None
    device.set(WISH)
    finding = see_masks(settings)
    assert (finding.verdict, finding.message) == ("good", "2 privacy masks, version 1, set by ann")
    (device.folder / MASKS_FILE).unlink()
    finding = see_masks(settings)
    assert finding.verdict == "fault"
    assert "the picture is blank" in finding.message
    assert "is gone, and masks were set here" in finding.message
    assert finding.advice == SET_AGAIN
