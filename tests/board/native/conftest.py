"""Every test here runs in a root of Debian 13."""

import pytest
from board.native.pi import VERSIONS, Board, compile_heap
from parts import trixie


@pytest.fixture(scope="session")
def heap(tmp_path_factory):
    trixie.need_tools()
    return compile_heap(tmp_path_factory.mktemp("heap"))


@pytest.fixture(scope="session", params=VERSIONS)
def board(request, heap):
    """With each version in turn."""
    return Board(request.param, heap)
