"""What cameras offer for the store ends there, once each, whatever is said twice or fails in between."""

import asyncio
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.bus import FakeBus
from fakes.leaping_loop import LeapingLoop
from fakes.object_store import FakeObjectStore
from fakes.uploading_camera import BEGAN, UploadingCamera, offered

from agent.config import UploadSettings
from agent.errors import MessageError
from agent.model.sections import fields_of
from agent.model.upload import MIN_PART_BYTES as PART
from agent.model.upload import UploadSection
from agent.portal.client import Clock
from agent.portal.gateway import Gateway
from agent.portal.turn import IceServers
from agent.portal.upload import intake
from agent.portal.upload.intake import AGAIN_S, AT_ONCE, UploadIntake
from agent.portal.upload.ledger import HELD_S
from agent.portal.upload.objects import BucketError, key_of

ROOT = Path(__file__).parents[3]
KEY = "cams/front/2026/11/29/095600-000000001-main.mp4"
NEXT_KEY = "cams/front/2026/11/29/095700-000000002-main.mp4"


class AtOnce:
    """The store of the accounts, without its threads."""

    def __init__(self, store):
        self._store = store

    async def run(self, work):
        return self._store.run_here(work)


class World:
    """Time is the loop's own, and leaps."""

    def __init__(self, loop, store):
        self.loop, self.store = loop, AtOnce(store)
        self.objects = FakeObjectStore()
        self.clock = Clock(unix_s=lambda: BEGAN + 3600 + loop.time(), mono_s=loop.time)
        self.portals, self.tasks = [], []

    def portal(self, **settings):
        """Another one of the fleet."""
        bus = FakeBus()

        def note_change(device):
            served.on_change(device)

        gateway = Gateway(bus.send, IceServers(), "1", self.clock, note_change=note_change)
        gateway.on_broker(connected=True)
        made = {"bucket": "recordings", "prefix": "cams"} | settings
        served = UploadIntake(
            UploadSettings(**made),
            self.objects,
            self.store,
            gateway.directory,
            gateway.commands.tell,
            self.clock,
        )
        served.gateway, served.bus = gateway, bus
        self.tasks.append(self.loop.create_task(served.run()))
        self.portals.append(served)
        return served

    def camera(self, portal, *sizes, name="front"):
        return UploadingCamera(portal.gateway, portal.bus, self.objects.put, *sizes, name=name)

    def after(self, seconds=0.5):
        """Whatever is due until then is done; portals tick on."""
        until_s = self.loop.time() + seconds
        while self.loop.time() < until_s:
            done = self.loop.create_future()
            self.loop.call_at(min(self.loop.time() + 0.5, until_s), done.set_result, None)
            self.loop.run_until_complete(done)
            for portal in self.portals:
                portal.gateway.tick()

    def kill(self, portal):
        number = self.portals.index(portal)
        self.portals.pop(number)
        self._end([self.tasks.pop(number)])

    def close(self):
        self._end(self.tasks)
        self.loop.close()

    def _end(self, tasks):
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


@pytest.fixture
def world(store):
    loop = LeapingLoop(lambda: False)
    world = World(loop, store)
    yield world
    world.close()


def test_a_file_becomes_an_object_and_the_next_one_follows(world):
    camera = world.camera(world.portal(), 2 * PART + 5, 7)
    camera.start()
    world.after()
    assert world.objects.whole == {KEY: b"\1" * (2 * PART + 5), NEXT_KEY: b"\2" * 7}
    assert camera.commands == ["upload", "uploaded", "upload", "uploaded"]
    assert camera.offers == []


def test_urls_come_eight_at_a_time(world):
    camera = world.camera(world.portal(), 19 * PART)
    camera.start()
    world.after()
    assert [len(wish.parts) for name, wish in camera.told if name == "upload"] == [8, 8, 3]
    assert list(world.objects.whole) == [KEY]


def test_urls_end_when_the_settings_say(world):
    camera = world.camera(world.portal(url_life_s=120), 5)
    camera.start()
    before = world.clock.unix_s()
    world.after()
    assert camera.told[0][1].expires_unix_s == pytest.approx(before + 120, abs=1)


def test_a_part_that_the_store_has_not_is_asked_for_again(world):
    camera = world.camera(world.portal(), 3 * PART)
    lost, put = [], camera.put

    def lose(url, data):
        if "?2?" in url and not lost:
            lost.append(url)
        else:
            put(url, data)

    camera.put = lose
    camera.start()
    world.after(AGAIN_S + 1)
    assert camera.commands == ["upload", "upload", "uploaded"]
    again = camera.told[1][1]
    assert ([part.number for part in again.parts], again.have) == ([2], (1, 3))
    assert world.objects.whole == {KEY: b"\1" * 3 * PART}


def test_a_camera_that_began_anew_sends_what_is_missing_alone(world):
    camera = world.camera(world.portal(), 3 * PART)
    camera.is_mute = True
    camera.start()
    world.after()
    [(_, wish)] = camera.told
    world.objects.put(wish.parts[1].url, b"\1" * PART)
    camera.is_mute, camera.told = False, []
    camera.start()
    world.after()
    first = camera.told[0][1]
    assert ([part.number for part in first.parts], first.have) == ([1, 3], (2,))
    assert world.objects.whole == {KEY: b"\1" * 3 * PART}


def test_a_portal_that_began_anew_goes_on(world):
    portal = world.portal()
    camera = world.camera(portal, 2 * PART)
    camera.is_mute = True
    camera.start()
    world.after()
    [(_, wish)] = camera.told
    world.objects.put(wish.parts[0].url, b"\1" * PART)
    world.kill(portal)
    world.after(HELD_S + 1)

    other = world.portal()
    again = world.camera(other, 2 * PART)
    again.start()
    world.after()
    assert [part.number for part in again.told[0][1].parts] == [2]
    assert world.objects.asked.count("begin") == 1
    assert list(world.objects.whole) == [KEY]


def test_of_two_portals_one_answers_and_the_other_takes_over(world):
    first, second = world.portal(), world.portal()
    one, same = world.camera(first, 2 * PART, 3), world.camera(second, 2 * PART, 3)
    one.is_mute = same.is_mute = True
    one.start()
    world.after()
    same.start()
    world.after(30)
    assert one.commands == ["upload"]
    assert same.commands == []

    world.kill(first)
    same.is_mute = False
    world.after(2 * HELD_S + 5)
    assert same.commands == ["upload", "uploaded", "upload", "uploaded"]
    assert sorted(world.objects.whole) == [KEY, NEXT_KEY]
    assert world.objects.uploads == {}


def test_what_is_there_already_is_told_and_not_sent_again(world):
    world.objects.whole[KEY] = b"12345"
    camera = world.camera(world.portal(), 5)
    camera.start()
    world.after()
    assert camera.commands == ["uploaded"]
    assert world.objects.whole == {KEY: b"12345"}
    assert "begin" not in world.objects.asked


def test_what_is_there_is_never_another_file(world):
    world.objects.whole[KEY] = b"before"
    camera = world.camera(world.portal(), 5)
    camera.start()
    world.after(3600)
    assert camera.told == []
    assert world.objects.whole == {KEY: b"before"}


def test_whose_file_is_not_taken_is_logged_with_the_reason_and_not_each_time(world, caplog):
    portal = world.portal()
    world.objects.whole[KEY] = b"before"
    world.camera(portal, 5).start()
    yard = world.camera(portal, 5, name="yard")
    yard.offers = [offered(5, start_unix_s=3.0)]
    yard.start()
    world.after(500)
    assert [record.getMessage() for record in caplog.records] == [
        f"the upload of front waits: {KEY} is there already, with another size",
        "the upload of yard waits: 000000/000000001-main.mp4 has 1 parts and begins at 3 s of Unix time",
    ]


def test_a_part_of_another_size_is_sent_again(world):
    camera = world.camera(world.portal(), PART + 3)
    camera.is_mute = True
    camera.start()
    world.after()
    [(key, upload)] = world.objects.uploads
    world.objects.uploads[key, upload] = {1: b"x", 2: b"xyz", 9: b"more"}
    camera.say(fields_of(UploadSection("sending", next=replace(camera.offers[0], is_sent=True))))
    world.after()
    again = camera.told[-1][1]
    assert ([part.number for part in again.parts], again.have) == ([1], (2,))
    assert world.objects.whole == {}


@pytest.mark.parametrize(
    "lie",
    [
        {"file": "../../other/000000001-main.mp4"},
        {"file": "000000/000000001-main.mp4\n"},
        {"file": "000000/" + "1" * 60 + "-main.mp4"},
        {"bytes": 0},
        {"bytes": 2**41},
        {"bytes": PART * 1001},
        {"part_bytes": 1},
        {"start_unix_s": 3.0},
        {"start_unix_s": BEGAN + 9 * 86400},
        {"start_unix_s": 1e300},
        {"stream": "other"},
    ],
)
def test_what_no_recorder_offers_gets_no_url(world, lie):
    camera = world.camera(world.portal(), 5)
    camera.start()
    world.after()
    told, begun = len(camera.told), world.objects.asked.count("begin")
    said = fields_of(UploadSection("sending", next=offered(7, 5), want=(1,)))
    camera.say(said | {"next": said["next"] | lie})
    world.after(120)
    assert (len(camera.told), world.objects.asked.count("begin")) == (told, begun)


@pytest.mark.parametrize("want", [(2, 3), (1001,), (0,), tuple(range(1, 10))])
def test_parts_that_a_file_has_not_get_no_url(world, want):
    camera = world.camera(world.portal())
    camera.start()
    camera.say(fields_of(UploadSection("sending", next=offered(PART))) | {"want": list(want)})
    world.after()
    assert [part.number for _, wish in camera.told for part in wish.parts] == []


def test_a_camera_writes_below_its_own_name_alone(world):
    portal = world.portal()
    cameras = [world.camera(portal, 5, name=name) for name in ("front", "front2", "yard")]
    for camera in cameras:
        camera.start()
    world.after()
    assert sorted(world.objects.whole) == [KEY.replace("front", name) for name in ("front", "front2", "yard")]


def test_the_day_of_a_camera_has_an_end(world):
    camera = world.camera(world.portal(mb_a_day=12), *[6_000_000] * 3)
    camera.start()
    world.after(3600)
    assert sorted(world.objects.whole) == [KEY, NEXT_KEY]
    assert "mb_a_day" in world.portals[0].problem
    assert "front" in world.portals[0].problem
    world.after(15 * 3600)
    assert len(world.objects.whole) == 3
    assert world.portals[0].problem == ""


def test_another_start_of_the_portal_makes_no_other_day(world):
    portal = world.portal(mb_a_day=12)
    world.camera(portal, *[6_000_000] * 2).start()
    world.after()
    world.kill(portal)
    world.after(HELD_S + 1)
    camera = world.camera(world.portal(mb_a_day=12), 6_000_000)
    camera.offers = [replace(camera.offers[0], file="000000/000000009-main.mp4")]
    camera.start()
    world.after()
    assert camera.told == []
    assert len(world.objects.whole) == 2


def test_a_file_that_grew_since_it_was_begun_counts_as_large_as_it_is(world):
    camera = world.camera(world.portal(mb_a_day=12))
    camera.start()
    small, large = offered(1), offered(2**40, part_bytes=2**32)
    for one in (small, large):
        camera.say(fields_of(UploadSection("sending", next=one, want=(1,))))
        world.after()
    assert [wish.bytes for _, wish in camera.told] == [1]
    assert "mb_a_day" in world.portals[0].problem


def test_a_file_whose_parts_are_of_another_size_than_it_was_begun_with_is_counted_anew(world):
    camera = world.camera(world.portal(mb_a_day=15))
    camera.start()
    for part_bytes in (PART, 2 * PART):
        one = offered(10_000_000, part_bytes=part_bytes)
        camera.say(fields_of(UploadSection("sending", next=one, want=(1,))))
        world.after()
    assert len(camera.told) == 1
    assert "mb_a_day" in world.portals[0].problem


def test_a_file_is_counted_once_however_often_it_gets_urls(world):
    camera = world.camera(world.portal(mb_a_day=96), 18 * PART)
    camera.start()
    world.after()
    assert list(world.objects.whole) == [KEY]


def test_an_upload_that_the_store_refuses_to_begin_uses_up_no_day(world):
    portal = world.portal(mb_a_day=12)
    camera = world.camera(portal, 6_000_000)
    begin, refused = world.objects.begin, []

    async def refuse(*_):
        refused.append(1)
        raise BucketError("the store says SlowDown", is_down=False)

    world.objects.begin = refuse
    camera.start()
    world.after(3600)
    assert len(refused) > 2
    world.objects.begin = begin
    world.after(3600)
    assert list(world.objects.whole) == [KEY]


def test_a_store_that_is_away_is_asked_ever_more_rarely_and_then_served(world, caplog):
    caplog.set_level(logging.DEBUG)
    world.objects.fault = BucketError("the store does not answer")
    portal = world.portal()
    camera = world.camera(portal, 2 * PART)
    camera.start()
    world.after(3600)
    assert 5 <= len(world.objects.asked) <= 25
    assert "the store does not answer" in portal.problem
    assert camera.told == []
    world.objects.fault = None
    world.after(400)
    assert list(world.objects.whole) == [KEY]
    assert portal.problem == ""
    assert "https://" not in caplog.text


@pytest.mark.parametrize("why", ["away", "nothing", "revoked"])
def test_a_fault_of_the_store_is_forgotten_with_the_last_who_needs_it(world, why):
    portal = world.portal()
    camera = world.camera(portal, 5)
    world.objects.fault = BucketError("the store does not answer")
    camera.start()
    world.after()
    assert portal.problem
    if why == "revoked":
        portal.on_revoked("front")
    if why == "nothing":
        camera.offers.clear()
        camera.say()
    else:
        camera.leave()
    world.after()
    assert bool(portal.problem) == (why == "revoked"), "what it has begun is not aborted yet"
    world.objects.fault = None
    world.after(400)
    assert portal.problem == ""


def test_a_day_that_is_used_up_is_no_fault_of_the_store(world):
    portal = world.portal(mb_a_day=5)
    world.objects.fault = BucketError("the store does not answer")
    world.camera(portal, 6_000_000).start()
    world.after()
    world.objects.fault = None
    world.after(60)
    assert portal.problem == "portal.upload.mb_a_day is used up by front"


def test_what_one_camera_brings_upon_itself_holds_up_no_other(world, caplog):
    portal = world.portal()
    bad, good = world.camera(portal, 5, name="bad"), world.camera(portal, 5, name="good")
    complete = world.objects.complete

    async def refuse(key, upload, parts):
        if "/bad/" in key:
            raise BucketError("the store says InvalidPart", is_down=False)
        await complete(key, upload, parts)

    world.objects.complete = refuse
    bad.start()
    world.after()
    good.start()
    world.after()
    assert good.commands == ["upload", "uploaded"]
    assert bad.commands == ["upload"]
    assert "the upload of bad waits: the store says InvalidPart" in caplog.text


def test_a_fault_of_ours_holds_up_no_other_camera(world, caplog):
    portal = world.portal()
    bad, good = world.camera(portal, 5, name="bad"), world.camera(portal, 5, name="good")
    size = world.objects.size

    async def fail(key):
        if "/bad/" in key:
            raise RuntimeError("a fault")
        return await size(key)

    world.objects.size = fail
    bad.start()
    good.start()
    world.after(5)
    assert good.commands == ["upload", "uploaded"]
    assert "by a fault of ours" in caplog.text


def test_a_file_that_vanished_leaves_nothing_behind(world):
    camera = world.camera(world.portal(), 2 * PART, 5)
    camera.is_mute = True
    camera.start()
    world.after()
    assert [key for key, _ in world.objects.uploads] == [KEY]
    camera.offers.pop(0)
    camera.is_mute = False
    camera.say()
    world.after()
    assert world.objects.uploads == {}
    assert list(world.objects.whole) == [NEXT_KEY]


def test_what_was_begun_before_the_portal_did_is_aborted_and_no_other_cameras(world):
    world.objects.uploads["cams/front/2026/11/01/000000-000000007-main.mp4", "old"] = {}
    world.objects.uploads["cams/front2/2026/11/01/000000-000000007-main.mp4", "old"] = {}
    world.camera(world.portal(), 5).start()
    world.after()
    assert [key for key, _ in world.objects.uploads] == ["cams/front2/2026/11/01/000000-000000007-main.mp4"]


def test_the_urls_of_a_revoked_camera_are_good_for_nothing(world):
    portal = world.portal()
    camera = world.camera(portal, 2 * PART)
    camera.is_mute = True
    camera.start()
    world.after()
    portal.gateway.on_revoked("front")
    portal.on_revoked("front")
    world.after()
    assert world.objects.uploads == {}
    assert len(camera.told) == 1


def test_what_a_camera_had_begun_that_was_revoked_meanwhile_is_aborted(world):
    portal = world.portal()
    camera = world.camera(portal, 2 * PART)
    camera.is_mute = True
    camera.start()
    world.after()
    assert [key for key, _ in world.objects.uploads] == [KEY]
    world.kill(portal)
    world.portal().on_revoked("front")
    world.after()
    assert world.objects.uploads == {}


def test_who_enrols_at_once_under_the_name_of_a_revoked_camera_is_served(world):
    portal = world.portal()
    world.camera(portal, 5).start()
    world.after()
    portal.gateway.on_revoked("front")
    portal.on_revoked("front")
    world.after()
    camera = world.camera(portal, 5, 7)
    camera.offers.pop(0)
    camera.start()
    world.after()
    assert sorted(world.objects.whole) == [KEY, NEXT_KEY]


def test_so_many_are_answered_at_a_time(world):
    portal = world.portal()
    world.objects.gate = asyncio.Event()
    cameras = [world.camera(portal, 5, name=f"camera-{number}") for number in range(3 * AT_ONCE)]
    for camera in cameras:
        camera.start()
    world.after(1)
    assert world.objects.at_once == AT_ONCE
    world.objects.gate.set()
    world.after(5)
    assert len(world.objects.whole) == 3 * AT_ONCE


def test_an_offer_that_stands_is_answered_ever_more_rarely(world):
    camera = world.camera(world.portal(), 5)
    camera.is_mute = True
    camera.start()
    world.after(6 * 3600)
    assert 4 <= len(camera.told) <= 14


def test_a_camera_that_says_another_thing_all_the_time_is_answered_so_often(world):
    camera = world.camera(world.portal(), 5)
    camera.is_mute = True
    camera.start()
    for number in range(400):
        camera.offers = [offered(5, number + 1)]
        camera.say()
        world.after(0.05)
    assert len(camera.told) <= intake.ANSWERS_PER_MINUTE


def test_a_camera_that_is_away_or_asks_for_nothing_costs_no_call(world):
    portal = world.portal()
    camera = world.camera(portal, 5)
    camera.start()
    camera.leave()
    idle = world.camera(portal, name="idle")
    idle.start()
    world.after(300)
    assert world.objects.asked == []
    camera.start()
    world.after()
    assert camera.commands == ["upload", "uploaded"]


def test_a_camera_that_takes_no_more_commands_is_told_later(world):
    portal = world.portal()
    refused = []

    def refuse(*_):
        refused.append(1)
        raise MessageError("too-many-commands", "too many")

    tell, portal._tell = portal._tell, refuse
    camera = world.camera(portal, 5)
    camera.start()
    world.after()
    assert refused
    portal._tell = tell
    world.after(200)
    assert camera.commands == ["upload", "uploaded"]


def test_the_name_of_an_object_says_when_it_began():
    assert key_of("", "yard", offered(5), BEGAN) == "yard/2026/11/29/095600-000000001-main.mp4"


def test_a_portal_without_a_store_loads_nothing_for_one():
    said = subprocess.run(
        [sys.executable, "-c", "import sys, agent.server; print('aiobotocore' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "False\n"
