"""The commands for pictures: what comes by the broker goes through it where settings let it, and counts."""

import asyncio
import base64

import pytest
from fakes.still_camera import StillCamera

from agent.config import DeviceSettings, Settings
from agent.device.late import LateCommands
from agent.model.command import Order
from agent.model.still import Snapshot, ThumbnailOf
from agent.pictures import Pictures


class Capture:
    kind, problem = "replay", ""

    def expected_formats(self):
        return {"main": None, "preview": None}


class Agent:
    def __init__(self, folder, **stills):
        settings = Settings.model_validate({"device": DeviceSettings(state_dir=folder), "stills": stills})
        self.camera, self.sent_bytes, self.answers = StillCamera(), 0, []
        self.pictures = Pictures(settings, Capture(), self.camera.streams, self.count)
        self.late = LateCommands(lambda _, result: self.answers.append(result))
        self.handlers = self.pictures.handlers(self.late.handler)

    def count(self, sent_bytes):
        self.sent_bytes += sent_bytes

    async def do(self, name, way="broker", wish=None):
        with self.pictures.stills.overhearing():
            self.camera.now_us = self.pictures.stills._now_us()
            self.camera.show("preview")
            self.handlers[name](Order("c1", name, {}, "ann", ("watch",), way), wish)
            await asyncio.gather(*self.late._at_work.values())
        return self.answers.pop()


@pytest.mark.parametrize(("way", "counts"), [("broker", True), ("session", False)])
async def test_a_still_is_answered_and_counts_where_it_goes_through_the_broker(tmp_path, way, counts):
    agent = Agent(tmp_path)
    result = await agent.do("snapshot", way, Snapshot())
    assert (result.ok, result.value["width_px"]) == (True, 640)
    jpeg = base64.b64decode(result.value["jpeg"])
    assert jpeg.startswith(b"\xff\xd8")
    assert (agent.sent_bytes > len(jpeg) * 1.7) is counts


async def test_where_the_settings_say_so_none_goes_through_the_portal(tmp_path):
    agent = Agent(tmp_path, through_portal=False)
    refused = await agent.do("snapshot", "broker", Snapshot())
    assert (refused.ok, refused.code) == (False, "switched-off")
    assert "stills.through_portal" in refused.message
    assert (await agent.do("snapshot", "session", Snapshot())).ok


async def test_an_event_has_its_picture_or_none(tmp_path):
    agent = Agent(tmp_path)
    refused = await agent.do("thumbnail", wish=ThumbnailOf("b1-1"))
    assert (refused.ok, refused.code) == (False, "no-picture")
    with agent.pictures.stills.overhearing():
        agent.camera.show("preview")
        agent.pictures.thumbnails.begin("b1-1")
        await agent.pictures.thumbnails.find("b1-1")
    assert (await agent.do("thumbnail", wish=ThumbnailOf("b1-1"))).ok
    await agent.pictures.close()
