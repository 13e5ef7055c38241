"""What a portal and a person see of a device that sends its recordings, over hours that pass at once."""

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.clock import LoopClock

from agent.errors import PinholeError
from agent.model.command import COMMANDS, CommandError, parse_arguments
from agent.model.threads import HungCallError
from agent.upload import uploader as module
from agent.upload.parcel import PART_BYTES
from agent.upload.sending import Answer, FileGoneError, HaltedError
from agent.upload.uploader import PASSED_S, SILENT_S, STUCK_S, Means, Uploader

OK, STEP_S = Answer(200), 2.5


def kept(number, parts=1):
    return SimpleNamespace(
        id=number, name=f"000000/{number:09}-main.mp4", stream="main", wall_us=1_900_000_000_000_000,
        size_bytes=(parts - 1) * PART_BYTES + 1000, event="",
    )  # fmt: skip


class Device:
    """An uploader, a store that answers as it is told, and what was seen of both."""

    folder = Path("/recordings")

    def __init__(self, *files):
        self.files = {one.id: one for one in files}
        self.why, self.missed, self.is_open, self.fault = "", 0, True, None
        self.answers, self.puts, self.events, self.told, self.counted = [], [], [], [], []
        means = Means(
            lambda: self if self.is_open else None, lambda: self.why, lambda: self.missed, lambda: None,
            self.counted.append, lambda *event: self.events.append(event), self.note, lambda _: None,
        )  # fmt: skip
        self.clock = LoopClock(step_s=STEP_S)
        self.until, self.after = self.clock.until, self.clock.after
        self.uploader = Uploader(means, allow_http=False, clock=lambda: self.clock.now_s, jitter=lambda: 0.5)

    # The shelf.

    def next_kept(self, but):
        self.check()
        return next((one for number, one in self.files.items() if number not in but), None)

    def is_kept(self, number):
        self.check()
        return number in self.files

    def waiting(self):
        return len(self.files), sum(one.size_bytes for one in self.files.values())

    def note_uploaded(self, number):
        self.check()
        del self.files[number]

    def check(self):
        if self.fault:
            raise self.fault

    # The portal, and time.

    def note(self):
        self.told.append(self.section)

    @property
    def section(self):
        return self.uploader.section()

    def give(self, *numbers, url="https://store.example/p", have=(), life_s=3600.0, **changes):
        arguments = {
            "file": self.section.next.file, "bytes": self.section.next.bytes, "have": list(have),
            "expires_unix_s": time.time() + life_s,
            "parts": [{"number": number, "url": f"{url}{number}"} for number in numbers],
        }  # fmt: skip
        self.uploader.take(None, parse_arguments(COMMANDS["upload"], arguments | changes))

    def finish(self, **changes):
        arguments = {"file": self.section.next.file, "bytes": self.section.next.bytes} | changes
        self.uploader.finish(None, parse_arguments(COMMANDS["uploaded"], arguments))


class FakeSending:
    def __init__(self, device, file, part):
        self.device, self.file, self.part, self.sent_bytes, self.is_halted = device, file, part, 0, False

    def halt(self):
        self.is_halted = True

    abandon = halt

    def run(self):
        self.device.puts.append((self.file.name, self.part.number))
        answer = self.device.answers.pop(0) if self.device.answers else OK
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer = answer(self)
        self.sent_bytes = self.part.size_bytes
        return answer


@pytest.fixture
def begun(monkeypatch):
    """Begins an uploader."""

    @asynccontextmanager
    async def begin(*files):
        device = Device(*files)
        monkeypatch.setattr(module, "Sending", lambda file, _, part, *__: FakeSending(device, file, part))
        monkeypatch.setattr(module, "call_in_thread", at_once)
        task = asyncio.create_task(device.uploader.run())
        await asyncio.sleep(0)
        yield device
        task.cancel()
        await asyncio.wait((task,))

    return begin


async def at_once(_name, _limit_s, call):
    return call()


async def test_a_file_is_offered_sent_and_forgotten_once_the_store_has_it(begun):
    async with begun(kept(1, parts=2), kept(2)) as device:
        await device.until(lambda: device.section.next)
        assert (device.section.state, device.section.want) == ("sending", (1, 2))
        assert (device.section.waiting, device.section.waiting_bytes) == (2, PART_BYTES + 2000)
        device.give(1, 2)
        await device.until(lambda: device.section.next.is_sent)
        assert device.puts == [("000000001-main.mp4", 1), ("000000001-main.mp4", 2)]
        assert sum(device.counted) == PART_BYTES + 1000
        device.finish()
        await device.until(lambda: device.section.next and device.section.next.file.endswith("2-main.mp4"))
        assert list(device.files) == [2]
        assert device.section.sent == 1
        device.give(1)
        await device.until(lambda: device.section.next.is_sent)
        device.finish()
        await device.until(lambda: device.section.state == "idle")
        assert (device.section.waiting, device.section.next) == (0, None)


async def test_the_state_is_told_a_few_times_a_file_and_not_by_part(begun):
    async with begun(kept(1, parts=8)) as device:
        await device.until(lambda: device.section.next)
        device.give(*range(1, 9))
        await device.until(lambda: device.section.next.is_sent)
        device.finish()
        await device.until(lambda: device.section.state == "idle")
        assert len(device.told) <= 6


async def test_nothing_is_offered_while_something_is_in_the_way(begun):
    async with begun(kept(1)) as device:
        device.why = "hours"
        await device.until(lambda: device.section.why == "hours")
        assert (device.section.state, device.section.next, device.section.want) == ("waiting", None, ())
        await device.after(7 * 3600)
        assert (device.puts, device.events) == ([], [])
        device.why = ""
        await device.until(lambda: device.section.next)


async def test_who_comes_to_watch_ends_a_part_which_is_begun_anew_later(begun):
    async with begun(kept(1, parts=2)) as device:

        def watched(sending):
            device.why = "viewer"
            device.uploader.look()
            assert sending.is_halted
            raise HaltedError("somebody watches")

        device.answers = [OK, watched]
        await device.until(lambda: device.section.next)
        device.give(1, 2)
        await device.until(lambda: device.section.why == "viewer")
        assert device.section.next is None
        device.why = ""
        await device.until(lambda: device.section.next and device.section.next.is_sent)
        assert [number for _, number in device.puts] == [1, 2, 2]
        assert device.section.problem == ""


async def test_nothing_is_begun_where_a_viewer_comes_at_the_last_moment(begun):
    async with begun(kept(1)) as device:
        await device.until(lambda: device.section.next)
        real = device.is_kept
        device.is_kept = lambda number: setattr(device, "why", "viewer") or real(number)
        device.give(1)
        await device.until(lambda: device.section.why == "viewer")
        assert device.puts == []


async def test_after_a_start_only_what_the_store_lacks_is_sent(begun):
    async with begun(kept(1, parts=3)) as device:
        await device.until(lambda: device.section.next)
        device.give(2, have=(1, 3))
        await device.until(lambda: device.section.next.is_sent)
        assert [number for _, number in device.puts] == [2]


async def test_a_network_that_fails_is_tried_again_with_longer_and_longer_pauses(begun):
    async with begun(kept(1)) as device:
        device.answers, times = [OSError(111, "Connection refused")] * 12, []
        await device.until(lambda: device.section.next)
        device.give(1, life_s=10 * 86_400)
        while not device.section.next.is_sent:
            count = len(device.puts)
            await device.until(lambda seen=count: len(device.puts) > seen)
            times.append(device.clock.now_s)
            if count == 0:
                await device.until(lambda: device.section.why == "store")
                assert device.section.problem == "the store: Connection refused"
        pauses = [later - sooner for sooner, later in pairwise(times)]
        for number, pause_s in enumerate(pauses):
            assert abs(pause_s - min(2**number, 300)) <= 2 * STEP_S
        assert len(pauses) == 12
        assert (device.section.why, device.section.problem) == ("", "")


async def test_of_a_store_that_takes_nothing_for_hours_an_event_tells_once(begun):
    async with begun(kept(1)) as device:
        device.answers = [Answer(503, "SlowDown")] * 500
        await device.until(lambda: device.section.next)
        device.give(1, life_s=30 * 86_400)
        await device.until(lambda: device.events)
        assert device.clock.now_s >= STUCK_S
        ((kind, words, _),) = device.events
        assert kind == "upload-failed"
        assert "503 SlowDown" in words
        device.answers.clear()
        await device.until(lambda: device.section.next.is_sent)
        assert [kind for kind, *_ in device.events] == ["upload-failed", "upload-recovered"]


async def test_under_a_portal_without_a_store_it_says_so_and_little_else(begun):
    async with begun(kept(1)) as device:
        await device.until(lambda: device.section.why == "store")
        assert device.section.next, "a portal that has a store later finds it"
        assert device.section.problem == "the portal gives no URL: it has no store, or cannot reach it"
        assert device.clock.now_s < 1000 + SILENT_S + 20
        count = len(device.told)
        await device.until(lambda: device.events)
        assert len(device.told) == count
        assert [kind for kind, *_ in device.events] == ["upload-failed"]


async def test_a_url_that_the_store_refuses_is_asked_for_anew(begun):
    async with begun(kept(1)) as device:
        device.answers = [Answer(403, "AccessDenied")]
        await device.until(lambda: device.section.next)
        device.give(1)
        await device.until(lambda: device.section.want == (1,) and device.puts)
        assert device.section.problem == "the store refuses: 403 AccessDenied"
        device.give(1)
        await device.until(lambda: device.section.next.is_sent)
        assert device.section.problem == ""


async def test_what_kept_the_last_file_waiting_is_forgotten_with_it(begun):
    async with begun(kept(1)) as device:
        device.answers = [Answer(503, "SlowDown")] * 9
        await device.until(lambda: device.section.next)
        device.give(1)
        await device.until(lambda: device.section.problem)
        device.files.clear()
        await device.until(lambda: device.section.state == "idle")
        assert device.section.problem == ""


async def test_a_file_that_the_store_refuses_says_why_while_it_is_left_alone(begun):
    async with begun(kept(1)) as device:
        device.answers = [Answer(403, "AccessDenied")] * 5
        await device.until(lambda: device.section.next)
        while device.section.next:
            device.give(1)
            await device.after(10)
        assert device.section.state == "idle"
        assert device.section.problem == "the store refuses: 403 AccessDenied"


async def test_an_upload_that_the_store_has_forgotten_is_begun_anew(begun):
    async with begun(kept(1, parts=2)) as device:
        device.answers = [OK, Answer(404, "NoSuchUpload")]
        await device.until(lambda: device.section.next)
        device.give(1, 2)
        await device.until(lambda: device.section.want == (1, 2) and len(device.puts) == 2)


async def test_a_file_for_which_the_portal_gives_nothing_makes_way_for_the_next(begun):
    async with begun(kept(1), kept(2)) as device:
        await device.until(lambda: device.section.next and device.section.next.file.endswith("2-main.mp4"))
        device.give(1)
        await device.until(lambda: device.section.next.is_sent)
        device.finish()
        await device.until(lambda: device.section.next and device.section.next.file.endswith("1-main.mp4"))


async def test_a_store_that_has_not_what_it_took_does_not_use_up_the_data_plan(begun):
    async with begun(kept(1), kept(2)) as device:
        await device.until(lambda: device.section.next)
        for _ in range(20):
            if device.section.next.file.endswith("1-main.mp4"):
                device.give(1)
            await device.after(10)
        assert 3 <= len(device.puts) <= 8
        assert device.section.problem == "the store has not what it took"
        device.give(1)
        await device.after(PASSED_S / 2)
        assert {name for name, _ in device.puts} == {"000000001-main.mp4"}, "nor does the next file at once"


async def test_a_file_that_is_refused_again_and_again_does_not_hold_the_others_up(begun):
    async with begun(kept(1), kept(2)) as device:
        device.answers = [Answer(400, "EntityTooLarge")] * 5
        await device.until(lambda: device.section.next)
        while device.section.next.file.endswith("1-main.mp4"):
            if device.section.want:
                device.give(1)
            await device.after(1)
        device.give(1)
        await device.until(lambda: device.section.next.is_sent)
        device.finish()
        passed_s = device.clock.now_s
        await device.until(lambda: device.section.next and device.section.next.file.endswith("1-main.mp4"))
        assert device.clock.now_s - passed_s <= PASSED_S


@pytest.mark.parametrize("is_listed", [True, False])
async def test_a_file_that_is_gone_holds_nothing_up(begun, is_listed):
    async with begun(kept(1), kept(2)) as device:
        await device.until(lambda: device.section.next)
        if is_listed:
            device.answers = [FileGoneError("No such file or directory")]
            device.give(1)
        else:
            del device.files[1]
        await device.until(lambda: device.section.next and device.section.next.file.endswith("2-main.mp4"))
        assert device.events == []


async def test_a_disk_that_fails_is_waited_for(begun):
    async with begun(kept(1)) as device:
        await device.until(lambda: device.section.next)
        for fault in (PinholeError("away"), OSError(5, "Input/output error"), HungCallError("hangs")):
            device.fault = fault
            await device.until(lambda: device.section.why == "disk")
            assert device.section.next is None
            device.fault = None
            await device.until(lambda: device.section.next)
        device.is_open = False
        await device.until(lambda: device.section.why == "disk")


async def test_what_the_index_could_not_note_is_noted_later(begun):
    async with begun(kept(1)) as device:
        await device.until(lambda: device.section.next)
        device.fault = OSError(5, "Input/output error")
        device.finish()
        await device.until(lambda: device.section.why == "disk")
        device.fault = None
        await device.until(lambda: device.section.state == "idle")
        assert (device.files, device.section.sent) == ({}, 1)


async def test_what_was_removed_before_it_was_sent_is_told_once_an_hour(begun):
    async with begun() as device:
        device.why, device.missed = "signal", 3
        await device.until(lambda: device.events)
        device.missed = 5
        await device.after(500)
        assert device.events == [
            (
                "upload-missed",
                "3 recordings were removed before they were sent to the store",
                {"files": 3, "why": "signal"},
            )
        ]
        await device.until(lambda: len(device.events) == 2)
        assert device.events[1][2]["files"] == 2
        assert device.section.missed == 5


async def test_losses_are_told_of_a_recorder_that_was_begun_anew_as_well(begun):
    async with begun() as device:
        device.why, device.missed = "signal", 50
        await device.until(lambda: device.events)
        device.missed = 0
        await device.after(60)
        device.missed = 45
        await device.until(lambda: len(device.events) == 2)
        assert device.events[1][2]["files"] == 45


@pytest.mark.parametrize(
    ("numbers", "changes", "code"),
    [
        ((1,), {"file": "000000/000000009-main.mp4"}, "unknown-file"),
        ((1,), {"bytes": 999}, "unknown-file"),
        ((2,), {}, "unknown-part"),
        ((1,), {"have": (2,)}, "unknown-part"),
        ((1,), {"url": "http://store.example/p"}, "not-https"),
        ((1,), {"url": "https://u:p@store.example/p"}, "bad-url"),
        ((1,), {"url": "https://[::1/p"}, "bad-url"),
        ((1,), {"url": "https://store.example:0/p"}, "bad-url"),
        ((1,), {"url": "https:///p"}, "bad-url"),
        ((1,), {"life_s": -1.0}, "expired"),
    ],
)
async def test_what_a_portal_may_not_ask_for_is_refused(begun, numbers, changes, code):
    async with begun(kept(1)) as device:
        await device.until(lambda: device.section.next)
        with pytest.raises(CommandError) as caught:
            device.give(*numbers, **changes)
        assert caught.value.code == code
        assert "store.example" not in str(caught.value), "a URL is a secret"
        known = "" if code == "unknown-file" else str(caught.value)
        assert device.section.problem == known, "or nobody would know"
        await device.after(100)
        assert device.puts == []


async def test_a_file_that_is_not_offered_is_not_called_uploaded(begun):
    async with begun(kept(1), kept(2)) as device:
        await device.until(lambda: device.section.next)
        with pytest.raises(CommandError) as caught:
            device.finish(file="000000/000000002-main.mp4")
        assert caught.value.code == "unknown-file"
        await device.after(100)
        assert list(device.files) == [1, 2]
