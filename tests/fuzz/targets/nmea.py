"""A receiver's port, read from anywhere: the sentences, and the place that comes of them."""

from pathlib import Path

from fuzz.target import Target, join, steps

from agent.serial.gnss import nmea
from agent.serial.gnss.fix import Fix, Publication, Receiver

LOGS = Path(__file__).parents[2] / "data" / "nmea"
FLOOR_UNIX_S = 1_793_491_200.0


def check(data: bytes) -> None:
    """Places on Earth, the same however the bytes are split, and no more kept than one sentence."""
    chunks = list(steps(data))
    split, whole = nmea.Reader(), nmea.Reader()
    receiver, publication = Receiver(FLOOR_UNIX_S), Publication(3)
    found = []
    for second, chunk in enumerate(chunks):
        for said in split.feed(chunk):
            found.append(said)
            receiver.take(said, float(second))
        assert len(split._open or b"") <= nmea.MAX_CHARS
        _check_fix(receiver.fix(float(second)), publication, float(second))
    assert found == list(whole.feed(b"".join(chunks)))
    assert (split.sound, split.faulty) == (whole.sound, whole.faulty)
    assert len(found) <= split.sound


def _check_fix(fix: Fix | None, publication: Publication, now_s: float) -> None:
    if fix is not None:
        publication.take(fix.place, now_s)
        assert abs(fix.place.latitude_deg) <= 90
        assert abs(fix.place.longitude_deg) <= 180
        assert fix.dimensions in (0, 2, 3)
        assert 0 <= fix.satellites < 100
        assert fix.time_unix_s is None or fix.time_unix_s >= FLOOR_UNIX_S
        assert publication.shown is not None


def seeds() -> list[bytes]:
    """The end of each log, which is the best of it."""
    logs = [path.read_bytes()[-1500:] for path in sorted(LOGS.glob("*.log"))]
    return [join(log[:700], log[700:701], log[701:]) for log in logs]


TARGET = Target("nmea", "What a satellite receiver says on its port.", check, seeds)
