"""A day's stills as one film: what there is, in order, within bounds, from whatever card."""

import asyncio
import os
from datetime import UTC, datetime

import av
import pytest

from agent.model.command import COMMANDS, CommandError, check_result, encode_result, parse_arguments
from agent.model.lapse import LapseWanted
from agent.model.still import Still
from agent.record import lapse_film
from agent.record.jpeg import make_jpeg
from agent.record.lapse import Bounds, Lapse
from agent.record.lapse_film import Films, thinned

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
DAY = LapseWanted(NOON - 43_200, NOON + 43_200)


def jpeg_of(level, width, height):
    """A grey picture."""
    frame = av.VideoFrame(width, height, "gray")
    for plane in frame.planes:
        plane.update(bytes([min(255, level)]) * plane.buffer_size)
    return make_jpeg(frame)[0]


class Bench:
    def __init__(self, folder):
        self.lapse = Lapse(folder, Bounds(60.0, 10_000_000, 0), None)
        self.films = Films(self.lapse, 0, lambda: NOON)

    def keep(self, *times_s, level=None, size=(96, 54)):
        for number, at in enumerate(times_s):
            shade = 40 * number if level is None else level
            self.lapse._keep(Still(jpeg_of(shade, *size), at, *size))

    async def make(self, wanted=DAY):
        made = await self.films.make(wanted)
        return made, self.films.find(made.id)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "lapse")


def levels(file):
    with av.open(str(file)) as film:
        return [round(frame.reformat(format="gray").to_ndarray().mean()) for frame in film.decode(video=0)]


async def test_each_still_of_the_day_is_shown_in_its_order_and_told_with_its_time(bench):
    bench.keep(NOON - 86_400, level=255)
    bench.keep(NOON, NOON + 60, NOON + 180, NOON + 3600)
    made, file = await bench.make()
    assert (made.start, made.offsets_s, made.left_out) == (NOON, (0, 60, 180, 3600), 0)
    assert made.size_bytes == file.stat().st_size
    shown = levels(file)
    assert len(shown) == 4
    assert all(abs(level - 40 * number) < 12 for number, level in enumerate(shown)), shown
    kind = COMMANDS["lapse-film"]
    check_result(kind, encode_result(kind, made))


async def test_stills_of_another_size_fit_into_the_film(bench):
    bench.keep(NOON)
    bench.keep(NOON + 60, size=(128, 72))
    made, file = await bench.make()
    with av.open(str(file)) as film:
        assert {(frame.width, frame.height) for frame in film.decode(video=0)} == {(96, 54)}
    assert len(made.offsets_s) == 2


async def test_what_is_no_picture_or_has_gone_is_left_out(bench, tmp_path):
    bench.keep(NOON, NOON + 60, NOON + 120, NOON + 180)
    day = tmp_path / "lapse" / "2026-11-29"
    (day / "120000.jpg").write_bytes(b"no picture")
    (day / "120100.jpg").unlink()
    (day / "120200.jpg").unlink()
    (day / "120200.jpg").symlink_to("/etc/hostname")
    made, file = await bench.make()
    assert (made.start, made.offsets_s, made.left_out) == (NOON + 180, (0,), 3)
    assert len(levels(file)) == 1
    (day / "120300.jpg").write_bytes(b"")
    with pytest.raises(CommandError, match="can be read"):
        await bench.make()
    assert [one.name for one in (tmp_path / "lapse" / "films").iterdir()] == [file.name]


async def test_of_a_tall_picture_which_no_camera_takes_no_film_is_made(bench):
    bench.keep(NOON, size=(64, 640))
    with pytest.raises(CommandError, match="can be read"):
        await bench.make()


async def test_a_film_is_given_away_for_a_day(bench):
    bench.keep(NOON)
    made, file = await bench.make()
    made_s = file.stat().st_mtime
    os.utime(file, (made_s, made_s - 86_000))
    assert bench.films.find(made.id) == file, "as a fetch asks again and again while it lasts"
    assert file.stat().st_mtime >= made_s
    bench.films._unix_s = lambda: file.stat().st_mtime + lapse_film.KEPT_S + 1
    assert bench.films.find(made.id) is None


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (NOON, NOON, "ends after it begins"),
        (NOON, NOON + 200_000, "a day"),
        (NOON - 9e5, NOON - 8.5e5, "no still"),
    ],
)
async def test_other_times_are_refused_in_words(bench, since, until, words):
    bench.keep(NOON)
    with pytest.raises(CommandError, match=words):
        await bench.make(LapseWanted(since, until))


async def test_no_more_than_a_few_are_kept_and_none_where_the_disk_has_no_room(bench, monkeypatch):
    bench.keep(NOON)
    files = [(await bench.make())[1] for _ in range(6)]
    assert sum(file.exists() for file in files) == lapse_film.MAX_KEPT
    assert files[-1].exists()
    bench.films._min_free_bytes = 1 << 62
    with pytest.raises(CommandError, match="no room"):
        await bench.make()
    bench.films._min_free_bytes = 0
    monkeypatch.setattr(lapse_film, "MAX_FILM_BYTES", 10)
    with pytest.raises(CommandError, match="too large"):
        await bench.make()


async def test_two_at_once_are_made_one_by_one(bench):
    bench.keep(NOON)
    first = asyncio.create_task(bench.make())
    await asyncio.sleep(0)
    with pytest.raises(CommandError, match="another film"):
        await bench.make()
    await first


def test_of_too_many_as_many_as_fit_are_taken_evenly():
    assert thinned(range(7), 10) == list(range(7))
    assert thinned(range(3000), 1500) == list(range(0, 3000, 2))
    assert thinned(range(10), 4) == [0, 2, 5, 7]


def test_a_new_start_finds_them_and_says_since_when(bench, tmp_path):
    assert bench.lapse.section().oldest_at == 0
    bench.keep(NOON, NOON + 86_400)
    again = Lapse(tmp_path / "lapse", Bounds(60.0, 10_000_000, 0), None)
    assert [one.at for one in again.taken(0, 2 * NOON)] == [NOON, NOON + 86_400]
    assert again.section().oldest_at == NOON - 43_200


def test_only_what_it_made_is_given_away(bench):
    for name in ("../2026-11-29/120000", "x" * 32, "A" * 32, ""):
        assert bench.films.find(name) is None
    wish = parse_arguments(COMMANDS["lapse-film"], {"from_at": NOON, "until_at": NOON + 1})
    assert wish.size == "small"
