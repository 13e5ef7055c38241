"""Our answer-only peer against aiortc's own RTCPeerConnection, in one process."""

import asyncio
import contextlib
import gc
import itertools
import json
import struct
import time
from itertools import pairwise
from pathlib import Path

import pytest
from parts.stock_viewer import device, viewer
from parts.tone import Room, Voice, pitch_hz

from agent.rtc.rtcp import XR
from agent.rtc.sessions import GIVEN_TO_FEWER, GIVEN_TO_HIGHER

DEAD_STUN = {"urls": ["stun:192.0.2.254:3478"]}  # TEST-NET-1: nobody answers
DEAD_TURN = {"urls": ["turn:192.0.2.254:3478?transport=udp"], "username": "u", "credential": "c"}


async def test_video_and_control_channel_reach_a_stock_viewer():
    async with device() as cam, viewer(cam) as one:
        await one.connect()
        assert cam.watchers == 1, "the camera starts with the offer"
        pictures = [await one.next_frame() for _ in range(10)]
        assert {(p.width, p.height) for p in pictures} == {(320, 240)}
        pong = await one.ask('{"type":"ping","id":3}')
        assert (pong["type"], pong["id"]) == ("pong", 3)
        stats = await one.ask('{"type":"stats"}')
        assert stats["path"] == "host"
        assert stats["sent_frames"] >= 10
        assert (await one.ask("nonsense"))["code"] == "invalid"


async def test_a_command_comes_with_what_the_portal_signed_for_its_viewer():
    who = {"user": "ann", "permissions": ("watch", "control")}
    async with device() as cam, viewer(cam, **who) as one:
        await one.connect()
        asked = {"type": "command", "id": "0f" * 16, "name": "identify", "arguments": {"seconds": 5}}
        told = await one.ask(json.dumps(asked))
        assert (told["type"], told["id"], told["ok"]) == ("result", "0f" * 16, True)
        [order] = cam.orders
        assert (order.user, order.permissions, order.way) == ("ann", ("watch", "control"), "session")
        assert (order.name, order.arguments) == ("identify", {"seconds": 5})


async def test_a_viewer_that_asks_for_the_round_trip_is_told_how_long_its_question_waited():
    """Else it takes the wait for the way, and asks for each lost packet the more seldom."""
    async with device() as cam, viewer(cam) as one:
        await one.connect()
        await one.next_frame()
        transport, heard = one.pc.getReceivers()[0].transport, asyncio.Queue()

        async def hear(data):
            if data[1] == XR:
                heard.put_nowait(data)

        transport._handle_rtcp_data = hear
        async with asyncio.timeout(60):
            for question in itertools.count(1):  # the second right after a report: it waits for the next one
                asked_s = time.monotonic()
                await transport._send_rtp(struct.pack("!BBHIBBHQ", 0x80, XR, 4, 7, 4, 0, 2, question << 16))
                (*_, asker, about, waited) = struct.unpack("!BBHIBBHIII", await heard.get())
                assert (asker, about) == (7, question)
                elapsed_s, waited_s = time.monotonic() - asked_s, waited / 65536
                assert waited_s <= elapsed_s
                # Where this machine held the question up on its way, the way was long: it is asked again.
                if question > 1 and waited_s >= 0.5 * elapsed_s:
                    break


def stick_of(one, **how):
    """A viewer's channel that loses rather than waits."""
    return one.pc.createDataChannel("ptz", ordered=False, maxRetransmits=0, **how)


async def test_a_viewers_stick_reaches_who_moves_the_camera_and_is_let_go_with_the_session():
    who = {"user": "ann", "permissions": ("watch", "control")}
    async with device() as cam, viewer(cam, **who) as one:
        stick, told = stick_of(one), asyncio.Queue()
        stick.on("message", told.put_nowait)
        await one.connect()
        assert (await one.ask('{"type":"ping","id":3}'))["id"] == 3, "the other channel serves beside it"
        for number in range(50):
            stick.send(f'{{"seq":{number},"pan":1}}')
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            [ours] = cam.sticks
            assert ours.user == "ann"
            heard = [json.loads(await ours.heard.get())["seq"] for _ in range(50)]
            assert sorted(heard) == list(range(50))
            ours.send('{"moving": true}')
            assert await told.get() == '{"moving": true}'
            second, closed = stick_of(one), asyncio.Event()
            second.on("close", closed.set)
            await closed.wait()
            assert not ours.closed.is_set(), "one of them is enough"
            one.leave()
            await ours.closed.wait()


async def test_a_stick_is_let_go_where_its_channel_closes_and_a_new_one_may_come():
    who = {"user": "ann", "permissions": ("watch", "control")}
    async with device() as cam, viewer(cam, **who) as one:
        stick = stick_of(one)
        await one.connect()
        await one.ask('{"type":"stats"}')
        async with asyncio.timeout(60):
            while not cam.sticks:
                await asyncio.sleep(0.01)
            stick.close()
            await cam.sticks[0].closed.wait()
            stick_of(one)
            while len(cam.sticks) < 2:
                await asyncio.sleep(0.01)


async def test_who_may_only_watch_has_no_stick():
    async with device() as cam, viewer(cam) as one:
        stick, closed = stick_of(one), asyncio.Event()
        stick.on("close", closed.set)
        await one.connect()
        await asyncio.wait_for(closed.wait(), 60)
        assert cam.sticks == []


async def test_the_answer_holds_host_candidates_and_waits_for_no_server():
    async with device() as cam, viewer(cam, device_servers=[DEAD_STUN, DEAD_TURN]) as one:
        await one.connect()
        assert "typ host" in one.answer.result()
        await one.next_frame()


async def test_several_viewers_share_one_keyframe_and_one_may_leave():
    async with device() as cam, viewer(cam) as first, viewer(cam) as second:
        await asyncio.gather(first.connect(), second.connect())
        await asyncio.gather(first.next_frame(), second.next_frame())
        first.leave()
        while len(cam.sessions) > 1:
            await asyncio.sleep(0.01)
        while not second.frames.empty():
            second.frames.get_nowait()
        for _ in range(5):
            await second.next_frame()
        assert cam.watchers == 1


async def test_a_viewer_too_many_is_told_when_to_come_back():
    async with device(max_viewers=1) as cam, viewer(cam) as first, viewer(cam) as second:
        await first.connect()
        await second.connect()
        code, words = await second.ended
        assert code == "too-many-viewers"
        assert "at most 1" in words
        await first.next_frame()


async def test_who_manages_the_camera_gets_a_place_of_a_link_that_never_connects():
    async with device(max_viewers=8) as cam, contextlib.AsyncExitStack() as stack:
        link = {"user": "link:grandma"}
        idle = [await stack.enter_async_context(viewer(cam, **link)) for _ in range(8)]
        for one in idle:
            one.pc.setRemoteDescription = lambda _: asyncio.sleep(0)  # nobody applies the answer
            await one.connect()
        one_more = await stack.enter_async_context(viewer(cam, **link))
        await one_more.connect()
        code, words = await one_more.ended
        assert code == "too-many-viewers"
        assert "8 of them are yours" in words
        chief = await stack.enter_async_context(viewer(cam, user="ann", permissions=("watch", "manage")))
        await chief.connect()
        await chief.next_frame()
        told = [one.ended.result() for one in idle if one.ended.done()]
        assert told == [("bye", GIVEN_TO_HIGHER)]
        bob = await stack.enter_async_context(viewer(cam, user="link:bob"))
        await bob.connect()
        await bob.next_frame()
        told = [one.ended.result() for one in idle if one.ended.done()]
        assert ("bye", GIVEN_TO_FEWER) in told
        assert not chief.ended.done()


async def test_whoever_asks_in_vain_costs_nobody_a_picture():
    """The one who may do more has a place already, and a link of equal rank would gain nothing."""
    async with (
        device(max_viewers=2) as cam,
        viewer(cam, user="ann", permissions=("watch", "manage")) as chief,
        viewer(cam, user="link:bob") as bob,
        viewer(cam, user="ann", permissions=("watch", "manage")) as again,
        viewer(cam, user="link:eve") as eve,
    ):
        for one in (chief, bob):
            await one.connect()
            await one.next_frame()
        for one in (again, eve):
            await one.connect()
            assert (await one.ended)[0] == "too-many-viewers"
        await asyncio.gather(chief.next_frame(), bob.next_frame())
        assert not chief.ended.done()
        assert not bob.ended.done()


async def test_room_on_the_uplink_goes_by_the_same_rule():
    async with (
        device(uplink_bps=200_000) as cam,
        viewer(cam, user="link:bob") as bob,
        viewer(cam, user="ann", permissions=("watch", "manage")) as chief,
    ):
        await bob.connect()
        await bob.next_frame()
        assert cam.sessions.has_media
        await chief.connect()
        await chief.next_frame()
        assert bob.ended.result() == ("bye", GIVEN_TO_HIGHER)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda sdp: sdp.replace("H264/90000", "VP8/90000"), "no-h264"),
        (lambda sdp: sdp.replace("a=mid:0", "a=mid:"), "malformed-sdp"),
        (lambda _: "nothing", "malformed-sdp"),
    ],
)
async def test_an_offer_that_cannot_be_served_starts_no_camera(change, code):
    async with device() as cam, viewer(cam) as one:
        await one.connect(change)
        assert (await one.ended)[0] == code
        assert cam.watchers == 0
        assert len(cam.sessions) == 0


async def test_a_viewer_that_never_shows_up_is_given_up_with_the_reason():
    async with device(connect_timeout_s=1.5) as cam, viewer(cam, device_servers=[DEAD_TURN]) as one:
        sessions = cam.sessions
        # Nobody applies the answer, so nobody checks.
        one.pc.setRemoteDescription = lambda _: asyncio.sleep(0)
        await one.connect()
        assert (len(sessions), sessions.has_media) == (1, False)
        code, words = await one.ended
        assert code == "bye"
        assert "no path was found" in words
        while len(sessions):
            await asyncio.sleep(0.01)
        assert cam.watchers == 0


async def test_a_second_offer_of_another_viewer_is_no_restart():
    async with device() as cam, viewer(cam) as one, viewer(cam, restart=True) as other:
        await one.connect()
        await one.next_frame()
        other.session = one.session
        offering = asyncio.create_task(other.connect())
        code, words = await one.ended
        offering.cancel()
        assert (code, "only ICE may change" in words) == ("bye", True), words


async def test_a_restart_of_a_session_that_is_over_is_refused_and_starts_no_camera():
    async with device() as cam, viewer(cam, restart=True) as one:
        await one.connect()
        assert (await one.ended)[0] == "session-over"
        assert cam.watchers == 0


async def test_a_changed_link_asks_every_viewer_for_a_restart():
    async with device() as cam, viewer(cam) as one:
        await one.connect()
        await one.next_frame()
        cam.sessions.on_link_changed()
        assert one.restart_wanted == ["the camera's network changed"]


async def test_closing_is_quick_although_a_turn_server_is_dead():
    async with device() as cam, viewer(cam, device_servers=[DEAD_TURN, DEAD_STUN]) as one:
        await one.connect()
        await one.next_frame()
        async with asyncio.timeout(20):  # stock aiortc: 63 s
            await cam.sessions.close()
        assert (await one.ended) == ("bye", "the camera is shutting down")


async def test_unresolvable_mdns_candidates_hold_nothing_up():
    line = "candidate:1 1 udp 2113937151 00000000-0000-4000-8000-000000000000.local 40000 typ host"
    async with device() as cam, viewer(cam) as one:
        connecting = asyncio.create_task(one.connect())
        await asyncio.sleep(0)
        for number in range(20):
            cam.sessions.on_candidate(one.session, line.replace("40000", str(40000 + number)))
        await connecting
        await one.next_frame()


@pytest.mark.parametrize(
    "line",
    [
        "candidate:",
        "candidate:1 1 udp x 1.2.3.4 5 typ host",
        "candidate:1 1 tcp 1 1.2.3.4 9 typ host tcptype active",
        "candidate:1 2 udp 1 1.2.3.4 5000 typ host",
        "candidate:1 1 udp 1 not-an-address 5000 typ host",
        "candidate:1 1 udp 1 1.2.3.4 99999 typ host",
        "\x00\xff" * 50,
    ],
)
async def test_a_hostile_candidate_changes_nothing(line):
    async with device() as cam, viewer(cam) as one:
        await one.connect()
        cam.sessions.on_candidate(one.session, line)
        cam.sessions.on_candidate("no-such-session", line)
        cam.sessions.on_bye("no-such-session", "")
        await one.next_frame()


async def test_nothing_is_left_after_many_viewers():
    async with device() as cam:
        async with viewer(cam) as one:  # whatever is made once is made now
            await one.connect()
            await one.next_frame()
        tasks, files = await _left(cam)
        for _ in range(10):
            async with viewer(cam) as one:
                await one.connect()
                await one.next_frame()
        tasks_then, files_then = await _left(cam)
        assert (tasks_then <= tasks, files_then <= files) == (True, True), "ten viewers leave what one leaves"


async def _left(cam):
    """The fewest tasks and files within some seconds after the last session: sockets close a moment later."""
    while len(cam.sessions):
        await asyncio.sleep(0.01)
    seen = []
    for tenth in range(30):
        if tenth % 10 == 0:
            gc.collect()
        await asyncio.sleep(0.1)
        seen.append(_census())
    return tuple(map(min, zip(*seen, strict=True)))


def _census():
    return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))


async def test_a_viewer_changes_streams_within_a_session_and_the_picture_never_stops():
    async with device(preview=True) as cam, viewer(cam, stream="preview") as one:
        await one.connect()
        picture = await one.next_frame()
        assert (picture.width, cam.watchers) == (160, 1)
        assert (await one.ask('{"type":"stats"}'))["stream"] == "preview"
        for name, width in (("main", 320), ("preview", 160)):
            one.channel.send(f'{{"type":"stream","name":"{name}"}}')
            before = picture
            while picture.width != width:
                picture = await one.next_frame()
                assert picture.pts > before.pts
                assert picture.pts - before.pts < 90_000, "no second without a picture"
                before = picture
            stats = await one.ask('{"type":"stats"}')
            assert (stats["stream"], stats["wanted"], cam.watchers) == (name, name, 1)


async def test_a_viewer_for_whom_the_uplink_has_no_room_is_told_when_to_come_back():
    async with device(uplink_bps=100_000) as cam, viewer(cam) as one:
        await one.connect()
        code, words = await one.ended
        assert (code, "no room" in words, cam.watchers) == ("uplink-full", True, 0)


async def test_sound_goes_both_ways_beside_the_picture():
    room = Room(600)
    async with device(sound=room.sound) as cam, viewer(cam, voice=Voice(1000)) as one:
        recording = asyncio.create_task(room.record())
        await one.connect()
        packets, said = await room.heard()
        assert pitch_hz(said[-1]) == 1000
        steps = {(b.seq - a.seq & 0xFFFF, b.rtp_time - a.rtp_time & 0xFFFFFFFF) for a, b in pairwise(packets)}
        assert steps == {(1, 960)}
        for _ in range(50):
            heard = await asyncio.wait_for(one.heard.get(), 60)
        assert pitch_hz(heard) == 600
        await one.next_frame()
        assert room.listeners == 1
        recording.cancel()
    assert room.listeners == 0
