"""What `scripts/bench simulated` takes of recorded links."""

from io import StringIO

import pytest
from bench.simulated import WIDTH, WINDOW_S, chosen, figures, recorded, show
from rich.console import Console
from unit.control.conditions import CONDITIONS, Condition


def trace(folder, seconds):
    """A line every 10 ms: 1.2 Mb/s."""
    file = folder / "link.trace"
    file.write_text("".join(f"{at}\n" for at in range(10, seconds * 1000 + 1, 10)))
    return file


def test_a_short_trace_is_measured_as_far_as_it_goes(tmp_path):
    ((name, one),) = recorded(trace(tmp_path, 20)).items()
    assert (name, one.seconds, one.uplink.trace[-1]) == ("link+0", 20, 20_000)
    assert one.mean_bps == pytest.approx(1.2e6, rel=0.01)


def test_a_long_trace_is_measured_in_windows(tmp_path):
    windows = recorded(trace(tmp_path, 180))
    assert list(windows) == ["link+0", "link+60", "link+120"]
    for one in windows.values():
        assert (one.seconds, one.uplink.trace[-1]) == (WINDOW_S, WINDOW_S * 1000)
        assert one.mean_bps == pytest.approx(1.2e6, rel=0.01)


def test_conditions_that_are_named_are_measured_beside_traces(tmp_path):
    file = trace(tmp_path, 20)
    assert list(chosen(["steady"], [file])) == ["steady", "link+0"]
    assert list(chosen(None, [file])) == ["link+0"]
    assert "steady" in chosen(None, None)


def test_the_table_says_what_each_link_is_and_cuts_nothing():
    one = Condition("", CONDITIONS["fall"].uplink, 4e6, seconds=6.0)
    row = dict.fromkeys(figures(one, (1,)), 1234.567)
    out = StringIO()
    show(dict.fromkeys((*CONDITIONS, "mean"), row), CONDITIONS, Console(file=out, width=WIDTH))
    text = " ".join(out.getvalue().split())
    assert "…" not in text
    assert "policed to 3 Mb/s with 60 KB" in text
    assert "KB, for 90 s" in text
    assert "used: received of what the link carries" in text
