"""Who is told of what: every condition of a rule, with the time as an argument."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.portal.notify.rules import (
    Escalation,
    Happening,
    Hours,
    Memory,
    RuleSpec,
    happening_of,
    is_known_zone,
    is_within,
    judge,
    known_of,
    rank,
    read_spec,
    zone_of,
)

NOW = 1_800_000_000.0


def event(kind="motion", severity="info", *, at=NOW, **more):
    return Happening("front", kind, severity, at, **more)


def told(rule, happening, memory=None, snoozed_until=0.0, now=NOW):
    return judge(rule, happening, memory, snoozed_until, now).reason


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (RuleSpec(), ""),
        (RuleSpec(cameras=("front", "yard")), ""),
        (RuleSpec(cameras=("yard",)), "other"),
        (RuleSpec(groups=("Doors",)), ""),
        (RuleSpec(groups=("Gates",)), "other"),
        (RuleSpec(cameras=("yard",), groups=("Doors",)), ""),
        (RuleSpec(kinds=("motion",)), ""),
        (RuleSpec(kinds=("offline",)), "other"),
        (RuleSpec(at_least="info"), ""),
        (RuleSpec(at_least="warning"), "other"),
        (RuleSpec(kinds=("motion",), at_least="error"), ""),
        (RuleSpec(labels=("person", "dog")), ""),
        (RuleSpec(labels=("car",)), "other"),
        (RuleSpec(zones=("Drive", "Porch")), ""),
        (RuleSpec(zones=("Street",)), "other"),
        (RuleSpec(labels=("person",), zones=("Street",)), "other"),
    ],
)
def test_a_rule_says_which_events_it_is_for(rule, reason):
    happening = event(groups={"Doors"}, labels={"person"}, zones={"Porch"})
    assert told(rule, happening) == reason


def test_labels_and_zones_narrow_motion_alone():
    rule = RuleSpec(kinds=("motion", "camera-failed"), labels=("person",), zones=("Porch",))
    assert told(rule, event("camera-failed", "error")) == ""
    assert told(rule, event("motion")) == "other"


def test_a_severity_of_a_newer_camera_counts_as_a_warning():
    assert [rank(one) for one in ("info", "doom", "warning", "error")] == [0, 1, 1, 2]
    assert told(RuleSpec(at_least="warning"), event("earthquake", "doom")) == ""


def test_what_is_long_ago_is_no_news_and_an_error_longer_than_a_cat():
    assert told(RuleSpec(), event(at=NOW - 3500)) == ""
    assert told(RuleSpec(), event(at=NOW - 3700)) == "old"
    assert told(RuleSpec(), event("camera-failed", "error", at=NOW - 3700)) == ""
    assert told(RuleSpec(), event("camera-failed", "error", at=NOW - 87_000)) == "old"


def test_a_snoozed_rule_is_silent_until_then():
    assert told(RuleSpec(), event(), snoozed_until=NOW + 1) == "snoozed"
    assert told(RuleSpec(), event(), snoozed_until=NOW) == ""


def test_the_same_is_not_told_again_before_the_cool_down_is_over():
    rule = RuleSpec(cooldown_s=60)
    assert told(rule, event(), Memory(NOW - 59)) == "cooldown"
    assert told(rule, event(), Memory(NOW - 60)) == ""
    assert told(RuleSpec(cooldown_s=0), event(), Memory(NOW)) == ""
    assert told(rule, event(), Memory(NOW + 1e6)) == "", "a clock that was wrong silences nothing"


def test_a_camera_that_is_away_is_told_when_it_has_been_for_long_enough():
    rule = RuleSpec(offline_for_s=300, cooldown_s=60)
    assert judge(rule, event("offline", "error", at=NOW - 20), None, 0, NOW).wait_s == 280
    assert judge(rule, event("offline", "error", at=NOW - 400), None, 0, NOW).wait_s == 0
    late = judge(rule, event("offline", "error", at=NOW - 290), Memory(NOW - 10), 0, NOW)
    assert late.tells, "who stays away is told of, if after the cool-down"
    assert late.wait_s == 50
    assert told(rule, event("online", away_s=299.0)) == "blink"
    assert told(rule, event("online", away_s=300.0)) == ""
    assert told(rule, event("online")) == "blink", "nobody was told that it had gone"


def local(day, hour, minute=0, zone="Europe/Paris"):
    """In the week from Monday, 2027-01-04."""
    return datetime(2027, 1, 4 + day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        (Hours(), [(0, 0), (6, 23)], []),
        (Hours(begins=9 * 60, ends=17 * 60), [(0, 9), (6, 16)], [(0, 8), (0, 17), (0, 23)]),
        (Hours(days=(0, 1), begins=9 * 60, ends=17 * 60), [(1, 9)], [(2, 9)]),
        (Hours(begins=22 * 60, ends=6 * 60), [(0, 22), (1, 5), (1, 0)], [(0, 21), (0, 6), (0, 12)]),
        # The night from Friday to Saturday is Friday's.
        (Hours(days=(4,), begins=22 * 60, ends=6 * 60), [(4, 23), (5, 5)], [(4, 5), (5, 23), (6, 5)]),
        (Hours(days=(6,), begins=22 * 60, ends=6 * 60), [(6, 23), (0, 3)], [(1, 3)]),
        (Hours(days=(2,)), [(2, 0), (2, 23)], [(1, 23), (3, 0)]),
    ],
)
def test_hours_are_those_of_the_rules_own_time_zone(hours, inside, outside):
    for day, hour in inside:
        assert is_within(hours, "Europe/Paris", local(day, hour)), (day, hour)
    for day, hour in outside:
        assert not is_within(hours, "Europe/Paris", local(day, hour)), (day, hour)


def test_the_hours_are_those_when_it_happened_not_when_it_came():
    rule = RuleSpec(hours=Hours(begins=22 * 60, ends=6 * 60), zone="Europe/Paris")
    at_night, by_day = local(1, 3), local(1, 9)
    assert told(rule, event("camera-failed", "error", at=at_night), now=by_day) == ""
    assert told(rule, event("camera-failed", "error", at=by_day), now=by_day) == "hours"


@given(
    st.builds(
        Hours,
        days=st.lists(st.integers(0, 6), max_size=7).map(tuple),
        begins=st.integers(0, 1439),
        ends=st.integers(0, 1439),
    ),
    st.floats(0, 4e9),
)
def test_hours_and_those_of_the_other_half_of_the_day_are_never_both(hours, at):
    other = Hours(days=hours.days, begins=hours.ends, ends=hours.begins)
    every = Hours(days=(0, 1, 2, 3, 4, 5, 6), begins=hours.begins, ends=hours.ends)
    assert not is_within(hours, "Europe/Paris", at) or is_within(every, "Europe/Paris", at)
    if hours.begins != hours.ends:
        assert not (is_within(hours, "UTC", at) and is_within(other, "UTC", at))


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "../../etc/passwd"},
        {"cameras": ["a/b"]},
        {"cooldown_s": -1},
        {"digest_s": 1e9},
        {"at_least": "doom"},
        {"labels": ["x" * 65]},
        {"labels": ["a\nb"]},
        {"hours": {"begins": 1440}},
        {"hours": {"days": [7]}},
        {"escalation": {"channel": 1, "after_s": 1}},
        {"escalation": {"channel": 10**30}},
        {"channels": [10**30]},
        {"cooldown_s": float("nan")},
    ],
)
def test_what_no_rule_can_say_is_refused(wrong):
    with pytest.raises(ValidationError):
        RuleSpec.model_validate(wrong)


def test_a_rule_is_kept_as_json_and_read_by_older_and_newer_portals():
    rule = RuleSpec(
        cameras=("front",), hours=Hours(days=(0,)), escalation=Escalation(channel=3), zone="Europe/Paris"
    )
    text = rule.model_dump_json(exclude_defaults=True)
    assert RuleSpec.model_validate_json(text) == rule
    assert RuleSpec.model_validate_json(text[:-1] + ',"of_next_year":1}') == rule
    assert RuleSpec.model_validate_json("{}") == RuleSpec()


@given(st.dictionaries(st.sampled_from(["label", "zones", "away_s"]), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)))  # fmt: skip
def test_whatever_a_camera_puts_into_its_details_is_looked_at(details):
    happening = happening_of("front", "motion", "info", NOW, details, ())
    judge(RuleSpec(labels=("person",), zones=("Porch",)), happening, None, 0, NOW)
    judge(RuleSpec(), happening_of("front", "online", "info", NOW, details, ()), None, 0, NOW)


def test_a_rule_whose_zone_is_unknown_here_is_read_and_what_is_no_rule_stands_in_nobodys_way():
    assert not is_known_zone("Mars/Olympus")
    assert is_known_zone("Europe/Paris")
    spec = read_spec('{"zone":"Mars/Olympus"}', 1)
    assert zone_of(spec.zone).key == "UTC"
    assert read_spec('{"at_least":"doom"}', 1) is None
    assert read_spec("{", 1) is None


def test_zones_come_as_a_text_or_as_a_list():
    for zones in ("Porch, Drive", ["Porch", "Drive"]):
        found = happening_of("front", "motion", "info", NOW, {"zones": zones, "label": "person"}, ())
        assert found.zones == {"Porch", "Drive"}
        assert found.labels == {"person"}


def test_of_several_labels_one_suffices_and_what_was_known_before_is_told_apart():
    details = {
        "label": "animal, person",
        "zones": "Porch, Yard",
        "known_label": "animal",
        "known_zones": "Yard",
    }
    now = happening_of("front", "motion", "info", NOW, details, ())
    before = known_of(now, details)
    assert told(RuleSpec(labels=("person",)), now) == ""
    assert told(RuleSpec(labels=("person",)), before) == "other"
    assert told(RuleSpec(labels=("animal",), zones=("Yard",)), before) == ""
    assert told(RuleSpec(zones=("Porch",)), before) == "other"
