"""What a person is told of the store, and what to do."""

import pytest

from agent.config.settings import RecordSettings, RecordUploadSettings, Settings
from agent.doctor.upload import StoreFacts, judge_store
from agent.model.upload import UploadNote

STORE = "https://store.example"


def settings(mode="event"):
    return Settings(record=RecordSettings(mode=mode, upload=RecordUploadSettings(what="events")))


def judged(mode="event", fault="", **note):
    return judge_store(settings(mode), StoreFacts(UploadNote(**note) if note else None, fault))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"mode": "off"}, "nothing is recorded"),
        ({}, "the portal has named no store yet"),
        ({"origin": STORE, "fault": "Connection refused"}, "cannot be reached: Connection refused"),
        (
            {"origin": STORE, "why": "store", "waiting": 3, "problem": "the store refuses: 403 AccessDenied"},
            "3 recordings wait: the store refuses: 403 AccessDenied",
        ),
    ],
)
def test_what_keeps_recordings_from_the_store_is_a_warning(facts, words):
    found = judged(**facts)
    assert (found.verdict, words in found.message, bool(found.advice)) == ("warning", True, True)


def test_what_waits_by_the_settings_is_well():
    found = judged(origin=STORE, why="hours", waiting=4)
    assert (found.verdict, found.subject) == ("good", STORE)
    assert found.message == "events are sent; 4 files wait for the hours of record.upload.hours"
