"""How long nothing is heard of a viewer as a rule, beyond what Chromium's reports take. Pure.

Where reports are lost, or come seldom, the window also covers the time without them, and an outage is seen
so much later: else each of them stops the sender, and what arrives then looks like a slower link.
"""

from collections import deque

REPORTS = 64
"""So many of the last ones tell."""
MIN_GAPS, GAP_SHARE, MAX_GAP_NS = 16, 0.95, 250_000_000
"""Most of them come after at most so long a time of lost ones."""
SPAN_SHARE = 0.9
SHORT_SPAN_NS, MAX_SPAN_NS = 125_000_000, 500_000_000
"""Most reach no further than this from their first arrival to the last, whatever the path does: Chromium
reports every 62 ms, and at 100 kb/s every 109 ms. Beyond it they are of a receiver that reports seldom, but
at least twice a second."""


class Silence:
    """One a viewer; told of each report."""

    def __init__(self) -> None:
        self.usual_ns = 0
        self._usual_gap_ns = self._usual_span_ns = 0
        self._gaps_ns: deque[int] = deque(maxlen=REPORTS)  # of each report: how long others were lost
        self._spans_ns: deque[int] = deque(maxlen=REPORTS)  # ... and what it covers beyond a short one

    def update(self, gap_ns: int, span_ns: int) -> None:
        """Follow a report: how long some before it were lost, and its time from first to last arrival."""
        self._gaps_ns.append(min(MAX_GAP_NS, gap_ns))
        self._spans_ns.append(max(0, min(MAX_SPAN_NS, span_ns) - SHORT_SPAN_NS))
        if gap_ns or self._usual_gap_ns:
            gaps_ns = sorted(self._gaps_ns)
            self._usual_gap_ns = gaps_ns[int(GAP_SHARE * len(gaps_ns))] if len(gaps_ns) >= MIN_GAPS else 0
        if self._spans_ns[-1] or self._usual_span_ns:
            spans_ns = sorted(self._spans_ns)
            self._usual_span_ns = spans_ns[int(SPAN_SHARE * (len(spans_ns) - 1))]  # one alone is no rule
        self.usual_ns = self._usual_gap_ns + self._usual_span_ns
