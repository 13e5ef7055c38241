"""What `scripts/bench board` says of a board that nobody measured."""

from io import StringIO

from bench.board import estimate, show
from rich.console import Console

VIEWERS = {"1080p30": 45_000_000.0}


def test_the_estimate_comes_with_what_it_assumes():
    found = estimate(2_250_000_000, 2.0, VIEWERS)
    assert found["assumed"] == {
        "instructions_a_second": 450_000_000,
        "times_slower_at_rest": 10,
        "full_share": 0.6,
    }
    assert (found["start_s"], found["rest_share"]) == (5.0, 0.02)
    assert (found["viewer_share"], found["most_viewers"]) == ({"1080p30": 0.1}, {"1080p30": 5})


def test_so_does_the_table():
    out = StringIO()
    show(Console(file=out, width=120), 2_250_000_000, 2.0, VIEWERS, estimate(2_250_000_000, 2.0, VIEWERS))
    text = " ".join(out.getvalue().split())
    assert "10.0 % of a core; at most 5 of them" in text
    assert "assumed, not measured on a board: 450 million instructions a second" in text
