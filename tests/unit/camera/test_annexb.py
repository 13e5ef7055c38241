from hypothesis import given
from hypothesis import strategies as st

from agent.camera.annexb import UnitMaker
from agent.model.h264 import is_idr, nal_type, split_nals

SPS = b"\0\0\0\1\x67\x42\xc0\x1f\xaa"
PPS = b"\0\0\1\x68\xce\x3c"
IDR = b"\0\0\0\1\x65" + b"\x88" * 20
SLICE = b"\0\0\0\1\x41" + b"\x9a" * 20


def types(data: bytes) -> list[int]:
    return [nal_type(nal) for nal in split_nals(data)]


def test_keyframes_carry_their_parameter_sets_even_where_the_encoder_leaves_them_out() -> None:
    maker = UnitMaker()
    first = maker.make(SPS + PPS + IDR, 0)
    later = maker.make(IDR, 40_000)
    assert first
    assert first.data == SPS + b"\0" + PPS + IDR
    assert later
    assert types(later.data) == [7, 8, 5]


def test_parameter_sets_that_come_alone_are_no_picture_and_are_kept() -> None:
    maker = UnitMaker()
    assert maker.make(SPS + PPS, 0) is None
    unit = maker.make(IDR, 0)
    assert unit
    assert unit.data == SPS + b"\0" + PPS + IDR


def test_parameter_sets_may_come_from_outside() -> None:
    unit = UnitMaker(headers=SPS + PPS).make(IDR, 0)
    assert unit
    assert types(unit.data) == [7, 8, 5]


def test_parameter_sets_may_come_each_in_a_packet_of_its_own() -> None:
    maker = UnitMaker()
    assert maker.make(SPS, 0) is None
    assert maker.make(PPS, 0) is None
    keyframe = maker.make(IDR, 0)
    assert keyframe
    assert types(keyframe.data) == [7, 8, 5]


def test_several_of_a_kind_are_kept_by_their_ids_and_replaced_by_their_namesakes() -> None:
    maker = UnitMaker()
    second_sps = b"\0\0\0\1\x67\x42\xc0\x1f\x50"  # seq_parameter_set_id 1
    second_pps = b"\0\0\0\1\x68\x5e\x3c"  # pic_parameter_set_id 1
    other_sps = b"\0\0\0\1\x67\x42\xc0\x1e\xbb"  # id 0 again, of another size
    for part in (PPS, SPS, second_pps, second_sps, other_sps):
        assert maker.make(part, 0) is None
    keyframe = maker.make(IDR, 0)
    assert keyframe
    assert keyframe.data == other_sps + second_sps + b"\0" + PPS + second_pps + IDR


def test_the_colours_of_a_set_that_comes_with_every_picture_are_named_once() -> None:
    asked = []

    def name(sps: bytes) -> bytes:
        asked.append(sps)
        return sps + b"\x55"

    maker = UnitMaker(name_colors=name)
    other = SPS[:-1] + b"\xab"
    for at, sps in enumerate([SPS, SPS, SPS, other, other, SPS]):
        unit = maker.make(sps + PPS + IDR, at * 40_000)
        assert unit
        assert unit.data.startswith(sps + b"\x55")
    assert asked == [SPS, other, SPS]


def test_parameter_sets_that_change_between_two_keyframes_reach_the_viewer() -> None:
    maker = UnitMaker()
    maker.make(SPS + PPS + IDR, 0)
    changed = b"\0\0\0\1\x68\xce\x3f"
    assert maker.make(changed, 0) is None
    unit, after = maker.make(SLICE, 40_000), maker.make(SLICE, 80_000)
    assert unit
    assert after
    assert unit.data == SPS + changed + SLICE
    assert after.data == SLICE


def test_nothing_comes_before_the_first_keyframe() -> None:
    maker = UnitMaker()
    assert maker.make(SLICE, 0) is None
    keyframe, after = maker.make(SPS + PPS + IDR, 40_000), maker.make(SLICE, 80_000)
    assert keyframe
    assert after
    assert (keyframe.is_keyframe, after.is_keyframe) == (True, False)


@given(st.binary(max_size=300))
def test_any_bytes_are_looked_through(data: bytes) -> None:
    assert is_idr(data) == (5 in types(data))
    UnitMaker().make(data, 0)
