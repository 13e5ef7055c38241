"""Pictures of events: fetched once from the camera that has them, and few at a time."""

import asyncio
import base64

import pytest

from agent.errors import MessageError
from agent.model.signal import Result
from agent.portal import event_pictures as event_pictures_module
from agent.portal.accounts.access import Access, Identity
from agent.portal.event_pictures import ABSENT_S, AT_ONCE, EventPictures

ANN = Identity("session", "ann", Access("viewer"), 1e12, user_id=1)
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 100


class Camera:
    def __init__(self):
        self.asked, self.at_work, self.most_at_work = [], 0, 0
        self.is_online, self.now_s, self.fault = True, 1000.0, None
        self.gate = asyncio.Event()
        self.gate.set()
        self.pictures = EventPictures(self.ask, lambda _: self.is_online, lambda: self.now_s)

    async def ask(self, _device, kind, arguments, _who, _life_s):
        self.asked.append((kind.name, arguments["event"]))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await self.gate.wait()
        self.at_work -= 1
        if self.fault:
            raise self.fault
        has_one = arguments["event"] != "none"
        value = {"jpeg": base64.b64encode(JPEG).decode(), "taken_at": 1.0} if has_one else {}
        return Result(0, "c", kind.name, ok=has_one, code="done" if has_one else "no-picture", value=value)

    def find(self, event="e1"):
        return self.pictures.find("front", event, ANN)


@pytest.fixture
def camera():
    return Camera()


async def test_it_is_fetched_once(camera):
    assert [await camera.find() for _ in range(3)] == [JPEG] * 3
    assert camera.asked == [("thumbnail", "e1")]


async def test_who_asks_together_waits_for_one_answer_and_who_goes_takes_it_from_nobody(camera):
    camera.gate.clear()
    first, second = (asyncio.create_task(camera.find()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    camera.gate.set()
    assert await second == JPEG
    assert len(camera.asked) == 1


async def test_a_long_list_asks_for_few_at_a_time(camera):
    camera.gate.clear()
    finding = [asyncio.create_task(camera.find(f"e{number}")) for number in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert camera.at_work == AT_ONCE
    camera.gate.set()
    assert await asyncio.gather(*finding) == [JPEG] * 20
    assert camera.most_at_work == AT_ONCE


async def test_that_there_is_none_is_remembered_for_a_while(camera):
    assert [await camera.find("none") for _ in range(2)] == [None, None]
    camera.now_s += ABSENT_S
    assert await camera.find("none") is None
    assert len(camera.asked) == 2


async def test_a_camera_that_is_away_is_not_asked(camera):
    camera.is_online = False
    assert await camera.find() is None
    assert camera.asked == []
    camera.is_online = True
    assert await camera.find() == JPEG


async def test_an_error_is_no_picture(camera):
    camera.fault = MessageError("too-many-commands", "try again in a while")
    assert await camera.find() is None


async def test_what_is_held_is_bounded(camera, monkeypatch):
    monkeypatch.setattr(event_pictures_module, "MAX_HELD_BYTES", 2 * len(JPEG))
    for number in range(4):
        await camera.find(f"e{number}")
    camera.asked.clear()
    await camera.find("e3")
    await camera.find("e0")
    assert camera.asked == [("thumbnail", "e0")]


@pytest.mark.parametrize("event", ["../x", "", "portal:3"])
async def test_what_is_no_event_of_a_camera_is_asked_of_none(camera, event):
    assert await camera.find(event) is None
    assert camera.asked == []
