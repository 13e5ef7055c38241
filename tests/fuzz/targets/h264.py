"""H.264 in annex B, as an encoder or a file may give it, up to RTP payloads."""

from fuzz.target import Target

from agent.camera.annexb import ParameterSets, UnitMaker
from agent.media.packetizer import MAX_PAYLOAD_BYTES, packetize, to_rtp_frame
from agent.model.h264 import is_idr, nal_type, split_nals
from agent.model.media import Unit


def check(data: bytes) -> None:
    """NAL units that are all in the stream; payloads that hold them all again, none too large."""
    nals = list(split_nals(data))
    assert all(nal in data and nal[-1] for nal in nals)
    assert is_idr(data) == any(nal_type(nal) == 5 for nal in nals)
    sets, again = ParameterSets(), ParameterSets()
    rest = sets.take(nals)
    assert again.take(split_nals(bytes(sets))) == b""
    assert bytes(again) == bytes(sets)
    assert len(bytes(sets) + rest) <= len(data) + len(nals)
    payloads = packetize(nals)
    assert all(0 < len(payload) <= MAX_PAYLOAD_BYTES for payload in payloads)
    if all(0 < nal_type(nal) < 24 for nal in nals):  # the rest is not H.264 that RFC 6184 knows
        assert _joined(payloads) == nals
    frame = to_rtp_frame(Unit(data, 1_000_000, 0, is_idr(data)))
    assert frame is None or frame.size_bytes == sum(map(len, frame.payloads))
    maker = UnitMaker()
    made = [maker.make(part, number * 33_333) for number, part in enumerate((data, data[: len(data) // 2]))]
    assert made[0] is None or made[0].is_keyframe


def _joined(payloads: list[bytes]) -> list[bytes]:
    """The NAL units again (RFC 6184 sections 5.6 to 5.8)."""
    nals: list[bytes] = []
    for payload in payloads:
        match payload[0] & 0x1F:
            case 24:
                at = 1
                while at < len(payload):
                    length = int.from_bytes(payload[at : at + 2], "big")
                    nals.append(payload[at + 2 : at + 2 + length])
                    at += 2 + length
            case 28:
                if payload[1] & 0x80:
                    nals.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]))
                nals[-1] += payload[2:]
            case _:
                nals.append(payload)
    return nals


def seeds() -> list[bytes]:
    """A keyframe with its parameter sets, a small picture, and start codes where none belong."""
    sps, pps = b"\0\0\0\1\x67\x42\xe0\x1f\xda", b"\0\0\0\1\x68\xce\x3c\x80"
    idr, small = b"\0\0\1\x65" + b"\x88" * 3000, b"\0\0\1\x41\x9a\x21"
    return [
        sps + pps + idr,
        small,
        b"\0\0\1\x09\xf0" + sps + pps + b"\0\0\1\x06\x05\0\0\0",
        b"\0\0\1\0\0\1\0\0\1",
    ]


TARGET = Target("h264", "H.264 streams: an encoder, a USB camera, a file.", check, seeds, max_bytes=8192)
