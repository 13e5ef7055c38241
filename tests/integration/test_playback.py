"""Looking back: recorded pictures over a session, at the speed and on the stream that its link carries."""

import asyncio
import json
import re
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from parts.flip_book import FPS, GOP, MOST, START_US, number_of, pages
from parts.recordings import OFFSET_US, RecordingsFolder
from parts.stock_viewer import device, viewer

from agent.media.packetizer import to_rtp_frame
from agent.model.command import CommandError
from agent.model.pacing import Room
from agent.record.playbacks import Shelf
from agent.record.player import Player

START_S = (START_US + OFFSET_US) / 1e6
MAIN, PREVIEW = (96, 64), (48, 32)
WHO = {"user": "ann", "permissions": ("watch", "recordings")}
PATIENCE_S = 30


@pytest.fixture
def desk(tmp_path):
    made = RecordingsFolder(tmp_path / "recordings")
    made.record(pages(*MAIN))
    yield made
    made.index.close()


def at(number):
    """When the picture of this number was taken, since 1970."""
    return START_S + number / FPS


def said(unix_s):
    return datetime.fromtimestamp(int(unix_s + 1e-6), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class LookingBack:
    """A stock viewer that looks back."""

    def __init__(self, one):
        self.one = one
        self.numbers = []

    async def do(self, name, **arguments):
        asked = {"type": "command", "id": secrets.token_hex(16), "name": name, "arguments": arguments}
        return await self.one.ask(json.dumps(asked))

    async def standing(self):
        return (await self.one.ask('{"type":"stats"}'))["playback"]

    async def next(self):
        """The number of the next recorded picture, or None for a live one."""
        frame = await self.one.next_frame(PATIENCE_S)
        if (frame.width, frame.height) != MAIN:
            return None
        self.numbers.append(number_of(frame))
        return self.numbers[-1]

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition(number := await self.next()):
                pass
        return number

    async def rest(self):
        """Until it stands, and the last picture has come; its number.

        That is the one before the picture where it stands: aiortc shows one when the next begins.
        """
        async with asyncio.timeout(PATIENCE_S):
            while (told := await self.standing())["state"] != "paused":
                await asyncio.sleep(0.05)
            number = round((told["at"] - START_S) * FPS) - 1
            while not self.numbers or self.numbers[-1] != number:
                await self.next()
        return number


async def test_a_viewer_looks_back_and_returns_to_the_live_picture(desk):
    async with device() as cam, viewer(cam, **WHO) as one:
        cam.record(desk.index)
        await one.connect()
        back = LookingBack(one)
        await back.until(lambda number: number is None)
        assert await back.standing() is None
        assert (await back.do("play", at=at(50)))["ok"]
        assert await back.until(lambda number: number is not None) == 40, "the keyframe at once"
        await back.until(lambda number: number == 65)
        assert back.numbers == list(range(40, 66)), "and every picture behind it"
        told = await back.standing()
        assert (told["state"], told["speed"], told["stream"]) == ("playing", 1.0, "main")
        assert told["at"] > at(64)

        assert (await back.do("seek", speed=0))["ok"]
        stood = await back.rest()
        await back.do("step")
        assert await back.next() == stood + 1
        await back.do("step", pictures=-2)
        await back.until(lambda number: number == stood - 1)
        assert await back.rest() == stood - 1, "a decoder gets there from the keyframe before"

        await back.do("seek", at=at(80), speed=20)
        await back.until(lambda number: number == 80)
        back.numbers.clear()
        await back.until(lambda number: number == 160)
        assert back.numbers == [100, 120, 140, 160], "keyframes alone"
        await back.do("seek", speed=-20)
        await back.until(lambda number: number <= 60)
        await back.do("seek", speed=1)
        back.numbers.clear()
        first = await back.until(lambda number: number is not None and number % GOP == 5)
        tail = back.numbers[back.numbers.index(first) - 4 :]
        assert tail == list(range(first - 4, first + 1)), "all of them again"

        assert (await back.do("live"))["ok"]
        await back.until(lambda number: number is None)
        assert await back.standing() is None
        refused = await back.do("seek", speed=1)
        assert (refused["ok"], refused["code"]) == (False, "is-live")


async def test_nothing_is_encoded_for_who_looks_back(desk):
    async with device() as cam, viewer(cam, **WHO) as one:
        cam.record(desk.index)
        await one.connect()
        back = LookingBack(one)
        await back.until(lambda number: number is None)
        assert cam.watchers == 1
        await back.do("play", at=at(0))
        await back.until(lambda number: number is not None)
        assert cam.watchers == 0
        await back.do("live")
        await back.until(lambda number: number is None)
        assert cam.watchers == 1


class Screen:
    """A viewer's side of the congestion control."""

    def __init__(self):
        self.stream = "main"
        self._room = Room(10_000_000, 0, is_stalled=False, wants_keyframe=False)
        self.looks = 0
        self.is_live = True
        self.shown = []
        self.came = asyncio.Event()

    @property
    def room(self):
        self.looks += 1
        self.came.set()
        return self._room

    def leave_live(self):
        self.is_live = False

    def go_live(self):
        self.is_live = True
        self.came.set()

    def show(self, frame):
        assert not self.is_live
        self.shown.append((frame, time.monotonic()))
        self.came.set()

    def set(self, **changes):
        self._room = replace(self._room, **changes)

    async def until_looked_at(self, times):
        await self.until(lambda: self.looks >= times)

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):
                self.came.clear()
                await self.came.wait()
        return found


class Play:
    """A player of this folder, with a right that may go."""

    def __init__(self, desk, index=None):
        self.screen, self.may, self.told = Screen(), True, []
        self.player = Player(
            Shelf(index or (lambda: desk.index)),
            self.screen,
            to_rtp_frame,
            lambda: self.may,
            self.told.append,
        )
        self._task = asyncio.create_task(self.player.run(), name="player")

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, state):
        async with asyncio.timeout(PATIENCE_S):
            while (standing := self.player.standing) is None or standing.state != state:
                await asyncio.sleep(0.01)
        return standing


async def test_who_loses_the_right_sees_no_more_of_it(desk):
    async with Play(desk) as one:
        one.player.play(at(0), 1.0, small=False)
        await one.screen.until(lambda: len(one.screen.shown) > 3)
        assert one.told == [], "while it goes on"
        one.may = False
        await one.screen.until(lambda: one.screen.is_live)
        assert one.player.standing is None
        [words] = one.told
        assert words.startswith(f"from {said(at(0))} on; saw {said(at(0))} to ")


async def test_what_was_watched_is_told_once_with_all_that_was_sought_in_it(desk):
    async with Play(desk) as one:
        one.player.play(at(60), 0.0, small=False)
        await one.until("paused")
        one.player.seek(at(0), 0.0, small=False)
        await one.screen.until(lambda: abs(one.player.standing.at - at(0)) < 0.01)
        one.player.seek(at(120), 0.0, small=False)
        await one.screen.until(lambda: abs(one.player.standing.at - at(120)) < 0.01)
        one.player.tell_over()  # its session ends
        one.player.go_live()
        await one.screen.until(lambda: one.screen.is_live)
        [words] = one.told
        assert re.fullmatch(rf"from {said(at(60))} on; saw {said(at(0))} to {said(at(120))}, in \d+ s", words)


@pytest.mark.parametrize(("speed", "state"), [(0.0, "paused"), (0.001, "playing")])
async def test_a_right_that_goes_while_nothing_moves_ends_it_too(desk, speed, state):
    async with Play(desk) as one:
        one.player.play(at(0), speed, small=False)
        await one.until(state)
        await one.screen.until(lambda: one.screen.shown)
        one.may = False
        await one.screen.until(lambda: one.screen.is_live)


async def test_a_link_that_carries_too_little_is_shown_the_small_stream_and_main_again(desk):
    desk.record(pages(*PREVIEW), "preview")
    async with Play(desk) as one:
        one.player.play(at(0), 1.0, small=False)
        await one.screen.until(lambda: one.screen.shown)
        assert one.player.standing.stream == "main"
        one.screen.set(carries_bps=100)
        await one.screen.until(lambda: one.player.standing.stream == "preview")
        one.screen.set(carries_bps=50_000_000)
        await one.screen.until(lambda: one.player.standing.stream == "main")


async def test_nothing_is_handed_to_a_link_that_is_full(desk):
    async with Play(desk) as one:
        one.player.play(at(0), 2.0, small=False)
        await one.screen.until(lambda: len(one.screen.shown) >= 3)
        one.screen.set(queue_ms=500)
        stood, looks = len(one.screen.shown), one.screen.looks
        await one.screen.until_looked_at(looks + 50)
        assert len(one.screen.shown) <= stood + 1
        one.screen.set(queue_ms=0)
        await one.screen.until(lambda: len(one.screen.shown) > stood + 5)


async def test_who_scrubbed_over_small_pictures_is_shown_main_again(desk):
    desk.record(pages(*PREVIEW), "preview")
    async with Play(desk) as one:
        one.player.play(at(0), 0.0, small=True)
        assert (await one.until("paused")).stream == "preview"
        one.player.seek(None, 1.0, small=False)
        await one.until("playing")
        assert one.player.standing.stream == "main"
        shown = len(one.screen.shown)
        await one.screen.until(lambda: len(one.screen.shown) > shown)
        assert one.player.standing.at >= at(0)


async def test_a_seek_that_was_not_begun_is_not_lost_to_the_next_order(desk):
    async with Play(desk) as one:
        one.player.play(at(0), 0.0, small=False)
        await one.until("paused")
        one.player.seek(at(100), 1.0, small=False)
        one.player.seek(None, 0.0, small=False)
        await one.until("paused")
        assert one.player.standing.at == pytest.approx(at(100))


async def test_a_viewer_that_lost_a_picture_gets_the_group_anew(desk):
    async with Play(desk) as one:
        one.player.play(at(30), 0.0, small=False)
        await one.until("paused")
        assert len(one.screen.shown) == 11, "from the keyframe to the very picture"
        await asyncio.sleep(1.1)
        one.screen.set(wants_keyframe=True)
        await one.screen.until(lambda: len(one.screen.shown) >= 22)
        one.screen.set(wants_keyframe=False)
        assert one.screen.shown[11][0].is_keyframe
        assert one.screen.shown[21][0].payloads == one.screen.shown[10][0].payloads


async def test_the_end_is_said_and_what_comes_then_is_shown(desk):
    async with Play(desk) as one:
        one.player.play(at(MOST - 5), 1.0, small=False)
        await one.until("ended")
        shown = len(one.screen.shown)
        later_us = START_US + (MOST + 100) * 1_000_000 // FPS
        desk.record(pages(*MAIN, range(40), later_us))
        await one.screen.until(lambda: len(one.screen.shown) > shown + 3)
        assert one.player.standing.at >= at(MOST + 100), "a gap is not waited for"


async def test_where_nothing_is_recorded_it_says_so(tmp_path):
    empty = RecordingsFolder(tmp_path / "empty")
    async with Play(empty) as one:
        with pytest.raises(CommandError, match="nothing is recorded"):
            one.player.play(at(0), 1.0, small=False)
        assert one.screen.is_live
    empty.index.close()


async def test_a_folder_that_goes_away_leads_back_to_the_live_picture(desk):
    there = [desk.index]
    async with Play(desk, lambda: there[0]) as one:
        there[0] = None
        with pytest.raises(CommandError):
            one.player.play(at(0), 1.0, small=False)
        there[0] = desk.index
        one.player.play(at(0), 0.0, small=False)
        await one.until("paused")
        for file in desk.files():
            file.unlink()
        desk.index.reconcile()
        one.player.seek(at(150), 1.0, small=False)
        await one.screen.until(lambda: one.screen.is_live)
        assert one.player.standing is None
