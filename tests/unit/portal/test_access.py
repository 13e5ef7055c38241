"""What a role lets somebody do with which camera."""

import pytest

from agent.portal.accounts.access import Access, Identity, parse_role, stronger


@pytest.mark.parametrize(
    ("text", "role"),
    [*((role, role) for role in ("viewer", "operator", "admin")), ("Admin", None), ("", None), (None, None)],
)
def test_a_role_is_one_of_three(text, role):
    assert parse_role(text) == role


@pytest.mark.parametrize(
    ("one", "other", "best"),
    [
        (None, None, None),
        (None, "viewer", "viewer"),
        ("viewer", None, "viewer"),
        ("operator", "viewer", "operator"),
        ("operator", "admin", "admin"),
    ],
)
def test_the_stronger_role_holds(one, other, best):
    assert stronger(one, other) == best


@pytest.mark.parametrize(
    ("access", "front", "back"),
    [
        (Access(), (), ()),
        (Access("viewer"), ("watch",), ("watch",)),
        (
            Access("operator", {"front": "viewer"}),
            ("watch", "control", "recordings"),
            ("watch", "control", "recordings"),
        ),
        (Access(None, {"front": "operator"}), ("watch", "control", "recordings"), ()),
        (Access("viewer", {"front": "admin"}), ("watch", "control", "recordings", "manage"), ("watch",)),
    ],
)
def test_permissions_are_those_of_the_strongest_role(access, front, back):
    assert (access.permissions("front"), access.permissions("back")) == (front, back)
    for permission in ("watch", "control", "recordings", "manage"):
        assert access.may("front", permission) == (permission in front)


@pytest.mark.parametrize(
    ("access", "sees_any", "is_admin"),
    [
        (Access(), False, False),
        (Access("viewer"), True, False),
        (Access(None, {"front": "admin"}), True, False),
        (Access("admin"), True, True),
    ],
)
def test_who_manages_one_camera_is_no_administrator(access, sees_any, is_admin):
    assert (access.sees_any, access.is_admin) == (sees_any, is_admin)


def test_an_identity_is_the_same_whenever_it_was_last_seen():
    one, other = (Identity("s", "ann", Access(), 1.0, seen_at=at, confirmed_at=at) for at in (1.0, 2.0))
    assert one == other


@pytest.mark.parametrize(
    ("access", "rules"),
    [
        (Access(), {"everyone"}),
        (Access("viewer"), {"everyone"}),
        (Access("viewer", {"front": "operator"}), {"everyone", "operator"}),
        (Access("operator"), {"everyone", "operator"}),
        (Access(None, {"front": "admin"}), {"everyone", "operator", "admin"}),
        (Access("admin"), {"everyone", "operator", "admin"}),
    ],
)
def test_who_must_have_a_second_factor_is_judged_by_the_strongest_role(access, rules):
    asked = ("nobody", "admin", "operator", "everyone")
    assert {rule for rule in asked if access.must_have_factor(rule)} == rules
