"""One agent a state folder, and what it says of its broker."""

import pytest

from agent.device.ledger import Ledger
from agent.device.place import BROKER_NOTE, NOTE, BrokerNote, is_taken, read_note, taken
from agent.errors import ConfigError


def say(folder, note):
    Ledger(folder / NOTE, BROKER_NOTE).write(note)


def test_a_second_agent_is_told_what_to_do_and_the_first_keeps_its_place(tmp_path):
    assert not is_taken(tmp_path)
    with taken(tmp_path):
        assert is_taken(tmp_path)
        words = "another agent runs with this folder: stop that one first"
        with pytest.raises(ConfigError, match=words), taken(tmp_path):
            pytest.fail("two agents at once")
        assert is_taken(tmp_path)
    assert not is_taken(tmp_path)


def test_who_looks_leaves_the_folder_free(tmp_path):
    assert not is_taken(tmp_path)
    with taken(tmp_path):
        pass


def test_what_a_former_agent_said_is_not_taken_for_this_ones(tmp_path):
    say(tmp_path, BrokerNote(connected=True, words="mqtts://b"))
    with taken(tmp_path):
        assert read_note(tmp_path) is None
        say(tmp_path, BrokerNote(connected=False, words="unknown host: check broker.url"))
        assert read_note(tmp_path) == BrokerNote(connected=False, words="unknown host: check broker.url")


def test_a_device_without_a_folder_yet(tmp_path):
    assert not is_taken(tmp_path / "state")
    with taken(tmp_path / "state"):
        pass  # the agent itself says that it is not enrolled
