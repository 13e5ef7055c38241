"""What is usual of a viewer's reports."""

from agent.control.silence import MAX_SPAN_NS, SHORT_SPAN_NS, Silence

MS = 1_000_000


def test_one_odd_report_is_no_rule():
    silence = Silence()
    silence.update(0, 62 * MS)
    silence.update(0, 500 * MS)
    assert silence.usual_ns == 0
    for _ in range(100):
        silence.update(0, 62 * MS)
    silence.update(0, 500 * MS)
    assert silence.usual_ns == 0


def test_what_most_reports_cover_is_usual_up_to_half_a_second():
    silence = Silence()
    for _ in range(3):
        silence.update(0, 300 * MS)
    assert silence.usual_ns == 300 * MS - SHORT_SPAN_NS
    for _ in range(64):
        silence.update(0, 10_000 * MS)
    assert silence.usual_ns == MAX_SPAN_NS - SHORT_SPAN_NS
    for _ in range(64):
        silence.update(0, 62 * MS)
    assert silence.usual_ns == 0
