"""What a receiver's depayloader makes of our payloads is the access unit again."""

from fractions import Fraction

from aiortc.codecs.h264 import H264PayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from agent.media.packetizer import MAX_PAYLOAD_BYTES, packetize, to_rtp_frame
from agent.model.h264 import split_nals
from agent.model.media import Unit

START = b"\0\0\0\1"


def _nal(kind: int, body: bytes) -> bytes:
    # As an encoder would: emulation prevention (H.264 section 7.4.1.1), and no zero byte at the end.
    escaped = bytearray()
    zeros = 0
    for byte in body:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes((0x60 | kind,)) + bytes(escaped) + b"\x80"


nals = st.lists(
    st.builds(_nal, st.sampled_from((1, 5, 6, 7, 8)), st.binary(max_size=5000)), min_size=1, max_size=8
)


def _depayload(payloads: list[bytes]) -> list[bytes]:
    data = b"".join(H264PayloadDescriptor.parse(payload)[1] for payload in payloads)
    return list(split_nals(data))


@given(nals, st.integers(64, MAX_PAYLOAD_BYTES))
def test_a_depayloader_gets_back_every_nal_unit(units, max_bytes):
    payloads = packetize(units, max_bytes)
    assert all(len(payload) <= max_bytes for payload in payloads)
    assert _depayload(payloads) == units


@given(nals, st.sampled_from((b"\0\0\1", START)), st.binary(max_size=3).map(lambda b: bytes(len(b))))
def test_annex_b_with_either_start_code_and_trailing_zeros(units, start, zeros):
    stream = b"".join(start + unit + zeros for unit in units)
    assert list(split_nals(stream)) == units


def test_small_units_share_a_packet_and_a_large_one_is_cut_evenly():
    sps, pps, idr = _nal(7, b"s" * 20), _nal(8, b"p" * 5), _nal(5, b"\x55" * 3000)
    payloads = packetize([sps, pps, idr])
    assert [p[0] & 0x1F for p in payloads] == [24, 28, 28, 28]
    sizes = [len(p) for p in payloads[1:]]
    assert max(sizes) - min(sizes) <= 2


def test_a_frame_leaves_out_what_no_receiver_needs():
    data = START + _nal(9, b"\xf0") + START + _nal(5, b"x" * 10) + START + _nal(12, b"\xff" * 400)
    frame = to_rtp_frame(Unit(data, capture_us=1_000_000, epoch=2, is_keyframe=True))
    assert [p[0] & 0x1F for p in frame.payloads] == [5]
    assert (frame.rtp_time, frame.is_keyframe) == (90_000, True)
    assert frame.size_bytes == len(frame.payloads[0])


def test_an_access_unit_without_a_picture_is_no_frame():
    assert to_rtp_frame(Unit(b"garbage", 0, 0, is_keyframe=False)) is None


def test_the_decoder_sees_the_pictures_that_went_in():
    import av

    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), 30
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    decoder = av.CodecContext.create("h264", "r")
    shown = []
    for index in range(5):
        picture = av.VideoFrame(320, 240, "yuv420p")
        for plane, level in zip(picture.planes, (40 * index + 20, 128, 128), strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        picture.pts = index
        for packet in encoder.encode(picture):
            unit = Unit(bytes(packet), 0, 0, is_keyframe=packet.is_keyframe)
            received = _depayload(list(to_rtp_frame(unit).payloads))
            data = b"".join(START + nal for nal in received)
            shown += [bytes(f.planes[0])[0] for f in decoder.decode(av.Packet(data))]
    shown += [bytes(f.planes[0])[0] for f in decoder.decode(None)]
    assert len(shown) == 5
    assert all(abs(got - (40 * index + 20)) <= 3 for index, got in enumerate(shown))
