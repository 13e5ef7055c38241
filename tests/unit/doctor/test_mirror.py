"""A source of releases that is frozen or refused is told, by the doctor, the agent and `pinhole fleet`."""

import io
import json

import pytest
from rich.console import Console

from agent.client.device import Device
from agent.client.fleet import make_fleet, table
from agent.doctor.health import to_health
from agent.doctor.mirror import judge_mirror, read_note
from agent.doctor.report import make_report

NOW = 1_800_000_000.0


@pytest.fixture
def judge(tmp_path):
    def judge(**note):
        file = tmp_path / "mirror.json"
        file.write_text(json.dumps({"version": "1.0", "expires": 0, "problem": ""} | note))
        return judge_mirror(read_note(file), NOW)

    return judge


def test_a_source_that_shows_nothing_new_for_too_long_is_a_fault(judge):
    assert judge(expires=NOW + 60).verdict == "good"
    frozen = judge(expires=NOW - 60)
    assert frozen.verdict == "fault"
    assert "1.0 is the newest that was offered, and it counted until 2027-01-15" in frozen.message


def test_what_pinhole_release_refuses_is_a_fault(judge):
    refused = judge(problem="bad signature: not by a key\n\x1b[31m")
    assert refused.verdict == "fault"
    assert "bad signature" in refused.message
    assert refused.message.isprintable()


def test_releases_without_a_date_are_no_fault(judge):
    assert judge().verdict == "good"
    assert judge(expires=1e300).verdict == "good"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1, "expires": "x", "problem": ""}', "\0"])
def test_a_note_that_cannot_be_read_is_no_good_news(tmp_path, content):
    file = tmp_path / "mirror.json"
    file.write_text(content)
    assert judge_mirror(read_note(file), NOW).verdict == "fault"


def test_the_fleets_table_says_so(judge):
    health = to_health(make_report("door", (judge(expires=NOW - 60),), NOW, 1.0))
    faults = [{"check": fault.check, "message": fault.message} for fault in health.faults]
    device = Device(id="door", online=True, health={"nat": "open", "faults": faults})
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(table(make_fleet([device], NOW)))
    assert "release: 1.0 is the newest that was offered" in console.export_text()
