"""What may wait for the next picture, and what may not."""

import struct

import pytest

from agent.model.media import RtpFrame
from agent.rtc import inbox as module
from agent.rtc.alarm import Alarm
from agent.rtc.inbox import MAX_HELD, Inbox
from agent.rtc.lane import Lane
from agent.rtc.rtcp import PSFB, RR, RTPFB, Nack, is_transport_report

MS = 1_000_000
TRAILER = bytes(14)
"""SRTCP's index and tag, of the profile that browsers choose."""


def packet(kind, count, words=4):
    return struct.pack("!BBH", 0x80 | count, kind, words) + bytes(4 * words)


REPORT = packet(RTPFB, 15) + TRAILER


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (REPORT, True),
        (packet(RTPFB, 15) + bytes(20), True),  # AES-GCM
        (packet(RTPFB, 11) + TRAILER, True),  # by source
        (packet(RTPFB, 15) + packet(RTPFB, 1, 3) + TRAILER, False),  # a NACK behind it
        (packet(RTPFB, 15) + packet(PSFB, 1, 2) + TRAILER, False),
        (packet(RTPFB, 1) + TRAILER, False),
        (packet(PSFB, 15) + TRAILER, False),  # REMB
        (packet(RR, 15) + TRAILER, False),
        (b"\x8f\xcd\0", False),
    ],
)
def test_only_what_tells_of_arrivals_by_itself_is_no_hurry(data, expected):
    assert is_transport_report(data) is expected


class Read:
    """Notes what is read, and when it came."""

    def __init__(self):
        self.packets = []
        self.inbox = Inbox(lambda packet: self.packets.append((packet, self.inbox.at_ns)))
        self.inbox.can_wait = lambda _: True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now_ns = 0

        def monotonic_ns(self):
            return self.now_ns

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_reports_wait_for_the_next_picture_and_keep_the_time_they_came_at(clock):
    read = Read()
    for clock.now_ns in (10, 20):
        read.inbox.take(REPORT)
    assert read.packets == []
    clock.now_ns = 30
    read.inbox.catch_up()
    read.inbox.catch_up()
    assert read.packets == [(REPORT, 10), (REPORT, 20)]


def test_what_is_urgent_is_read_after_what_came_before_it(clock):
    read, nack = Read(), packet(RTPFB, 1) + TRAILER
    clock.now_ns = 10
    read.inbox.take(REPORT)
    clock.now_ns = 20
    read.inbox.take(nack)
    assert read.packets == [(REPORT, 10), (nack, 20)]


def test_a_flood_is_not_kept(clock):
    read = Read()
    for clock.now_ns in range(10 * (MAX_HELD + 1)):
        read.inbox.take(REPORT)
    assert read.packets == [(REPORT, at) for at in range(10 * (MAX_HELD + 1))]


def test_nothing_waits_while_it_may_matter(clock):
    read = Read()
    read.inbox.can_wait = lambda now_ns: now_ns < 20
    clock.now_ns = 10
    read.inbox.take(REPORT)
    clock.now_ns = 20
    read.inbox.take(REPORT)
    assert read.packets == [(REPORT, 10), (REPORT, 20)]


class Control:
    """Takes frames, and says whether the path is calm."""

    is_quiet, route_s = True, 0.1

    def push(self, frame, now_ns):
        pass

    def is_calm(self, _now_ns):
        return self.is_quiet


class Sender:
    takes_repairs, ssrc = False, 7


def test_a_report_can_wait_where_pictures_are_frequent_and_the_path_is_calm(monkeypatch):
    now_ns, caught_up, control = 1000 * MS, [], Control()
    monkeypatch.setattr("agent.rtc.lane.time.monotonic_ns", lambda: now_ns)
    lane = Lane(control, Sender(), lambda: None, Alarm(), catch_up=lambda: caught_up.append(now_ns))
    frame = RtpFrame((b"x",), 0, is_keyframe=True, size_bytes=1)
    lane.push(frame)
    assert not lane.can_wait(now_ns), "of how many a second it is the first, nobody knows"
    now_ns += 33 * MS
    lane.push(frame)
    assert lane.can_wait(now_ns + 30 * MS)
    assert not lane.can_wait(now_ns + 60 * MS), "the next picture does not come"
    lane.on_feedback(Nack(Sender.ssrc, ()), now_ns, 0)
    assert not lane.can_wait(now_ns), "something was lost"
    for is_quiet, wait_ms in ((False, 33), (True, 33), (True, 100)):
        control.is_quiet = is_quiet
        now_ns += wait_ms * MS
        lane.push(frame)
        assert lane.can_wait(now_ns) is (is_quiet and wait_ms == 33), (
            "neither of a path that is full, nor ten a second"
        )
    assert caught_up[0] == 1000 * MS
    assert caught_up[-1] == now_ns, "before each picture"
