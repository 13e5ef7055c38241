"""A sender that does not send saves CPU time: the fan-out bench must not count it."""

import pytest
from bench.fanout import FPS, listener, shortfall

MADE = {"frames": 6 * FPS, "bytes": 3_000_000}


def test_all_that_was_made_and_has_arrived_counts():
    assert shortfall(MADE, 2 * 3_000_000, viewers=2, seconds=6) is None


def test_a_sender_that_holds_back_does_not_count():
    fault = shortfall(MADE, 3_000_000, viewers=2, seconds=6)
    assert "3.0 of 6.0 MB" in fault


def test_nor_do_pictures_that_were_never_made():
    made = {"frames": 4 * FPS, "bytes": 2_000_000}
    assert "120 pictures" in shortfall(made, 2_000_000, viewers=1, seconds=6)


def test_nor_does_a_sender_that_nobody_got_anything_from():
    assert shortfall({"frames": 6 * FPS, "bytes": 0}, 0, viewers=2, seconds=6)


def test_a_peer_that_does_not_run_is_no_figure(unused_tcp_port):
    with pytest.raises(SystemExit, match="nothing of ours listens"):
        listener(unused_tcp_port)
