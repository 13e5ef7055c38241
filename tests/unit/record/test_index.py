"""The index: what it tells, and that it comes back from the files alone."""

import sqlite3
import time

import pytest
from parts.recordings import OFFSET_US, START_US, RecordingsFolder, pictures

from agent.record.boxes import ORIGIN, ORIGIN_UUID
from agent.record.database import where_unsent
from agent.record.index import FILE, Index
from agent.record.segment import Mark, Segment, Tier, parse_mark

WALL_US = START_US + OFFSET_US
ALWAYS = 0, 1 << 60
MINUTE_US = 60_000_000


def all_of(index, stream="main"):
    return index.segments(stream, *ALWAYS)


def again(desk):
    """The same folder after another start."""
    desk.index.close()
    desk.index = Index(desk.folder)
    return desk.index.reconcile()


def test_what_is_recorded_is_told_as_spans(desk):
    desk.record(pictures(130))
    desk.record(pictures(10, START_US + 200_000_000))
    desk.record(pictures(5), "preview")
    assert desk.index.spans("main", *ALWAYS) == [
        (WALL_US, WALL_US + 130_000_000),
        (WALL_US + 200_000_000, WALL_US + 210_000_000),
    ]
    assert desk.index.spans("preview", *ALWAYS) == [(WALL_US, WALL_US + 5_000_000)]
    assert desk.index.used_bytes == sum(file.stat().st_size for file in desk.files())


@pytest.mark.parametrize(
    "lose",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b"rubbish" * 1000),
        lambda file: file.write_bytes(b""),
    ],
    ids=["gone", "rubbish", "empty"],
)
def test_an_index_that_is_lost_comes_back_from_the_files(desk, lose):
    desk.record(pictures(70))
    writer = desk.writer()
    writer.keep_for(Tier.MOTION, "event-7")
    desk.record(pictures(8, START_US + 100_000_000), writer=writer)
    desk.index.lock(WALL_US, WALL_US + 10_000_000, is_locked=True)
    before, spans = all_of(desk.index), desk.index.spans("main", *ALWAYS)
    desk.index.close()
    for rest in desk.folder.glob(f"{FILE}-*"):
        rest.unlink()
    lose(desk.folder / FILE)
    desk.index = Index(desk.folder)
    assert desk.index.reconcile() == 3
    assert all_of(desk.index) == before
    assert [(one.tier, one.event, one.is_locked) for one in before] == [
        (Tier.CONTINUOUS, "", True),
        (Tier.CONTINUOUS, "", False),
        (Tier.MOTION, "event-7", False),
    ]
    assert desk.index.spans("main", *ALWAYS) == spans


def test_what_a_kill_left_open_is_closed_by_the_next_start(desk):
    desk.record(pictures(65), close=False)
    assert again(desk) == 1
    assert [segment.is_open for segment in all_of(desk.index)] == [False, False]
    assert desk.index.spans("main", *ALWAYS) == [(WALL_US, WALL_US + 65_000_000)]
    assert again(desk) == 0


def test_what_is_gone_is_forgotten_and_what_came_is_taken_in(desk, tmp_path):
    other = RecordingsFolder(tmp_path / "other")
    other.record(pictures(5))
    desk.record(pictures(130))
    desk.files()[1].unlink()
    target = desk.folder / "000000" / "000000077-main.mp4"
    target.write_bytes(other.files()[0].read_bytes())
    (desk.folder / "000000" / "notes.txt").write_text("mine")
    (desk.folder / "000000" / "000000078-main.mp4").write_bytes(b"nothing")
    again(desk)
    assert [segment.id for segment in all_of(desk.index)] == [1, 77, 3]
    assert not (desk.folder / "000000" / "000000078-main.mp4").exists()
    assert (desk.folder / "000000" / "notes.txt").exists(), "it is none of ours"
    assert desk.index.next_number() == 78


def test_a_removal_that_was_cut_short_is_ended(desk):
    desk.record(pictures(70))
    segment = all_of(desk.index)[0]
    db = sqlite3.connect(desk.folder / FILE)
    with db:
        db.execute("INSERT INTO garbage VALUES(?)", (segment.name,))
        db.execute("DELETE FROM segments WHERE id=?", (segment.id,))
    db.close()
    again(desk)
    assert [one.id for one in all_of(desk.index)] == [2]
    assert [file.name for file in desk.files()] == ["000000002-main.mp4"]


def test_wall_time_is_set_once_the_clock_is_right(desk):
    desk.is_clock_set, desk.offset_us = False, 1_000
    desk.record(pictures(65))
    writer = desk.record(pictures(5, START_US + 65_000_000), close=False)
    desk.is_clock_set, desk.offset_us = True, OFFSET_US
    desk.record(pictures(5, START_US + 70_000_000), writer=writer)
    assert desk.index.spans("main", *ALWAYS) == [(WALL_US, WALL_US + 75_000_000)]
    assert all(segment.is_clock_set for segment in all_of(desk.index))
    desk.index.close()
    for file in desk.folder.glob(f"{FILE}*"):
        file.unlink()
    desk.index = Index(desk.folder)
    desk.index.reconcile()
    assert all_of(desk.index)[-1].wall_us == WALL_US + 65_000_000, "the last file says it too"


def test_locks_are_kept_and_given_back(desk):
    desk.record(pictures(130))
    assert desk.index.lock(WALL_US + 70_000_000, WALL_US + 71_000_000, is_locked=True) == 1
    assert desk.index.locked_spans(*ALWAYS) == [(WALL_US + 60_000_000, WALL_US + 120_000_000)]
    assert desk.index.locked_bytes == desk.files()[1].stat().st_size
    assert [one.id for one in desk.index.least_worth(9)] == [1, 3]
    assert desk.index.lock(*ALWAYS, is_locked=False) == 1
    assert desk.index.locked_bytes == 0
    assert [one.id for one in desk.index.least_worth(9)] == [1, 2, 3]


def test_what_is_written_now_may_be_locked(desk):
    writer = desk.record(pictures(5), close=False)
    desk.index.lock(WALL_US, WALL_US + 1, is_locked=True)
    assert desk.index.locked_bytes == desk.index.used_bytes > 0, "who locks it hears so at once"
    assert desk.index.locked_spans(*ALWAYS) == [(WALL_US, WALL_US + 5_000_000)]
    desk.record(pictures(5, START_US + 5_000_000), writer=writer, close=False)
    assert desk.index.locked_bytes == desk.index.used_bytes
    assert desk.index.locked_spans(*ALWAYS) == [(WALL_US, WALL_US + 10_000_000)]
    writer.close()
    assert all_of(desk.index)[0].is_locked
    assert desk.index.least_worth(9) == []
    assert desk.index.locked_bytes == desk.files()[0].stat().st_size


def test_marks_are_told_and_go_with_what_they_mark(desk):
    desk.record(pictures(130))
    desk.index.mark("motion", "e1", "00" * 16, START_US, WALL_US + 1_000_000, 5_000_000)
    desk.index.mark("motion", "e2", "00" * 16, START_US, WALL_US + 100_000_000, 5_000_000)
    assert [mark.event for mark in desk.index.marks(WALL_US, WALL_US + 50_000_000)] == ["e1"]
    desk.index.remove(all_of(desk.index)[0])
    assert [mark.event for mark in desk.index.marks(*ALWAYS)] == ["e2"]
    again(desk)
    assert [mark.event for mark in desk.index.marks(*ALWAYS)] == ["e2"]


def test_where_a_file_was_nothing_is_left_though_the_clock_is_slewed(desk):
    for minute in range(8):
        desk.offset_us = OFFSET_US + minute * 2_000
        desk.record(pictures(60, START_US + minute * MINUTE_US))
    assert len(desk.index.spans("main", *ALWAYS)) == 1
    desk.index.mark("motion", "e1", "00" * 16, START_US, WALL_US + 1_000_000, 5_000_000)
    segments = all_of(desk.index)
    for segment in (*segments[:5], segments[6]):
        desk.index.remove(segment)
    left = segments[5], segments[7]
    assert desk.index.spans("main", *ALWAYS) == [(one.wall_us, one.end_us) for one in left]
    assert desk.index.marks(*ALWAYS) == []


def test_a_second_beside_what_is_removed_is_still_told(desk):
    desk.record(pictures(30))
    desk.record(pictures(1, START_US + 30_000_000))
    long, short = all_of(desk.index)
    desk.index.remove(long)
    assert desk.index.spans("main", *ALWAYS) == [(short.wall_us, short.end_us)]


def test_years_of_marks_are_forgotten_at_once(desk):
    desk.record(pictures(2))
    desk.index._marks = [Mark(number, "motion", "", WALL_US, WALL_US + 1) for number in range(20_000)]
    began_s = time.process_time()
    desk.index.remove(all_of(desk.index)[0])
    assert desk.index.marks(*ALWAYS) == []
    assert time.process_time() - began_s < 3.0, "far from what a look at each for each takes"


def test_the_least_worth_goes_first(desk):
    for number, (tier, event) in enumerate([(Tier.EVENT, "a"), (Tier.MOTION, "b"), (Tier.CONTINUOUS, "")]):
        writer = desk.writer()
        writer.keep_for(tier, event)
        desk.record(pictures(3, START_US + number * 100_000_000), writer=writer)
    assert [one.tier for one in desk.index.least_worth(9)] == [Tier.CONTINUOUS, Tier.MOTION, Tier.EVENT]
    desk.index.note_uploaded(1)
    assert [one.id for one in desk.index.least_worth(9)] == [1, 3, 2]


def test_of_what_happened_the_newest_is_uploaded_first_then_of_the_rest_the_oldest(desk):
    tiers = [Tier.CONTINUOUS, Tier.EVENT, Tier.MOTION, Tier.CONTINUOUS, Tier.EVENT]
    for number, tier in enumerate(tiers):
        writer = desk.writer()
        writer.keep_for(tier, "")
        desk.record(pictures(2, START_US + number * 60_000_000), writer=writer)
    desk.record(pictures(2), "preview")
    sizes = {one.id: one.size_bytes for one in desk.index.segments("main", *ALWAYS)}

    def in_turn(tiers):
        found = []
        while one := desk.index.unsent(("main",), tiers, found):
            found.append(one.id)
        return found

    assert in_turn(tuple(Tier)) == [5, 3, 2, 1, 4]
    assert in_turn((Tier.MOTION, Tier.EVENT)) == [5, 3, 2]
    desk.index.note_uploaded(3)
    assert in_turn((Tier.MOTION, Tier.EVENT)) == [5, 2]
    assert desk.index.count_unsent(("main",), (Tier.MOTION, Tier.EVENT)) == (2, sizes[5] + sizes[2])
    assert desk.index.count_unsent(("main", "preview"), tuple(Tier))[0] == 5


def test_what_waits_is_found_without_a_look_at_all_that_was_recorded(desk):
    where, values = where_unsent(("main",), tuple(Tier))
    plan = desk.index._db.execute(f"EXPLAIN QUERY PLAN SELECT count(*) FROM segments {where}", values)
    assert "by_worth (locked=? AND open=? AND uploaded=?" in str(list(plan))


def test_what_is_still_written_is_not_uploaded(desk):
    desk.record(pictures(2), close=False)
    assert desk.index.unsent(("main",), tuple(Tier)) is None


def test_a_month_is_listed_without_the_disk(desk):
    month = 30 * 24 * 60
    with desk.index._lock, desk.index._db:
        for number in range(1, month + 1):
            at_us = WALL_US + number * 60_000_000 + number // 60 * 10_000_000
            desk.index._put(
                Segment(number, "main", "00" * 16, at_us - OFFSET_US, at_us, True, 60_000_000, 11_000_000)
            )
    desk.index._load()
    began = time.process_time()
    spans = desk.index.spans("main", *ALWAYS)
    assert len(spans) == 30 * 24 + 1
    assert time.process_time() - began < 2.0, "far from what a query over all rows takes"


def put(desk, *statements):
    """What another machine wrote to a card."""
    desk.index.close()
    db = sqlite3.connect(desk.folder / FILE)
    with db:
        for statement in statements:
            db.execute(*statement)
    db.close()
    desk.index = Index(desk.folder)
    desk.index.reconcile()


@pytest.mark.parametrize("name", ["../masks.json", "{outside}", "000000/../../masks.json", "lock"])
def test_a_prepared_card_has_nothing_else_removed(desk, tmp_path, name):
    outside = tmp_path / "masks.json"
    outside.write_text("{}")
    (desk.folder / "lock").touch()
    put(desk, ("INSERT INTO garbage VALUES(?)", (name.format(outside=outside),)))
    assert outside.exists()
    assert (desk.folder / "lock").exists()
    assert not desk.index._db.execute("SELECT * FROM garbage").fetchall(), "and it is not tried again"


def test_a_folder_that_is_a_link_leads_nowhere(desk, tmp_path):
    other = RecordingsFolder(tmp_path / "other")
    other.record(pictures(3))
    (other.folder / "000000" / "000000002-main.mp4").write_bytes(b"no film")
    other.index.close()
    (desk.folder / "000000").symlink_to(other.folder / "000000")
    put(desk)
    assert all_of(desk.index) == []
    with pytest.raises(OSError, match="is a link or a file, and should be a folder: remove it"):
        desk.record(pictures(3))
    put_garbage = ("INSERT INTO garbage VALUES(?)", ("000000/000000001-main.mp4",))
    with pytest.raises(OSError, match="is a link"):
        put(desk, put_garbage)
    assert [file.name for file in other.files()] == ["000000001-main.mp4", "000000002-main.mp4"]


def test_an_index_that_is_a_link_is_made_anew_where_it_should_be(desk, tmp_path):
    desk.record(pictures(3))
    desk.index.close()
    outside = tmp_path / "empty.json"
    outside.touch()
    (desk.folder / FILE).unlink()
    (desk.folder / FILE).symlink_to(outside)
    desk.index = Index(desk.folder)
    desk.index.reconcile()
    assert outside.stat().st_size == 0
    assert [one.id for one in all_of(desk.index)] == [1]


@pytest.mark.parametrize(
    "odd",
    [
        "UPDATE segments SET stream='/../../masks'",
        "UPDATE segments SET tier=9",
        "UPDATE segments SET wall_us='soon'",
        "UPDATE segments SET bytes=9223372036854775807",
        "UPDATE segments SET keyframes=x'00'",
        "INSERT INTO marks VALUES(1,'motion','e','b',1,'soon',1)",
        "INSERT INTO garbage VALUES(x'00')",
        "CREATE TRIGGER t AFTER UPDATE ON segments BEGIN DELETE FROM segments; END",
        "ALTER TABLE segments RENAME COLUMN wall_us TO at_us",
    ],
)
def test_an_index_of_another_hand_is_made_anew(desk, odd, caplog):
    desk.record(pictures(65))
    put(desk, (odd,))
    assert "made anew from the files" in caplog.text
    assert [one.id for one in all_of(desk.index)] == [1, 2]
    assert desk.index.spans("main", *ALWAYS) == [(WALL_US, WALL_US + 65_000_000)]


def test_files_with_numbers_that_no_index_holds_do_no_harm(desk):
    desk.record(pictures(3))
    good = desk.files()[0].read_bytes()
    box = good.index(ORIGIN_UUID) + 16
    _, stream, boot, *_ = ORIGIN.unpack_from(good, box)
    late = bytearray(good)
    ORIGIN.pack_into(late, box, 1, stream, boot, 2**64 - 1, 2**64 - 1, 1)
    long = bytearray(good)
    at = long.rindex(b"tfdt") + 8
    long[at : at + 8] = b"\xff" * 8
    folder = desk.folder / "000000"
    for number, data in ((2, late), (3, long)):
        (folder / f"{number:09}-main.mp4").write_bytes(data)
    large = desk.folder / ("9" * 20)
    large.mkdir()
    (large / f"{'9' * 23}-main.mp4").write_bytes(good)
    again(desk)
    assert [one.id for one in all_of(desk.index)] == [1, 3]
    assert all_of(desk.index)[1].dur_us < all_of(desk.index)[0].dur_us, "up to there it is shown"


@pytest.mark.parametrize(
    "text", ["[" * 60_000, '{"tier": 2, "event": "\\ud800"}', '{"tier": 7, "event": ""}']
)
def test_why_a_file_is_kept_may_be_any_text(text):
    tier, event = parse_mark(text)
    assert tier in Tier
    event.encode()
