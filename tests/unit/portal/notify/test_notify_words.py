"""What messages say: text alone suffices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.portal.notify.words import Item, compose

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
NAMES = {"front": "Front door", "yard": "Back yard"}


def item(kind="motion", severity="info", device="front", ago_s=0.0, **more):
    return Item(device, "e-1", kind, severity, NOW - ago_s, **more)


def said(*items, kind="event", more=0, zone="Europe/Paris", base="https://cams.example.org"):
    return compose(7, kind, items, more, NAMES, zone, base, NOW)


def test_one_event_is_told_with_what_where_and_when():
    message = said(item(details={"label": "person", "zones": "Porch", "score": 0.9}))
    assert message.title == "Front door: Motion"
    assert message.body == "person in Porch · 09:00"
    assert message.url == "https://cams.example.org/#/camera/front/1800000000"
    assert message.path == "#/camera/front/1800000000"


@pytest.mark.parametrize(
    ("about", "title", "body"),
    [
        (item("offline", "error"), "Front door: Went offline", "09:00"),
        (item("online", details={"away_s": 4000}), "Front door: Is online again", "away for 67 min · 09:00"),
        (item("camera-failed", "error", message="dark"), "Front door: Camera failed", "dark · 09:00"),
        (item("earthquake", "doom"), "Front door: earthquake", "09:00"),
        (item(skipped=4), "Front door: Motion", "09:00 · 4 more before it"),
        (item(ago_s=86_400), "Front door: Motion", "14 Jan 09:00"),
        (item(is_time_known=False), "Front door: Motion", "≈ 09:00"),
        (item(device="shed"), "shed: Motion", "09:00"),
    ],
)  # fmt: skip
def test_each_says_what_there_is_to_say(about, title, body):
    message = said(about)
    assert (message.title, message.body) == (title, body)


def test_several_events_are_told_in_lines():
    message = said(item(), item("offline", "error", "yard", ago_s=600), kind="digest", more=5)
    assert message.title == "7 events at 2 cameras"
    assert message.body.splitlines() == [
        "09:00 · Front door · Motion",
        "08:50 · Back yard · Went offline",
        "and 5 more",
    ]
    assert message.severity == "error"
    assert message.path == "#/events"
    assert said(item(), item(ago_s=9)).path == "#/events/front"
    assert said(item(), item(ago_s=9)).title == "2 events at Front door"


def test_an_escalation_says_that_nobody_has_looked():
    assert said(item(), kind="escalation").title == "Nobody has looked yet: Front door: Motion"


def test_a_portal_that_knows_no_address_of_its_own_links_to_nowhere():
    assert said(item(), base="").url == ""


@given(
    st.lists(
        st.builds(
            Item,
            device=st.sampled_from(["front", "../x", "a b"]),
            event_id=st.text(max_size=9),
            kind=st.sampled_from(["motion", "offline", "x-y"]),
            severity=st.text(max_size=9),
            at=st.floats(0, 2**33),
            message=st.text(max_size=600),
            details=st.dictionaries(st.sampled_from(["label", "zones"]), st.text() | st.integers()),
        ),
        max_size=60,
    ),
    st.integers(0, 10**6),
)  # fmt: skip
def test_whatever_happened_the_words_stay_short_enough_for_a_push(items, more):
    message = said(*items, more=more)
    assert len(message.title) < 400
    assert len(message.body.splitlines()) <= 21
    assert "/x" not in message.path.removeprefix("#/camera/").removeprefix("#/events/")
