"""Sees an event loop that had nothing to do until a timer was due: somebody waits for real time to pass."""

import selectors
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raises AssertionError after a block in which a loop slept until a timer was due."""
    select, waits_s = selectors.DefaultSelector.select, []

    def watched(self, timeout=None):
        events = select(self, timeout)
        if timeout and timeout > 0 and not events:
            waits_s.append(timeout)
        return events

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selectors.DefaultSelector, "select", watched)
        yield
    assert not waits_s, f"waits for real time, {sum(waits_s):g} s in all: see tests/fakes/clock.py"
