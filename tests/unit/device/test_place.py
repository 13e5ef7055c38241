"""One agent a state folder, and what it says of its broker."""

import fcntl
import os
import tempfile
from pathlib import Path

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


@pytest.fixture
def foreign():
    """A folder that everybody may read, and a way to look at it as somebody who may do no more."""
    with tempfile.TemporaryDirectory() as name:
        folder, uid = Path(name), os.geteuid()

        def leave():
            folder.chmod(0o555)
            for file in folder.iterdir():
                file.chmod(0o600 if uid == 0 else 0)
            if uid == 0:
                os.seteuid(65534)

        yield folder, leave
        os.seteuid(uid)
        folder.chmod(0o755)


def test_who_may_only_read_the_folder_keeps_no_agent_from_it(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            fcntl.flock(descriptor, kind)
            assert not is_taken(tmp_path)
            with taken(tmp_path):
                assert is_taken(tmp_path)
    finally:
        os.close(descriptor)
    assert [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()] == [0o600]


def test_another_user_cannot_tell(foreign):
    folder, leave = foreign
    with taken(folder):
        pass
    leave()
    with pytest.raises(PermissionError):
        is_taken(folder)


def test_a_folder_that_cannot_be_written_is_nobodys(foreign):
    folder, leave = foreign
    leave()
    with taken(folder):
        assert not is_taken(folder)
