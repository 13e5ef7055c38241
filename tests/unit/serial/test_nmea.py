from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serial.gnss import nmea
from agent.serial.gnss.nmea import Gga, Gsa, Place, Reader, Rmc

LOGS = Path(__file__).parents[2] / "data" / "nmea"
GGA = b"$GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000*7D\r\n"
RMC = b"$GPRMC,030719.000,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A*7D\r\n"
GSA = b"$GPGSA,A,3,17,28,06,01,30,20,26,13,,,,,1.8,1.1,1.5*33\r\n"


def sentence(body: str) -> bytes:
    checksum = 0
    for byte in body.encode():
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode()


def read(data: bytes) -> list[nmea.Said]:
    return list(Reader().feed(data))


def test_what_the_three_kinds_say() -> None:
    place = Place(pytest.approx(-37.784788, abs=1e-6), pytest.approx(175.314897, abs=1e-6))
    assert read(GGA + RMC + GSA) == [Gga(place, 8), Rmc(place, 1419995239.0), Gsa(3)]


LOG_COUNTS = {
    # Sound sentences; places in them; satellites and dimensions at the end.
    "gpsd-bu303-moving.log": (0, 0, None, None),
    "gpsd-bu303-nofix.log": (0, 0, None, None),
    "gpsd-bu353s4.log": (90, 50, 7, 3),
    "gpsd-quectel-L70.log": (115, 32, 8, 3),
    "gpsd-quectel-eg25-g-2.log": (60, 6, 5, 3),
    "gpsd-quectel-eg25-g.log": (861, 46, 3, 3),
    "gpsd-quectel-l76k-nmea.log": (2280, 300, 14, 3),
    "gpsd-ublox-8.log": (1008, 144, 12, 3),
}
NEAR = {
    "gpsd-bu353s4.log": (-37.8, 175.3),
    "gpsd-quectel-L70.log": (51.1, -114.1),
    "gpsd-quectel-eg25-g-2.log": (60.0, 30.2),
    "gpsd-quectel-eg25-g.log": (36.8, 31.4),
    "gpsd-quectel-l76k-nmea.log": (47.7, -122.3),
    "gpsd-ublox-8.log": (44.1, -121.3),
}


@pytest.mark.parametrize("log", LOG_COUNTS)
def test_every_receiver_is_understood(log: str) -> None:
    reader = Reader()
    said = list(reader.feed((LOGS / log).read_bytes()))
    places = [each.place for each in said if isinstance(each, Gga | Rmc) and each.place]
    satellites = [each.satellites for each in said if isinstance(each, Gga)]
    dimensions = [each.dimensions for each in said if isinstance(each, Gsa)]
    last = (satellites or [None])[-1], (dimensions or [None])[-1]
    assert (reader.sound, len(places), *last) == LOG_COUNTS[log]
    assert all((round(place.latitude_deg, 1), round(place.longitude_deg, 1)) == NEAR[log] for place in places)


def test_the_logs_are_all_that_there_are() -> None:
    assert {path.name for path in LOGS.glob("*.log")} == set(LOG_COUNTS)


@given(st.lists(st.integers(1, 300), max_size=20), st.sampled_from(sorted(NEAR)))
def test_any_split_gives_the_same(cuts: list[int], log: str) -> None:
    data = (LOGS / log).read_bytes()[:4000]
    whole, split = Reader(), Reader()
    said, at = list(whole.feed(data)), 0
    found: list[nmea.Said] = []
    for length in cuts:
        found += split.feed(data[at : at + length])
        at += length
    found += split.feed(data[at:])
    assert (found, split.sound, split.faulty) == (said, whole.sound, whole.faulty)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_noise_costs_at_most_the_sentence_that_it_is_in(before: bytes, after: bytes) -> None:
    said = read(before + b"\n" + GGA + after)
    assert Gga in map(type, said)


@given(st.integers(0, len(RMC) - 3))
def test_what_is_cut_short_says_nothing(length: int) -> None:
    assert read(RMC[:length] + b"\r\n") == []
    assert read(RMC[:length] + GGA) == read(GGA)


@given(st.integers(1, len(GGA) - 6), st.integers(0, 7))
def test_a_flipped_bit_is_noticed(at: int, bit: int) -> None:
    spoilt = bytearray(GGA)
    spoilt[at] ^= 1 << bit
    assert read(bytes(spoilt)) == []


@given(st.lists(st.binary(max_size=5000), max_size=5))
def test_nothing_that_is_sent_grows_the_memory(chunks: list[bytes]) -> None:
    reader = Reader()
    for chunk in chunks:
        for said in reader.feed(chunk):
            assert isinstance(said, Gga | Rmc | Gsa)
        assert len(reader._open or b"") <= nmea.MAX_CHARS


@pytest.mark.parametrize("talker", ["GP", "GN", "GA", "GL", "GB", "GQ", "GI", "BD", "QZ"])
def test_every_constellation_may_talk(talker: str) -> None:
    assert read(sentence(f"{talker}GSA,A,2")) == [Gsa(2)]


@pytest.mark.parametrize("body", ["PQGSA,A,3", "GPGSV,1,1,00", "PMTK001,604,3", "XXGGA,,,,,,0", "GPTXT,01"])
def test_what_nobody_reads_is_passed_over(body: str) -> None:
    reader = Reader()
    assert list(reader.feed(sentence(body))) == []
    assert (reader.sound, reader.faulty) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        "GPGGA,1,3747.0873,X,17518.8938,E,1,08",
        "GPGGA,1,9100.0000,N,17518.8938,E,1,08",
        "GPGGA,1,3760.0000,N,17518.8938,E,1,08",
        "GPGGA,1,3747.0873,N,18000.0001,E,1,08",
        "GPGGA,1,nan,N,17518.8938,E,1,08",
        "GPGGA,1,,,,,1,08",
        "GPGGA,,,,,,0,123",
        "GPGGA,1,3747.0873,S,17518.8938,E,1,-1",
    ],
)
def test_a_sentence_without_sense_is_faulty(body: str) -> None:
    reader = Reader()
    assert list(reader.feed(sentence(body))) == []
    assert reader.faulty == 1


@pytest.mark.parametrize("quality", "0678")
def test_a_position_that_was_not_measured_is_none(quality: str) -> None:
    assert read(sentence(f"GPGGA,1,3747.0873,S,17518.8938,E,{quality},08")) == [Gga(None, 8)]


@pytest.mark.parametrize("mode", "NEMS")
def test_nor_is_one_that_an_rmc_says_so_of(mode: str) -> None:
    assert read(sentence(f"GPRMC,,A,3747.0873,S,17518.8938,E,,,,,,{mode}")) == [Rmc(None, None)]


@pytest.mark.parametrize(
    ("clock", "date"), [("000000.00", "000000"), ("120000", "310226"), ("256199", "010126")]
)
def test_a_date_that_is_none_hides_nothing_else(clock: str, date: str) -> None:
    assert read(sentence(f"GPRMC,{clock},V,,,,,,,{date},,,N")) == [Rmc(None, None)]


def test_an_rmc_of_before_nmea_2_3_names_no_mode() -> None:
    [rmc] = read(sentence("GPRMC,030719,A,3747.0873,S,17518.8938,E,0.69,181.39,311214"))
    assert isinstance(rmc, Rmc)
    assert rmc.place


def test_the_century_is_that_of_gps() -> None:
    [old, new] = read(sentence("GPRMC,000000,V,,,,,,,060180") + sentence("GPRMC,235960.00,V,,,,,,,311279"))
    assert [rmc.time_unix_s for rmc in (old, new) if isinstance(rmc, Rmc)] == [315964800.0, 3471292799.0]
