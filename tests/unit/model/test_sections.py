"""A camera's sections are hostile until they are read: by the dataclass that each has."""

import pytest

from agent.model import lapse, motion, sections, upload
from agent.model.sections import _KNOWN, StreamSection, is_sound, known_part

NO_SECTION_OF_ITS_OWN = {StreamSection}


def test_whatever_a_room_says_of_itself_is_known_here():
    made = {
        one
        for module in (sections, lapse, motion, upload)
        for name, one in vars(module).items()
        if isinstance(one, type) and name.endswith("Section")
    }
    assert made - NO_SECTION_OF_ITS_OWN == set(_KNOWN.values())


@pytest.mark.parametrize("said", [{"cause": 7}, {"cause": None}, {"used_bytes": "much"}, {"oldest_at": []}])
def test_no_odd_section_of_recordings_is_shown(said):
    assert not is_sound("record", {"state": "recording", **said})


def test_what_a_newer_camera_says_of_its_recordings_is_left_out():
    assert known_part("record", {"state": "recording", "later": 1}) == {"state": "recording"}
