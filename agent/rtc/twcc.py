"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01). Pure.

The viewer tells for each packet that we numbered whether and when it arrived. One report covers the packets
since the last one; a report that is lost is never repeated.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

FORMAT = 15
"""FMT of this feedback in an RTPFB packet (section 3.1)."""
MAX_PACKETS = 8192
"""More in one report is hostile: Chromium reports every 62 ms and at least twice a second."""

_HEADER_BYTES = 8
_REFERENCE_UNIT_US = 64_000
_DELTA_UNIT_US = 250
CLOCK_US = (1 << 24) * _REFERENCE_UNIT_US
"""The reference time has 24 bits: arrival times start over after 12.4 days."""
_MAX_PER_BYTE = 7
"""As a vector does. Where a report covers more, runs of lost packets are not written out: two bytes may stand
for 8191."""
_NOT_RECEIVED, _SMALL_DELTA, _LARGE_DELTA, _RESERVED = range(4)
_LARGE = struct.Struct("!h")
_VECTORS = tuple(tuple(byte >> shift & 3 for shift in (6, 4, 2, 0)) for byte in range(256))
"""The four two-bit symbols of each byte."""


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """One report."""

    base_seq: int
    """The first packet's transport-wide number modulo 2**16."""
    arrivals_us: Sequence[int | None]
    """When it and those after it arrived by the viewer's clock, or None.

    The clock starts over every 2**24 * 64 ms; a delta may reach a little below 0 or above that.
    """


def parse(fci: bytes) -> TransportFeedback:
    """Read what follows the two SSRCs, without padding. Raises ValueError."""
    if len(fci) < _HEADER_BYTES:
        raise ValueError("transport feedback is cut short")
    base_seq, packets, word = struct.unpack_from("!HHI", fci)
    if not 0 < packets <= MAX_PACKETS:
        raise ValueError(f"transport feedback covers {packets} packets, not 1 to {MAX_PACKETS}")
    symbols, position = _read_symbols(fci, packets)
    times_us = _read_deltas(fci, position, symbols, (word >> 8) * _REFERENCE_UNIT_US)
    arrivals_us = times_us if len(times_us) == packets else _spread(symbols, times_us, packets)
    return TransportFeedback(base_seq, arrivals_us)


class Arrivals(Sequence[int | None]):
    """When packets in a row arrived, or None. One that did not costs nothing until it is asked for.

    So a hostile report, which may cover thousands of packets in a few bytes, costs what was really sent.
    """

    def __init__(self, arrived_us: Mapping[int, int], numbers: range) -> None:
        """`arrived_us` is by number, and has none beyond the last of `numbers`."""
        self._arrived_us = arrived_us
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> int | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[int | None]: ...
    def __getitem__(self, at: int | slice) -> int | list[int | None] | None:
        if isinstance(at, slice):
            return list(map(self._arrived_us.get, self._numbers[at]))
        return self._arrived_us.get(self._numbers[at])

    @property
    def newest_us(self) -> int | None:
        """When the last one arrived that did."""
        newest = max(self._arrived_us, default=-1)
        return self._arrived_us[newest] if newest in self._numbers else None

    def moved(self, by_us: int) -> "Arrivals":
        """The same so much later."""
        return Arrivals({number: at_us + by_us for number, at_us in self._arrived_us.items()}, self._numbers)


class TransportNumbers:
    """Numbers all that leaves in one session, of whichever medium (section 2)."""

    def __init__(self) -> None:
        self._last = 0

    def take(self, _ssrc: int, _seq: int, count: int) -> int:
        """The first of so many in a row, modulo 2**16; whose they are is all one."""
        first = self._last + 1 & 0xFFFF
        self._last = self._last + count & 0xFFFF
        return first


class ArrivalClock:
    """Turns arrival times into ones that never start over. One a viewer."""

    def __init__(self, length_us: int = CLOCK_US) -> None:
        """`length_us` is the time after which the viewer's clock starts over."""
        self._length_us = length_us
        self._last_us: int | None = None

    def unwrap(self, arrival_us: int) -> int:
        """The time nearest to the last one that is `arrival_us` modulo the clock's length."""
        if self._last_us is None:
            self._last_us = arrival_us
        half_us = self._length_us // 2
        self._last_us += (arrival_us - self._last_us + half_us) % self._length_us - half_us
        return self._last_us

    def unwrap_report(self, arrivals_us: Sequence[int | None]) -> Sequence[int | None]:
        """The same for a report's arrivals, whose times go on: all move as the newest one does."""
        if isinstance(arrivals_us, Arrivals):
            newest_us = arrivals_us.newest_us
            moved_us = 0 if newest_us is None else self.unwrap(newest_us) - newest_us
            return arrivals_us.moved(moved_us) if moved_us else arrivals_us
        newest_us = next((at_us for at_us in reversed(arrivals_us) if at_us is not None), None)
        moved_us = 0 if newest_us is None else self.unwrap(newest_us) - newest_us
        if not moved_us:
            return arrivals_us
        return [None if at_us is None else at_us + moved_us for at_us in arrivals_us]


def _read_symbols(fci: bytes, packets: int) -> tuple[list[int], int]:
    """Packet status chunks (sections 3.1.3 and 3.1.4); the symbols and where the deltas begin.

    In a report of far more packets than bytes, a run of lost ones is one negative symbol, of its length.
    """
    is_written_out = packets <= _MAX_PER_BYTE * len(fci)
    symbols: list[int] = []
    position, left = _HEADER_BYTES, packets
    while left > 0:
        if position + 2 > len(fci):
            raise ValueError("transport feedback has too few status chunks")
        (chunk,) = struct.unpack_from("!H", fci, position)
        position += 2
        if not chunk & 0x8000:  # run length: two bits of symbol, 13 of length
            symbol, length = chunk >> 13 & 3, min(chunk & 0x1FFF, left)
            if not length:
                raise ValueError("transport feedback has an empty run")
            left -= length
            if is_written_out or (symbol != _NOT_RECEIVED and length <= len(fci) - position):
                symbols += [symbol] * length
            elif symbol == _NOT_RECEIVED:
                symbols.append(-length)
            else:
                raise ValueError("transport feedback has too few deltas")
        elif chunk & 0x4000:  # vector of seven two-bit symbols
            symbols += _VECTORS[chunk >> 8][1:]
            symbols += _VECTORS[chunk & 0xFF]
            left -= 7
        else:  # vector of fourteen one-bit symbols
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
            left -= 14
    return symbols[: len(symbols) + left], position


def _spread(symbols: list[int], times_us: Sequence[int | None], packets: int) -> Arrivals:
    """The same times, each at its packet's number."""
    arrived_us: dict[int, int] = {}
    number = 0
    for symbol, time_us in zip(symbols, times_us, strict=True):
        if time_us is not None:
            arrived_us[number] = time_us
        number += max(1, -symbol)
    return Arrivals(arrived_us, range(packets))


def _read_deltas(fci: bytes, position: int, symbols: list[int], time_us: int) -> list[int | None]:
    """Receive deltas (section 3.1.5), each from the packet before it that arrived."""
    count = len(symbols)
    if symbols.count(_SMALL_DELTA) == count <= len(fci) - position:  # as nearly always
        deltas = accumulate(fci[position : position + count])
        return [time_us + delta * _DELTA_UNIT_US for delta in deltas]
    times_us: list[int | None] = []
    append = times_us.append
    try:
        for symbol in symbols:
            if symbol == _SMALL_DELTA:
                time_us += fci[position] * _DELTA_UNIT_US
                position += 1
            elif symbol <= _NOT_RECEIVED:
                append(None)
                continue
            elif symbol == _LARGE_DELTA:
                time_us += _LARGE.unpack_from(fci, position)[0] * _DELTA_UNIT_US
                position += 2
            else:
                raise ValueError("transport feedback has a reserved symbol")
            append(time_us)
    except (IndexError, struct.error):
        raise ValueError("transport feedback has too few deltas") from None
    return times_us
