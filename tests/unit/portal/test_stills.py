"""The grid's stills: the newest is kept, asked for seldom, and nothing but a JPEG is taken."""

import asyncio
import base64
import os

import pytest

from agent.errors import MessageError
from agent.model.signal import Result
from agent.model.still import MAX_SMALL_BYTES
from agent.portal import stills as stills_module
from agent.portal.accounts.access import Access, Identity
from agent.portal.stills import (
    MAX_ASKED,
    STALE_ON_PLAN_S,
    STALE_S,
    WITHOUT_S,
    Stills,
    parse_jpeg,
)

NOW = 1_800_000_000.0
ANN = Identity("session", "ann", Access("viewer"), 1e12, user_id=1)
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 100


class Fleet:
    """Cameras that answer when a test says so, and time that stands still."""

    def __init__(self, folder):
        self.mono_s, self.asked, self.sections = 1000.0, [], {}
        self.masks = {}
        self.gate, self.answer = asyncio.Event(), None
        self.gate.set()
        self.stills = Stills(
            folder, self.ask, lambda device: self.sections.get(device, {}),
            lambda device: self.masks.get(device, 0),
            unix_s=lambda: NOW + self.mono_s, mono_s=lambda: self.mono_s,
        )  # fmt: skip

    async def ask(self, device, kind, arguments, who, _life_s):
        self.asked.append((device, kind.name, arguments, who.name))
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        value = {"jpeg": base64.b64encode(JPEG).decode(), "taken_at": NOW + self.mono_s}
        return self.answer or Result(0, "c", kind.name, ok=True, code="done", value=value)

    async def look(self, device="front"):
        """Somebody looks; whether another still is on its way."""
        kept = await self.stills.find(device)
        is_asked = self.stills.want_newer(device, kept.taken_at if kept else 0.0, ANN)
        await asyncio.gather(*self.stills._asking.values())
        return is_asked


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path / "stills")


async def test_the_first_look_has_the_camera_make_one_and_the_next_shows_it(fleet):
    assert await fleet.look()
    assert fleet.asked == [("front", "snapshot", {}, "ann")]
    kept = await fleet.stills.find("front")
    assert (kept.jpeg, kept.taken_at) == (JPEG, NOW + 1000)
    assert not await fleet.look()


@pytest.mark.parametrize(("plan", "pause_s"), [(None, STALE_S), ({"is_exceeded": False}, STALE_ON_PLAN_S)])
async def test_another_is_asked_for_when_it_is_old_and_a_data_plan_is_spared(fleet, plan, pause_s):
    fleet.sections["front"] = {"plan": plan} if plan else {}
    await fleet.look()
    fleet.mono_s += pause_s - 1
    assert not await fleet.look()
    fleet.mono_s += 1
    assert await fleet.look()
    assert len(fleet.asked) == 2


async def test_a_plan_that_is_used_up_and_a_camera_that_is_away_are_left_alone(fleet):
    fleet.sections = {"front": {"plan": {"is_exceeded": True}}, "yard": None}
    assert not await fleet.look("front")
    assert not await fleet.look("yard")
    assert fleet.asked == []


async def test_a_camera_that_fails_is_not_asked_at_each_look(fleet):
    fleet.answer = Result(0, "c", "snapshot", ok=False, code="failed", message="no picture came")
    await fleet.look()
    fleet.mono_s += STALE_S - 1
    assert not await fleet.look()
    fleet.answer = MessageError("too-many-commands", "try again")
    fleet.mono_s += 1
    assert await fleet.look()
    assert await fleet.stills.find("front") is None


@pytest.mark.parametrize("code", ["unknown-command", "switched-off"])
async def test_a_camera_that_will_not_is_asked_seldom(fleet, code):
    fleet.answer = Result(0, "c", "snapshot", ok=False, code=code)
    await fleet.look()
    fleet.mono_s += WITHOUT_S - 1
    assert not await fleet.look()
    fleet.mono_s += 1
    assert await fleet.look()


async def test_who_looks_meanwhile_is_told_that_one_is_on_its_way_and_few_are_at_a_time(fleet):
    fleet.gate.clear()
    for number in range(MAX_ASKED + 2):
        expected = number < MAX_ASKED
        assert fleet.stills.want_newer(f"c{number}", 0.0, ANN) is expected
    assert fleet.stills.want_newer("c0", 0.0, ANN)
    fleet.gate.set()
    await asyncio.gather(*fleet.stills._asking.values())
    assert len(fleet.asked) == MAX_ASKED
    assert await fleet.look(f"c{MAX_ASKED}"), "its turn comes"


async def test_a_camera_whose_clock_is_ahead_is_not_newest_for_ever(fleet):
    fleet.answer = Result(
        0, "c", "snapshot", ok=True, code="done",
        value={"jpeg": base64.b64encode(JPEG).decode(), "taken_at": NOW * 2},
    )  # fmt: skip
    await fleet.look()
    assert (await fleet.stills.find("front")).taken_at == NOW + 1000


async def test_a_revoked_camera_leaves_none(fleet):
    await fleet.look()
    await fleet.stills.forget("front")
    assert await fleet.stills.find("front") is None
    await fleet.stills.forget("never-seen")


async def test_a_still_from_behind_other_masks_is_not_shown_and_another_is_asked_for_at_once(fleet):
    await fleet.look()
    fleet.mono_s += 5
    fleet.masks["front"] = 1
    fleet.sections = {"front": None}
    assert await fleet.stills.find("front") is None, "nor of a camera that is away"
    fleet.sections = {}
    assert await fleet.look()
    assert (await fleet.stills.find("front")).taken_at == NOW + fleet.mono_s
    assert len(fleet.asked) == 2
    assert not await fleet.look(), "once: no clock has it thrown away again"
    fleet.masks["front"] = None
    assert await fleet.stills.find("front") is None, "of a camera that is not known here"
    fleet.masks["front"] = 0
    assert await fleet.stills.find("front") is None, "the former is gone"


async def test_a_still_that_comes_after_the_masks_have_changed_is_not_kept(fleet):
    fleet.gate.clear()
    fleet.stills.want_newer("front", 0.0, ANN)
    await asyncio.sleep(0)
    fleet.masks["front"] = 1
    fleet.gate.set()
    await asyncio.gather(*fleet.stills._asking.values())
    fleet.masks["front"] = 0
    assert await fleet.stills.find("front") is None


async def test_a_still_that_cannot_be_removed_ends_nothing(fleet, caplog, tmp_path):
    (tmp_path / "stills" / "front.0.jpg").mkdir(parents=True)
    await fleet.stills.forget("front")
    assert "cannot be removed" in caplog.text


async def test_the_oldest_goes_where_there_are_too_many(fleet, monkeypatch, tmp_path):
    monkeypatch.setattr(stills_module, "MAX_BYTES", 2 * len(JPEG))
    for number in range(4):
        fleet.mono_s += 1
        await fleet.look(f"c{number}")
    assert sorted(file.name for file in (tmp_path / "stills").iterdir()) == ["c2.0.jpg", "c3.0.jpg"]


async def test_a_full_disk_costs_stills_alone(fleet, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stills_module, "write_whole", full)
    await fleet.look()
    assert "stills are not kept" in caplog.text


@pytest.mark.parametrize("device", ["../portal", "a/b", ""])
async def test_no_name_leads_out_of_the_folder(fleet, device, tmp_path):
    (tmp_path / "portal.jpg").write_bytes(JPEG)
    assert await fleet.stills.find(device) is None
    assert not fleet.stills.want_newer(device, 0.0, ANN)
    await fleet.stills.forget(device)
    assert (tmp_path / "portal.jpg").exists()


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "%%",
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
        base64.b64encode(JPEG[:2]).decode(),
    ],
)
def test_what_is_no_jpeg_is_not_taken(text):
    with pytest.raises(MessageError):
        parse_jpeg(text, MAX_SMALL_BYTES)


def test_what_is_too_large_is_not_taken():
    large = JPEG + os.urandom(MAX_SMALL_BYTES)
    with pytest.raises(MessageError, match="too large"):
        parse_jpeg(base64.b64encode(large).decode(), MAX_SMALL_BYTES)


async def test_at_the_end_nobody_is_waited_for(fleet):
    fleet.gate.clear()
    fleet.stills.want_newer("front", 0.0, ANN)
    await asyncio.sleep(0)
    await fleet.stills.close()
    assert fleet.stills._asking == {}
