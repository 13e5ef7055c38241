"""Recorded pictures, read back: what was taken, when, and across what is missing."""

import threading

import av
import pytest
from parts.recordings import FPS, OFFSET_US, START_US, decoded, pictures

from agent.errors import PinholeError
from agent.record.avc import picture_size
from agent.record.footage import Footage
from agent.record.reader import Cursor

WALL_US = START_US + OFFSET_US


def read_all(desk, at_us, stream="main"):
    with Cursor(desk.index, stream) as cursor:
        found_us = cursor.seek(at_us)
        return found_us, list(cursor.units())


def shown(units):
    """How many of them a decoder shows."""
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return len(frames) + len(decoder.decode(None))


def test_what_was_recorded_comes_back(desk):
    taken = pictures(7)
    desk.record(taken)
    found_us, units = read_all(desk, WALL_US)
    assert found_us == WALL_US
    assert [unit.media_us for unit in units] == [unit.capture_us for unit in taken]
    assert [unit.wall_us - OFFSET_US for unit in units] == [unit.capture_us for unit in taken]
    assert [unit.is_keyframe for unit in units] == [unit.is_keyframe for unit in taken]
    assert [unit.is_after_gap for unit in units] == [True] + 69 * [False]
    assert shown(units) == len(taken)


def test_a_file_is_a_minute_cut_at_an_idr_and_any_player_shows_it_from_its_start(desk):
    desk.record(pictures(150))
    assert [decoded(file) for file in desk.files()] == [600, 600, 300]
    with av.open(str(desk.files()[1])) as container:
        assert container.start_time == 0
        assert container.streams.video[0].codec_context.width == 64


def test_a_minute_follows_the_other_without_a_gap(desk):
    taken = pictures(130)
    desk.record(taken)
    found_us, units = read_all(desk, WALL_US + 58_500_000)
    assert found_us == WALL_US + 58_000_000, "the last IDR at or before that time"
    assert [unit.media_us for unit in units] == [unit.capture_us for unit in taken[580:]]
    assert sum(unit.is_after_gap for unit in units) == 1


def test_a_time_in_a_gap_is_that_behind_it(desk):
    desk.record(pictures(4))
    desk.record(pictures(4, START_US + 60_000_000))
    found_us, units = read_all(desk, WALL_US + 30_000_000)
    assert found_us == WALL_US + 60_000_000
    assert len(units) == 40


def test_a_gap_is_said(desk):
    desk.record(pictures(4))
    desk.record(pictures(4, START_US + 60_000_000))
    _, units = read_all(desk, WALL_US)
    assert [unit.media_us - START_US for unit in units if unit.is_after_gap] == [0, 60_000_000]


def test_before_all_and_behind_all(desk):
    desk.record(pictures(4))
    assert read_all(desk, 0)[0] == WALL_US
    assert read_all(desk, WALL_US + 10**12)[0] == WALL_US + 2_000_000


def test_nothing_recorded(desk):
    assert read_all(desk, WALL_US) == (None, [])


def test_keyframes_alone_both_ways_across_files(desk):
    desk.record(pictures(70))
    with Cursor(desk.index, "main") as cursor:
        cursor.seek(WALL_US + 57_000_000)
        times = [cursor.next_keyframe().media_us - START_US for _ in range(4)]
        assert times == [56_000_000, 58_000_000, 60_000_000, 62_000_000]
        back = [cursor.previous_keyframe().media_us - START_US for _ in range(3)]
        assert back == [60_000_000, 58_000_000, 56_000_000]
        assert cursor.read()[0].media_us == START_US + 57_000_000, "and goes on behind it"
        cursor.seek(WALL_US)
        assert cursor.next_keyframe().media_us == START_US
        assert cursor.previous_keyframe() is None


def test_what_is_written_now_is_followed(desk):
    taken = pictures(12)
    writer = desk.record(taken[:40], close=False)
    with Cursor(desk.index, "main") as cursor:
        cursor.seek(WALL_US + 10**9)
        assert [unit.media_us for unit in cursor.units()] == [unit.capture_us for unit in taken[20:40]]
        assert cursor.read() == []
        desk.record(taken[40:], writer=writer)
        desk.record(pictures(2, START_US + 12_000_000))
        assert [unit.media_us for unit in cursor.units()][:80] == [unit.capture_us for unit in taken[40:]]


def test_a_file_that_is_removed_meanwhile_is_read_to_its_end(desk):
    desk.record(pictures(70))
    with Cursor(desk.index, "main") as cursor:
        cursor.seek(WALL_US)
        cursor.read()
        for segment in desk.index.least_worth(1):
            desk.index.remove(segment)
        assert len(list(cursor.units())) == 690


def test_a_file_that_went_behind_our_back_is_passed_over(desk):
    desk.record(pictures(130))
    desk.files()[0].unlink()
    found_us, units = read_all(desk, WALL_US)
    assert found_us == WALL_US + 60_000_000
    assert len(units) == 700


def test_rotten_bytes_cost_what_follows_up_to_the_next_idr(desk):
    desk.record(pictures(8))
    with Cursor(desk.index, "main") as cursor:
        cursor.seek(WALL_US)
        first = cursor.read()[0]
    file = desk.files()[0]
    data = bytearray(file.read_bytes())
    middle = data.index(b"mdat", data.index(b"mdat") + 4) + 4
    data[middle : middle + 8] = bytes(8)
    file.write_bytes(data)
    _, units = read_all(desk, WALL_US)
    assert units[0] == first
    missing = units[10]
    assert missing.is_keyframe
    assert missing.is_after_gap
    assert shown(units) == len(units) == 70


def test_a_file_is_not_closed_under_a_thread_that_reads_it(desk, monkeypatch):
    desk.record(pictures(4))
    closed, is_reading, may_go_on = [], threading.Event(), threading.Event()
    close = Footage.close
    monkeypatch.setattr(Footage, "close", lambda footage: closed.append(footage) or close(footage))
    samples = Footage.samples

    def slow(footage, fragment):
        is_reading.set()
        assert may_go_on.wait(60)
        return samples(footage, fragment)

    monkeypatch.setattr(Footage, "samples", slow)
    cursor, read = Cursor(desk.index, "main"), []
    cursor.seek(WALL_US)
    reader = threading.Thread(target=lambda: read.extend(cursor.read()))
    reader.start()
    try:
        assert is_reading.wait(60)
        cursor.close()
        assert closed == [], "it is read"
    finally:
        may_go_on.set()
        reader.join()
    assert len(read) == FPS
    assert len(closed) == 1
    cursor.close()
    with pytest.raises(PinholeError):
        cursor.seek(WALL_US)
    assert len(closed) == 1


def test_another_size_is_another_file_and_said(desk):
    writer = desk.record(pictures(4), close=False)
    desk.record(pictures(4, START_US + 4_000_000, width_px=96), writer=writer)
    assert len(desk.files()) == 2
    _, units = read_all(desk, WALL_US)
    assert len(units) == 80
    widths = [picture_size(unit.data[4:60])[0] for unit in units if unit.is_keyframe]
    assert widths == [64, 64, 96, 96]
