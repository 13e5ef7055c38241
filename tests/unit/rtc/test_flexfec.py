"""Parity read back by a decoder that follows the draft's section 6.3, apart from our encoder."""

import struct

import pytest

from agent.rtc import flexfec

SSRC = 0x11223344


def media(count, first_seq=65_530):
    return [
        struct.pack(
            "!BBHII", 0x90, 96 | (0x80 if i == count - 1 else 0), first_seq + i & 0xFFFF, 9000 + i, SSRC
        )
        + bytes([i + 1]) * (100 + 7 * i)
        for i in range(count)
    ]


def protected(payload):
    """(sequence numbers, header's length) by the mask."""
    (base,) = struct.unpack_from("!H", payload, 16)
    found, at, index = [], 18, 0
    for size in (2, 4, 8):
        word = int.from_bytes(payload[at : at + size], "big")
        bits = 8 * size - 1
        found += [base + index + i & 0xFFFF for i in range(bits) if word >> (bits - 1 - i) & 1]
        at, index = at + size, index + bits
        if word >> bits:
            return found, at
    raise AssertionError("the mask has no end")


def repair(payload, present):
    """The one packet that is missing of those that `payload` protects."""
    seqs, header_bytes = protected(payload)
    (lost,) = (seq for seq in seqs if seq not in present)
    head, length, stamp = struct.unpack_from("!HHI", payload)
    body = int.from_bytes(payload[header_bytes:], "big")
    size = len(payload) - header_bytes
    for seq in seqs:
        if seq != lost:
            packet = present[seq]
            head ^= int.from_bytes(packet[:2], "big") & 0x3FFF
            length ^= len(packet) - 12
            stamp ^= int.from_bytes(packet[4:8], "big")
            body ^= int.from_bytes(packet[12:].ljust(size, b"\0"), "big")
    return (
        struct.pack("!HHII", 0x8000 | head & 0x3FFF, lost, stamp, SSRC) + body.to_bytes(size, "big")[:length]
    )


@pytest.mark.parametrize("count", [1, 2, 15, 16, 46, 47, 109])
@pytest.mark.parametrize("parts", [1, 3])
def test_any_one_lost_packet_comes_back_as_it_was(count, parts):
    packets = media(count)
    by_seq = {65_530 + i & 0xFFFF: packet for i, packet in enumerate(packets)}
    for part in range(min(parts, count)):
        payload = flexfec.encode(packets, 65_530, SSRC, part, parts)
        seqs, _ = protected(payload)
        assert seqs == [65_530 + i & 0xFFFF for i in range(part, count, parts)]
        for lost in seqs:
            present = {seq: packet for seq, packet in by_seq.items() if seq != lost}
            assert repair(payload, present) == by_seq[lost]


def test_it_names_the_stream_it_protects_and_asks_for_no_retransmission():
    payload = flexfec.encode(media(3), 7, SSRC, 0, 1)
    assert payload[0] & 0xC0 == 0
    assert payload[8] == 1
    assert payload[12:16] == SSRC.to_bytes(4, "big")
