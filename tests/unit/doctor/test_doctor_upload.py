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
        ({}, "the agent has noted nothing yet"),
        ({"why": "store", "waiting": 1}, "the portal has given no URL so far; 1 recording waits"),
        ({"why": "hours", "waiting": 3}, "no URL so far; 3 recordings wait for the hours of"),
        ({"why": "store", "problem": "503"}, "none waited when the agent last looked; what failed last: 503"),
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


def test_no_url_so_far_blames_no_setting_alone():
    found = judged(waiting=1)
    assert ("[portal.upload]" in found.advice, "store is away" in found.advice) == (True, True)


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ({"why": "hours", "waiting": 4}, "4 recordings wait for the hours of record.upload.hours"),
        ({"why": "viewer", "waiting": 1, "problem": "503"}, "1 recording waits until nobody watches"),
        ({"waiting": 2}, "2 recordings wait"),
        ({"waiting": 2, "problem": "403"}, "2 recordings wait: 403"),
        ({"why": "hours"}, "none waited when the agent last looked"),
        ({}, "none waited when the agent last looked"),
        ({"why": "disk"}, "what is recorded waits for the recordings' folder"),
        ({"why": "disk", "waiting": 2}, "2 recordings wait for the recordings' folder"),
    ],
)
def test_what_is_well_says_what_the_agent_noted_and_no_more(note, words):
    found = judged(origin=STORE, **note)
    assert (found.verdict, found.subject) == ("good", STORE)
    assert found.message == f"the store can be reached; {words}"
