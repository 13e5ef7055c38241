"""Which parts of a file are there, and for which a URL is asked."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agent.model.upload import MAX_WANTED, UploadPart
from agent.upload.parcel import MARGIN_S, PART_BYTES, Parcel

NOW_S, LONG_S = 1000.0, 5000.0


@dataclass
class Kept:
    size_bytes: int
    id: int = 1
    name: str = "000000/000000001-main.mp4"
    stream: str = "main"
    wall_us: int = 1_900_000_000_500_000
    event: str = "boot-7"


def parcel(parts=3, last_bytes=77):
    return Parcel(Kept((parts - 1) * PART_BYTES + last_bytes))


def urls(*numbers):
    return tuple(UploadPart(number, f"https://store.example/{number}") for number in numbers)


def test_a_parcel_is_told_as_what_it_is():
    told = parcel().told()
    assert (told.file, told.bytes) == ("000000/000000001-main.mp4", 2 * PART_BYTES + 77)
    assert (told.start_unix_s, told.event, told.is_sent) == (1_900_000_000.5, "boot-7", False)


def test_parts_are_sent_in_their_order_and_cover_the_file_exactly():
    one, at = parcel(), 0
    one.take(urls(3, 1, 2), (), LONG_S)
    for number in (1, 2, 3):
        part = one.next_part(NOW_S)
        assert (part.number, part.offset, part.url) == (number, at, f"https://store.example/{number}")
        at += part.size_bytes
        one.note_sent(number)
    assert at == one.kept.size_bytes
    assert one.is_sent
    assert one.next_part(NOW_S) is None


@given(st.integers(1, 40 * PART_BYTES))
def test_each_byte_is_in_one_part(size_bytes):
    one, ends = Parcel(Kept(size_bytes)), [0]
    while wanted := one.wanted(NOW_S):
        assert len(wanted) <= MAX_WANTED
        one.take(urls(*wanted), (), LONG_S)
        while part := one.next_part(NOW_S):
            assert part.offset == ends[-1]
            assert 0 < part.size_bytes <= PART_BYTES
            ends.append(part.offset + part.size_bytes)
            one.note_sent(part.number)
    assert one.is_sent
    assert ends[-1] == size_bytes


def test_more_urls_are_asked_for_before_the_last_is_used():
    one = parcel(parts=20)
    assert one.wanted(NOW_S) == tuple(range(1, 9))
    one.take(urls(*range(1, 9)), (), LONG_S)
    assert one.wanted(NOW_S) == ()
    for number in range(1, 7):
        one.note_sent(number)
    assert one.wanted(NOW_S) == tuple(range(9, 17))
    assert one.next_part(NOW_S).number == 7


def test_what_the_store_has_is_not_sent_again():
    one = parcel()
    one.take(urls(2), (1, 3), LONG_S)
    assert one.wanted(NOW_S) == ()
    assert one.next_part(NOW_S).number == 2
    one.note_sent(2)
    assert one.is_sent


def test_a_url_that_ends_soon_is_none():
    one = parcel(parts=1)
    one.take(urls(1), (), LONG_S)
    assert one.next_part(LONG_S - MARGIN_S - 1)
    assert one.next_part(LONG_S - MARGIN_S) is None
    assert one.wanted(LONG_S - MARGIN_S) == (1,)


def test_urls_said_again_send_nothing_twice():
    one = parcel(parts=2)
    one.take(urls(1, 2), (), LONG_S)
    one.note_sent(1)
    one.take(urls(1, 2), (), LONG_S)
    assert one.next_part(NOW_S).number == 2


def test_what_the_store_lacks_after_all_is_sent_once_more():
    one = parcel(parts=2)
    one.take(urls(1, 2), (), LONG_S)
    one.note_sent(1)
    one.note_sent(2)
    one.take((), (), LONG_S)
    assert one.is_sent
    one.take(urls(2), (1,), LONG_S)
    assert not one.is_sent
    assert one.next_part(NOW_S).number == 2


def test_an_upload_that_the_store_has_forgotten_begins_anew():
    one = parcel(parts=2)
    one.take(urls(1, 2), (), LONG_S)
    one.note_sent(1)
    one.begin_anew()
    assert one.next_part(NOW_S) is None
    assert one.wanted(NOW_S) == (1, 2)


def test_parts_that_it_has_not_are_seen():
    assert parcel(parts=2).has([1, 2])
    assert not parcel(parts=2).has([3])
