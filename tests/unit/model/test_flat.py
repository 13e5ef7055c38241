"""The state in two messages: what older portals and dashboards read, and what came since."""

import json
from dataclasses import fields

from agent.model.flat import beyond, device_sections, flat_device, merged, offline, sections_of, state_of
from agent.model.sections import (
    AgentSection,
    CameraSection,
    ReleaseSection,
    StreamSection,
    StreamsSection,
    ViewersSection,
    read_sections,
)
from agent.model.signal import State

STREAM = {"width_px": 1280, "height_px": 720, "fps": 30.0, "bitrate_bps": 2_000_000}
RELEASE = {"on_trial": False, "since": 0.0, "given_back": "1.2.4", "reason": "dark", "given_back_at": 5.0}
SECTIONS = {
    "agent": {"name": "Front door", "version": "1.2.3"},
    "camera": {"state": "live", "kind": "v4l2", "problem": "", "has_stamp": True},
    "streams": {"main": STREAM},
    "viewers": {"count": 2},
    "release": RELEASE,
}


def state(sections):
    return state_of(sections, boot_id="b1", online=True, since=1000.0)


def test_what_the_first_of_version_1_knew_goes_as_it_always_did_and_nothing_is_said_twice():
    said = state(SECTIONS)
    assert (said.name, said.version, said.camera, said.viewers) == ("Front door", "1.2.3", "live", 2)
    assert said.streams[0].name == "main"
    assert said.release.given_back == "1.2.4"
    assert beyond(SECTIONS) == {}
    assert sections_of(said) == SECTIONS


def test_the_rooms_say_what_the_first_of_version_1_knew():
    rooms = {
        "agent": lambda: AgentSection("Front door", "1.2.3"),
        "camera": lambda: CameraSection("live", "v4l2", "", has_stamp=True),
        "streams": lambda: StreamsSection(main=StreamSection(1280, 720, 30.0, 2_000_000)),
        "viewers": lambda: ViewersSection(2),
        "release": lambda: ReleaseSection(given_back="1.2.4", reason="dark", given_back_at=5.0),
        "plan": lambda: None,
    }
    assert state(read_sections(rooms)) == state(SECTIONS)


def test_the_state_grows_no_more_since_older_portals_refuse_a_key_that_they_do_not_know():
    """What is new belongs into `agent/model/sections.py`."""
    known = "boot_id online since name version camera camera_kind problem streams viewers has_stamp release"
    assert [field.name for field in fields(State)] == [*known.split(), "understands", "type", "v"]


def test_what_came_since_goes_beyond_the_state_whether_a_section_or_a_field():
    sections = SECTIONS | {"streams": {"main": STREAM | {"dropped": 7}}, "modem": {"rssi_dbm": -71}}
    more = beyond(sections)
    assert more == {"streams": {"main": {"dropped": 7}}, "modem": {"rssi_dbm": -71}}
    assert merged(sections_of(state(sections)), more) == sections, "and the portal puts it together again"


def test_of_what_both_say_the_state_counts_so_that_the_last_will_does():
    gone = sections_of(offline(state(SECTIONS), 2000.0))
    assert merged(gone, {"camera": {"state": "live", "lux": 3}})["camera"]["state"] == "idle"


def test_a_dashboard_of_before_reads_what_it_always_read():
    portal = {
        "name": "Door",
        "online": True,
        "calls_itself": "Front door",
        "own_viewers": 1,
        "watching": ["ann"],
    }
    flat = flat_device(SECTIONS | {"portal": portal, "modem": {"rssi_dbm": -71}})
    assert flat == {
        "name": "Door",
        "online": True,
        "calls_itself": "Front door",
        "own_viewers": 1,
        "watching": ["ann"],
        "version": "1.2.3",
        "camera": "live",
        "camera_kind": "v4l2",
        "problem": "",
        "has_stamp": True,
        "viewers": 2,
        "streams": [{"name": "main"} | STREAM],
        "release": RELEASE,
    }


def test_a_camera_that_says_streams_of_no_shape_breaks_no_dashboard_of_before():
    hostile = {"main": STREAM, "third": 5, "fourth": [1], "fifth": {"name": "main"}}
    flat = flat_device(SECTIONS | {"streams": hostile})
    assert flat["streams"] == [{"name": "main"} | STREAM, {"name": "fifth"}]


def test_and_a_portal_of_before_is_read_in_sections():
    portal = {"name": "Door", "online": True}
    sections = SECTIONS | {"agent": {"version": "1.2.3"}, "portal": portal}
    assert device_sections(json.loads(json.dumps(flat_device(sections)))) == sections


def test_rooms_whose_words_are_too_long_or_no_text_say_what_can_be_said():
    room = {"camera": lambda: CameraSection("failed", "", "\ud800" + "x" * 999, has_stamp=False)}
    assert read_sections(room)["camera"]["problem"] == "?" + "x" * 511
