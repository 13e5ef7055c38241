"""CE on Ethernet frames, checked against sums made anew."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab.marks import set_ce


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(tos, rest=bytes(16)):
    header = bytearray(b"\x45" + bytes([tos]) + rest[:8] + b"\0\0" + rest[8:])
    struct.pack_into("!H", header, 10, checksum(bytes(header)))
    return bytes(12) + b"\x08\x00" + bytes(header) + b"payload"


def ipv6(traffic_class):
    word = 6 << 28 | traffic_class << 20 | 0xABCDE
    return bytes(12) + b"\x86\xdd" + struct.pack("!I", word) + bytes(36) + b"payload"


@given(st.integers(0, 63), st.binary(min_size=16, max_size=16))
def test_an_ipv4_header_stays_whole(dscp, rest):
    assert set_ce(ipv4(dscp << 2 | 1, rest)) == ipv4(dscp << 2 | 3, rest)


@given(st.integers(0, 63))
def test_an_ipv6_header_changes_in_those_two_bits(dscp):
    assert set_ce(ipv6(dscp << 2 | 1)) == ipv6(dscp << 2 | 3)


@pytest.mark.parametrize("field", [0, 2, 3])
def test_what_does_not_carry_ect_1_is_left_as_it_is(field):
    assert set_ce(ipv4(field)) is None
    assert set_ce(ipv6(field)) is None


@pytest.mark.parametrize("frame", [b"", bytes(12) + b"\x08\x06" + bytes(28), ipv4(1)[:30]])
def test_what_is_no_ip_is_left_as_it_is(frame):
    assert set_ce(frame) is None
