"""What the doctor says of the recordings' folder."""

import os

import pytest

from agent.config.settings import RecordSettings, Settings
from agent.doctor.recordings import FolderFacts, judge_folder, read_folder

GB = 1_000_000_000
CARD = FolderFacts("/srv/r", total_bytes=64 * GB, free_bytes=60 * GB)


def judged(facts, **record):
    settings = Settings(record=RecordSettings(**{"mode": "continuous", **record}))
    return judge_folder(settings, facts)


@pytest.mark.parametrize(
    ("changes", "record", "verdict", "words"),
    [
        ({}, {}, "good", "room for 59.0 GB; all of a day is 27 GB"),
        ({}, {"streams": "preview"}, "good", "all of a day is 5 GB"),
        ({}, {"unwatched_bitrate_bps": 1_000_000, "streams": "main"}, "good", "all of a day is 11 GB"),
        ({"free_bytes": 10 * GB}, {}, "warning", "not a day"),
        ({"free_bytes": 10 * GB}, {"mode": "event"}, "good", "event: room for 9.0 GB"),
        ({"free_bytes": 10 * GB, "used_bytes": 50 * GB}, {}, "good", "room for 59.0 GB"),
        ({"free_bytes": GB}, {"mode": "event"}, "fault", "too little"),
        ({"is_systems": True}, {}, "warning", "the system's own card wears by it"),
        ({"is_systems": True}, {"mode": "event"}, "good", "event"),
        ({"worn_tenths": 8}, {}, "warning", "80 % of its life"),
        ({"worn_tenths": 2}, {}, "good", "room"),
        ({"fault": "it is no folder"}, {}, "fault", "nothing is recorded: it is no folder"),
    ],
)
def test_verdicts(changes, record, verdict, words):
    facts = FolderFacts(**{name: getattr(CARD, name) for name in CARD.__slots__} | changes)
    finding = judged(facts, **record)
    assert (finding.verdict, words in finding.message) == (verdict, True), finding
    assert bool(finding.advice) == (verdict != "good")


def test_what_is_there_is_seen(tmp_path):
    folder = tmp_path / "r" / "000000"
    folder.mkdir(parents=True)
    (folder / "000000001-main.mp4").write_bytes(bytes(1000))
    (folder / "other").write_bytes(bytes(1000))
    device = tmp_path.stat().st_dev
    wear = tmp_path / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}" / "device"
    wear.mkdir(parents=True)
    (wear / "life_time").write_text("0x02 0x09\n")
    facts = read_folder(tmp_path / "r", RecordSettings(), sys=tmp_path / "sys")
    assert (facts.used_bytes, facts.worn_tenths, facts.fault) == (1000, 9, "")
    assert facts.total_bytes > facts.free_bytes > 0


def test_a_folder_that_is_yet_to_be_made_is_no_fault(tmp_path):
    assert read_folder(tmp_path / "a" / "b", RecordSettings()).fault == ""


def test_a_file_in_its_place_and_a_card_that_is_out_are(tmp_path):
    (tmp_path / "a").write_text("")
    assert read_folder(tmp_path / "a", RecordSettings()).fault == "it is no folder"
    fault = read_folder(tmp_path / "b", RecordSettings(own_partition=True)).fault
    assert fault == "no file system is mounted there"
