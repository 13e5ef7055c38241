"""What `scripts/bench simulated` takes of recorded links."""

import pytest
from bench.simulated import WINDOW_S, chosen, recorded


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
