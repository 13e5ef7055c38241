"""Every test here runs in a root of Debian 13."""

import pytest
from board.native.pi import BOOKWORM, NEWEST, VERSIONS, Board, compile_heap
from parts import trixie


@pytest.fixture(scope="session")
def heap(tmp_path_factory):
    trixie.need_tools()
    return compile_heap(tmp_path_factory.mktemp("heap"))


@pytest.fixture(scope="session", params=VERSIONS)
def board(request, heap):
    """With each version in turn."""
    return Board(request.param, heap)


@pytest.fixture(scope="session")
def bookworm(heap):
    """With Raspberry Pi OS 12's."""
    return Board(BOOKWORM, heap)


@pytest.fixture(scope="session")
def newest(heap):
    """With the newest."""
    return Board(NEWEST, heap)
