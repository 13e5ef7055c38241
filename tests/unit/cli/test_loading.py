"""What is imported when a program starts, without looking through it again and again."""

import gc

import pytest

from agent.cli.process import loading


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_is_collected_while_a_program_is_imported():
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0, "what stays is passed over from then on"


def test_a_program_that_cannot_be_imported_leaves_the_collector_on():
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()
