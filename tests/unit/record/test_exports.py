"""Exports by command: one at a time, and clear words where there is none."""

import asyncio

import pytest
from parts.recordings import OFFSET_US, START_US, pictures

from agent.model.command import CommandError
from agent.model.export import ExportWanted, parse_wish
from agent.record.export import About
from agent.record.exports import Exports

BEGAN_S = (START_US + OFFSET_US) / 1e6
ID = "0f" * 16
WANTED = ExportWanted(BEGAN_S, BEGAN_S + 4)


def exports_of(index):
    about = About("front", "Front door", "1.2.3", "A" * 43)
    return Exports(lambda: index, about, lambda words: b"signed." + words, 0)


async def test_it_is_made_and_found_by_its_id(desk):
    desk.record(pictures(4))
    exports = exports_of(desk.index)
    told = await exports.make(WANTED)
    assert (told.start, told.gaps) == (BEGAN_S, 0)
    file = exports.find(told.id)
    assert file.stat().st_size == told.size_bytes
    assert exports.find("0" * 32) is None


async def test_one_at_a_time(desk):
    desk.record(pictures(4))
    exports = exports_of(desk.index)
    first, second = await asyncio.gather(exports.make(WANTED), exports.make(WANTED), return_exceptions=True)
    assert first.id
    assert second.code == "busy"
    assert (await exports.make(WANTED)).id != first.id


async def test_where_nothing_is_recorded_the_words_say_so(desk):
    for index, code in ((desk.index, "not-exported"), (None, "no-recordings")):
        with pytest.raises(CommandError) as caught:
            await exports_of(index).make(WANTED)
        assert caught.value.code == code
    assert exports_of(None).find("0" * 32) is None


async def test_a_disk_that_fails_is_told(desk, monkeypatch):
    desk.record(pictures(4))

    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(CommandError, match="disk fails"):
        await exports_of(desk.index).make(WANTED)


@pytest.mark.parametrize("protocol", ["", "x@0", ID, f"{ID}@-1", f"{ID.upper()}@0", f"{ID}@0\n"])
def test_what_names_no_file_is_none(protocol):
    assert parse_wish(protocol) is None
    assert parse_wish(f"{'0f' * 16}@7") == ("0f" * 16, 7)
