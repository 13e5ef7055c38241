"""NMEA 0183 of receivers for GPS, GLONASS, Galileo, BeiDou and QZSS: bytes in, three kinds out. Sans-IO.

Of our own: pynmea2 knows a hundred kinds, but cuts no stream into sentences, bounds nothing and takes year
69 for 1969. The three kinds that say where we are take fewer lines than to guard it would.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_CHARS = 120
"""Between `$` and the line's end. The standard allows 79; receivers of several systems say a little more."""

_PIECES = re.compile(rb"[$\r\n]|[^$\r\n]+")
_SENTENCE = re.compile(r"(?:G[ABILNPQ]|BD|QZ)(GGA|RMC|GSA),([^*]*)\*([0-9A-Fa-f]{2})")
_ANGLE = re.compile(r"(\d{2,3})(\d\d(?:\.\d+)?)")
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.\d*)?")
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)")
_MEASURED = frozenset("123459")
"""Qualities of a GGA that the sky vouches for: not 6 (estimated), 7 (typed in) and 8 (simulated)."""
_MEASURED_MODES = frozenset("ADFPR")
"""The same in an RMC of NMEA 2.3 and later: not E, M, S and N."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where on Earth, in degrees (WGS 84); north and east are positive."""

    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class Gga:
    """Fix data."""

    place: Place | None
    """None without a fix."""
    satellites: int


@dataclass(frozen=True, slots=True)
class Rmc:
    """The least that a receiver must say, and alone with a date."""

    place: Place | None
    """None without a fix."""
    time_unix_s: float | None
    """As the receiver has it: an old one may be 1024 weeks behind."""


@dataclass(frozen=True, slots=True)
class Gsa:
    """How many dimensions are known."""

    dimensions: int
    """0, 2 or 3."""


Said = Gga | Rmc | Gsa


class Reader:
    """Cuts a stream into sentences, from wherever it begins and however it is split. Bounded."""

    def __init__(self) -> None:
        self._open: bytearray | None = None
        """The sentence that has begun; None up to the next `$`."""
        self.sound = 0
        """Sentences with a right checksum, of whatever kind."""
        self.faulty = 0
        """Those without, too long, or of no sense."""

    def feed(self, data: bytes) -> Iterator[Said]:
        """What is said by sentences that end in `data`. Noise, and what nobody here reads, is passed over."""
        for match in _PIECES.finditer(data):
            piece = match[0]
            if piece == b"$":
                self._open = bytearray()
            elif self._open is None:
                continue
            elif piece in b"\r\n":
                whole, self._open = bytes(self._open), None
                yield from self._take(whole)
            elif len(self._open) + len(piece) > MAX_CHARS:
                self.faulty += 1
                self._open = None
            else:
                self._open += piece

    def _take(self, whole: bytes) -> Iterator[Said]:
        if not _is_whole(whole):
            self.faulty += 1
            return
        self.sound += 1
        try:
            said = parse(whole.decode("ascii"))
        except ValueError:
            self.faulty += 1
            return
        if said is not None:
            yield said


def _is_whole(sentence: bytes) -> bool:
    """Whether it ends in `*hh`, the XOR of all before, in printable ASCII."""
    body, star, said = sentence[:-3], sentence[-3:-2], sentence[-2:]
    if star != b"*" or not all(0x20 <= byte < 0x7F for byte in sentence):
        return False
    checksum = 0
    for byte in body:
        checksum ^= byte
    return said.upper() == b"%02X" % checksum


def parse(sentence: str) -> Said | None:
    """A sentence between `$` and its end, its checksum looked at; None where it is another kind.

    Raises ValueError where a field is none.
    """
    match = _SENTENCE.fullmatch(sentence)
    if match is None:
        return None
    kind, fields = match[1], match[2].split(",")
    fields += [""] * 15  # older receivers say fewer
    if kind == "GGA":
        has_fix = fields[5] in _MEASURED
        return Gga(_place(fields[1:5]) if has_fix else None, _count(fields[6]))
    if kind == "GSA":
        return Gsa({"2": 2, "3": 3}.get(fields[1], 0))
    has_fix = fields[1] == "A" and (not fields[11] or fields[11] in _MEASURED_MODES)
    return Rmc(_place(fields[2:6]) if has_fix else None, _time(fields[0], fields[8]))


def _place(fields: list[str]) -> Place:
    latitude, north, longitude, east = fields
    if north not in ("N", "S") or east not in ("E", "W"):
        raise ValueError("no half of the globe")
    return Place(
        _angle(latitude, 90) * (1 if north == "N" else -1),
        _angle(longitude, 180) * (1 if east == "E" else -1),
    )


def _angle(text: str, most_deg: int) -> float:
    """`ddmm.mm` or `dddmm.mm`, in degrees."""
    match = _ANGLE.fullmatch(text)
    if match is None or float(match[2]) >= 60:
        raise ValueError("no angle")
    angle = int(match[1]) + float(match[2]) / 60
    if angle > most_deg:
        raise ValueError("beyond a pole or the date line")
    return angle


def _count(text: str) -> int:
    if len(text) > 2 or not (text or "0").isdecimal():
        raise ValueError("no count of satellites")
    return int(text or 0)


def _time(time: str, date: str) -> float | None:
    """Unix time in seconds; None before the receiver knows it (000000). A leap second is the one before."""
    clock, day = _TIME.fullmatch(time), _DATE.fullmatch(date)
    if clock is None or day is None:
        return None
    hour, minute, second = map(int, clock.groups())
    of_month, month, year = map(int, day.groups())
    century = 1900 if year >= 80 else 2000  # GPS began in 1980
    try:
        when = datetime(century + year, month, of_month, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return when.timestamp()
