"""What a camera is called is the portal's word, whatever the camera says."""

import pytest
from fakes.bus import state

from agent.errors import PortalError
from agent.portal.devices import Directory
from agent.portal.names import check_name, shown


def portal_of(directory, device):
    return directory.get(device).sections["portal"]


@pytest.fixture
def directory():
    directory = Directory()
    directory.take_names({"gate": "Gate", "door": "Front door"})
    for device, name in (("gate", "Gate"), ("door", "Front door")):
        directory.apply(device, state(name=name), 5000.0)
    return directory


def test_a_stolen_camera_does_not_show_itself_as_another(directory):
    directory.apply("gate", state(name="Front door"), 6000.0)
    assert portal_of(directory, "gate")["name"] == "Gate"
    assert portal_of(directory, "gate")["calls_itself"] == "Front door"
    assert (portal_of(directory, "door")["name"], portal_of(directory, "door")["calls_itself"]) == (
        "Front door",
        "",
    )


def test_a_new_name_is_shown_at_once_and_what_did_not_change_is_not_sent(directory):
    assert directory.take_names({"gate": "Yard", "door": "Front door"}) == ["gate"]
    assert portal_of(directory, "gate")["name"] == "Yard"


def test_one_without_a_name_is_shown_by_its_id_until_its_first_is_taken(directory):
    assert directory.take_names({"gate": None, "door": "Front door"}) == ["gate"]
    assert portal_of(directory, "gate")["name"] == "gate"
    assert directory.said_names(["gate", "unheard"]) == {"gate": "Gate"}


@pytest.mark.parametrize("other", ["Front door", "front  DOOR", "Frönt-door", "Fr0nt d00r", "Frоnt dооr"])  # noqa: RUF001
def test_names_that_pass_for_each_other_are_shown_with_their_ids(other):
    names = shown({"a": "Front door", "b": other, "c": "Yard"})
    assert names == {"a": "Front door (a)", "b": f"{other} (b)", "c": "Yard"}
    assert shown({"a": "Side", "b": "S\u0131de"}) == {"a": "Side (a)", "b": "S\u0131de (b)"}


def test_a_name_that_is_anothers_id_is_shown_with_its_own():
    assert shown({"door": "door", "gate": "Door"}) == {"door": "door", "gate": "Door (gate)"}


@pytest.mark.parametrize(
    "name", ["\u0261arden", "\u0585ak", "h\u04cfll", "w\u01c0ll", "\u05d0front", "\u051dall"]
)
def test_a_name_of_several_scripts_is_shown_with_its_id_whatever_it_passes_for(name):
    assert shown({"a": name}) == {"a": f"{name} (a)"}


@pytest.mark.parametrize(
    "name",
    [
        "Garage 2",
        "Tür süd",
        "Cổng trước",
        "ガレージ West",
        "車庫",
        "Гараж 2",
        "حديقة",
        "ประตู",
        "📷️ Hof",
        "🐶",
    ],
)
def test_a_name_in_ones_own_language_is_shown_as_it_is(name):
    assert check_name(name) == name
    assert shown({"a": name}) == {"a": name}


UNSEEN = ["\u3164", "\u2800\u2800", "\uffa0", "\ufe0f", "\u0301\u0301", "front\u3164", "a" + "\u0310" * 9]


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\x1b[2J", "a\u202eb", *UNSEEN])
def test_what_does_not_show_is_no_name(name):
    with pytest.raises(PortalError, match="64 characters that show"):
        check_name(name)
    assert check_name("  Front \n door ") == "Front door"
