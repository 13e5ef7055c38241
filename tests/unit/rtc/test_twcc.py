"""Transport-wide feedback: what an independent encoder wrote is read back; the hostile is refused."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.rtc import twcc

CLOCK_US = (1 << 24) * 64_000


def encode(base_seq, reference, count, steps, chunk_kinds):
    """Write a report of `steps` (delta in 250 µs units, or None); `chunk_kinds` picks the way to write it."""
    symbols = [0 if step is None else 1 if 0 <= step <= 255 else 2 for step in steps]
    out = struct.pack("!HHI", base_seq, len(symbols), reference << 8 | count)
    at = 0
    kinds = iter(chunk_kinds)
    while at < len(symbols):
        kind = next(kinds, "run")
        if kind == "bits" and 2 not in symbols[at : at + 14]:
            word = 0x8000
            for i, symbol in enumerate(symbols[at : at + 14]):
                word |= symbol << (13 - i)
            at += 14
        elif kind == "pairs":
            word = 0xC000
            for i, symbol in enumerate(symbols[at : at + 7]):
                word |= symbol << (12 - 2 * i)
            at += 7
        else:
            length = 1
            while at + length < len(symbols) and symbols[at + length] == symbols[at] and length < 8191:
                length += 1
            word = symbols[at] << 13 | length
            at += length
        out += struct.pack("!H", word)
    for step in steps:
        if step is not None:
            out += struct.pack("!B", step) if 0 <= step <= 255 else struct.pack("!h", step)
    return out


steps = st.lists(
    st.one_of(st.none(), st.integers(0, 255), st.integers(-32768, 32767)), min_size=1, max_size=300
)


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, (1 << 24) - 1),
    st.integers(0, 255),
    steps,
    st.lists(st.sampled_from(["run", "bits", "pairs"]), max_size=60),
)
@example(0xFFFE, 0, 0, [None, 0, 255, 256, -1], ["pairs"])
@example(0, 5, 7, [0] * 8192, [])
@example(9, 5, 7, [*[None] * 900, 1, -1, *[None] * 7000, 2], ["run", "pairs"])
@example(9, 5, 7, [*[1] * 20, *[None] * 8100, 3, None], [])
def test_reads_what_was_written(base, reference, count, deltas, kinds):
    report = twcc.parse(encode(base, reference, count, deltas, kinds))
    assert report.base_seq == base
    at_us, expected = reference * 64_000, []
    for step in deltas:
        if step is not None:
            at_us += step * 250
        expected.append(None if step is None else at_us)
    assert list(report.arrivals_us) == expected


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data):
    try:
        report = twcc.parse(data)
    except ValueError:
        return
    assert 0 < len(report.arrivals_us) <= twcc.MAX_PACKETS


@pytest.mark.parametrize(
    ("fci", "words"),
    [
        (b"", "cut short"),
        (bytes(7), "cut short"),
        (bytes(8), "covers 0"),
        (struct.pack("!HHIH", 0, 0xFFFF, 0, 0x1FFF), "covers 65535"),
        (struct.pack("!HHI", 0, 1, 0), "too few status"),
        (struct.pack("!HHIH", 0, 9000 - 1000, 0, 0x0001), "too few status"),
        (struct.pack("!HHIH", 0, 1, 0, 0x2000), "empty run"),
        (struct.pack("!HHIH", 0, 1, 0, 0x6001), "reserved"),
        (struct.pack("!HHIHB", 0, 2, 0, 0x2002, 1), "too few deltas"),
        (struct.pack("!HHIHB", 0, 1, 0, 0x4001, 1), "too few deltas"),
    ],
)
def test_refuses(fci, words):
    with pytest.raises(ValueError, match=words):
        twcc.parse(fci)


def test_a_longer_last_chunk_than_the_report_is_cut():
    # The status count rules: a vector always has room for 7 or 14 (section 3.1.4).
    report = twcc.parse(struct.pack("!HHIHBB", 10, 2, 1 << 8, 0x8000 | 0x3FFF, 4, 4))
    assert (report.base_seq, report.arrivals_us) == (10, [65_000, 66_000])


CHROMIUM = (  # five reports in a row of Chromium 156, with when we got them in µs
    (5594901510, "0001000101557b00200143"),
    (
        5595009928,
        "0002002301557c0120231601000101020101010100230325000000000000000000000000000000000023000000",
    ),
    (5595070327, "0025001301557e02201308000000010000000000000000006f09020300"),
    (5595127420, "0038000801557f0320083c02006601000108"),
    (5595188491, "004000080155800420080300000076000000"),
)


def test_reads_what_chromium_sends():
    expected_seq = 1
    for got_us, fci in CHROMIUM:
        report = twcc.parse(bytes.fromhex(fci))
        assert report.base_seq == expected_seq
        arrivals = report.arrivals_us
        assert None not in arrivals
        assert list(arrivals) == sorted(arrivals)
        # Both ends ran on one machine, and Chromium tells time by the same clock.
        assert 0 <= got_us - arrivals[-1] < 100_000
        expected_seq += len(arrivals)


moves = st.lists(st.integers(-CLOCK_US // 4, CLOCK_US // 4), min_size=1, max_size=30)


@given(moves, st.integers(0, CLOCK_US))
def test_the_clock_goes_on_where_the_reports_start_over(moves, start):
    clock = twcc.ArrivalClock()
    true = start
    first = clock.unwrap(start % CLOCK_US)
    for move in moves:
        true += move
        assert clock.unwrap(true % CLOCK_US) - first == true - start


def test_a_reports_times_move_as_one():
    clock = twcc.ArrivalClock()
    assert clock.unwrap_report([None]) == [None]
    before = [CLOCK_US - 500, CLOCK_US - 250]
    assert clock.unwrap_report(before) == before
    # A report's clock passes its end within the report, and starts over in the next one.
    assert clock.unwrap_report([CLOCK_US - 250, CLOCK_US + 500]) == [CLOCK_US - 250, CLOCK_US + 500]
    assert clock.unwrap_report([None, 750]) == [None, CLOCK_US + 750]
    lost = [None] * 1000
    sparse = twcc.Arrivals({1: CLOCK_US - 250, 2: 500}, range(1, 1002))
    assert list(clock.unwrap_report(sparse)) == [2 * CLOCK_US - 250, CLOCK_US + 500, *lost[2:], None]
    assert list(clock.unwrap_report(twcc.Arrivals({}, range(1000)))) == lost


def test_arrivals_that_are_not_written_out_read_as_those_that_are():
    written = [None, 10, None, None, 5, None]
    arrivals = twcc.Arrivals({7: 10, 10: 5, 3: 1}, range(6, 12))
    assert (len(arrivals), list(arrivals), arrivals[1], arrivals[-2]) == (6, written, 10, 5)
    assert [arrivals[at : at + 3] for at in range(6)] == [written[at : at + 3] for at in range(6)]
    assert (arrivals.newest_us, twcc.Arrivals({3: 1}, range(6, 12)).newest_us) == (5, None)
    assert list(arrivals.moved(100)) == [None, 110, None, None, 105, None]
