import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serial.gnss.fix import ROLLOVER_S, Publication, Receiver, corrected, distance_m, rounded
from agent.serial.gnss.nmea import Gga, Gsa, Place, Rmc

FLOOR = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
HERE, NEAR = Place(47.376912, 8.541734), Place(47.377012, 8.541734)
FAR = Place(47.386912, 8.541734)


def test_a_fix_is_made_of_what_three_sentences_say() -> None:
    receiver = Receiver(FLOOR)
    for said in (Gsa(3), Gga(HERE, 9), Rmc(HERE, FLOOR + 5)):
        receiver.take(said, 1.0)
    fix = receiver.fix(1.0)
    assert fix
    assert (fix.place, fix.dimensions, fix.satellites, fix.time_unix_s, fix.rollovers) == (
        HERE, 3, 9, FLOOR + 5, 0,
    )  # fmt: skip


@pytest.mark.parametrize("none", [Gga(None, 0), Rmc(None, None)])
def test_either_sentence_takes_the_fix_away_and_brings_it_back(none: Gga | Rmc) -> None:
    receiver = Receiver(FLOOR)
    receiver.take(Gga(HERE, 9), 1.0)
    receiver.take(Rmc(HERE, None), 1.0)
    receiver.take(none, 2.0)
    assert receiver.fix(2.0) is None
    receiver.take(type(none)(HERE, 9), 3.0)
    assert receiver.fix(3.0)


def test_a_silent_receiver_knows_no_place() -> None:
    receiver = Receiver(FLOOR)
    receiver.take(Rmc(HERE, None), 1.0)
    assert receiver.fix(11.0)
    assert receiver.fix(11.1) is None


def test_a_date_of_an_era_ago_is_corrected() -> None:
    receiver = Receiver(FLOOR)
    receiver.take(Rmc(HERE, datetime(2007, 4, 15, 12, tzinfo=UTC).timestamp()), 1.0)
    fix = receiver.fix(1.0)
    assert fix
    assert fix.time_unix_s == datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
    assert fix.rollovers == 1


@given(st.integers(0, 2), st.floats(0, ROLLOVER_S - 1))
def test_whole_eras_are_found_again(eras: int, after_s: float) -> None:
    time, rollovers = corrected(FLOOR + after_s - eras * ROLLOVER_S, FLOOR)
    assert time == pytest.approx(FLOOR + after_s)
    assert rollovers in (eras, eras + 1)  # at the floor itself a float may fall short of it


def test_what_is_older_than_gps_is_no_date() -> None:
    assert corrected(datetime(1980, 1, 6, tzinfo=UTC).timestamp(), FLOOR) == (None, 0)
    assert corrected(None, FLOOR) == (None, 0)


def test_distances() -> None:
    assert distance_m(HERE, NEAR) == pytest.approx(11.1, abs=0.1)
    assert distance_m(Place(0, 179.9995), Place(0, -179.9995)) == pytest.approx(111.2, abs=0.1)
    assert distance_m(Place(90, 0), Place(-90, 77)) == pytest.approx(20_015_087, abs=1)


def shown_after(publication: Publication, place: Place, now_s: float) -> Place | None:
    publication.take(place, now_s)
    return publication.shown


def test_nothing_goes_out_unless_it_is_wished_for() -> None:
    assert shown_after(Publication(None), HERE, 100.0) is None


def test_what_goes_out_is_rounded() -> None:
    assert shown_after(Publication(2), HERE, 100.0) == Place(47.38, 8.54)
    assert shown_after(Publication(0), HERE, 100.0) == Place(47.0, 9.0)


def test_a_camera_that_stands_says_another_place_once_a_minute() -> None:
    publication = Publication(5)
    publication.take(HERE, 100.0)
    assert shown_after(publication, NEAR, 159.0) == rounded(HERE, 5)
    assert shown_after(publication, NEAR, 160.0) == rounded(NEAR, 5)


def test_one_that_moves_says_it_after_fifty_metres_but_not_faster_than_each_ten_seconds() -> None:
    publication = Publication(5)
    publication.take(HERE, 100.0)
    assert shown_after(publication, FAR, 109.0) == rounded(HERE, 5)
    assert shown_after(publication, FAR, 110.0) == rounded(FAR, 5)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-90, 90)), max_size=200))
def test_no_more_than_one_place_in_ten_seconds(steps: list[tuple[float, float]]) -> None:
    publication, now_s, at, last = Publication(5), 0.0, list[float](), None
    for after_s, latitude in steps:
        now_s += after_s
        if (shown := shown_after(publication, Place(latitude, 0.0), now_s)) != last:
            at.append(now_s)
            last = shown
    assert all(later - earlier >= 10.0 for earlier, later in itertools.pairwise(at))
