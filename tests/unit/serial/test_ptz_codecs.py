"""Frames of heads: every vector, and whatever a wire may make of them."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.serial.ptz import pelco, visca, visca_ip
from agent.serial.ptz.motion import STILL, Velocity
from agent.serial.ptz.pelco import Words

VECTORS = [
    bytes.fromhex(line.split("  ")[0].split(" F1")[0].rstrip())
    for line in (Path(__file__).parents[2] / "data" / "ptz-vectors.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def d(words):
    return pelco.encode_d(1, words)


MADE = [
    d(pelco.drive(Velocity(pan=-1))),
    d(pelco.drive(Velocity(pan=1))),
    d(pelco.drive(Velocity(tilt=1))),
    d(pelco.drive(Velocity(tilt=-1))),
    d(pelco.STOP),
    d(pelco.drive(Velocity(zoom=1))),
    d(pelco.drive(Velocity(zoom=-1))),
    d(pelco.preset(pelco.SET_PRESET, 1)),
    d(pelco.preset(pelco.GO_PRESET, 1)),
    d(pelco.turn_to(pelco.PAN_TO, 180.0)),
    d(Words(0, pelco.ASK_PAN)),
    d(Words(0, pelco.ASK_TILT)),
    pelco.encode_p(1, pelco.drive(Velocity(pan=-0x20 / 0x3F))),
    pelco.encode_p(1, pelco.drive(Velocity(pan=0x20 / 0x3F))),
    visca.ADDRESS_SET,
    visca.IF_CLEAR,
    visca.drive(1, Velocity(pan=-0.5)),
    visca.drive(1, STILL),
    visca.zoom(1, Velocity(zoom=0.5)),
    visca.preset(1, 2, 1),
    visca.ask_position(1),
]


def without_idle_speeds(frame):
    """VISCA's drive names a speed for an axis that stands, and any will do there."""
    if frame[1:4] != b"\x01\x06\x01":
        return frame
    speeds = bytes((frame[4] if frame[6] != 3 else 0, frame[5] if frame[7] != 3 else 0))
    return frame[:4] + speeds + frame[6:]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v[0] != 0x90], ids=lambda v: v.hex(" "))
def test_each_vector_is_what_we_send(vector):
    assert without_idle_speeds(vector) in {without_idle_speeds(frame) for frame in MADE}


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ("90 41 FF", visca.Ack(1)),
        ("90 51 FF", visca.Done(1)),
        ("90 60 02 FF", visca.Refused(0, "syntax")),
        ("90 60 03 FF", visca.Refused(0, "full")),
        ("90 62 04 FF", visca.Refused(2, "cancelled")),
        ("90 61 05 FF", visca.Refused(1, "no-socket")),
        ("90 61 41 FF", visca.Refused(1, "not-now")),
        ("90 61 77 FF", visca.Refused(1, "unknown")),
        ("90 38 FF", visca.Renumber()),
        ("90 50 01 02 FF", visca.Answer(b"\x01\x02")),
        ("81 01 06 01 01 01 03 03 FF", None),
        ("88 30 01 FF", None),
        ("90 FF", None),
        ("90 41 01 FF", None),
    ],
)
def test_what_a_visca_camera_answers(frame, reply):
    assert visca.parse(bytes.fromhex(frame)) == reply


def test_the_answers_among_the_vectors_are_understood():
    answers = [vector for vector in VECTORS if vector[0] == 0x90]
    assert [visca.parse(vector) for vector in answers] == [
        visca.Ack(1), visca.Done(1), visca.Refused(0, "syntax"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "units"),
    [
        ("0F 06 07 00 00 09 09 00", (-2448, 2448)),
        ("04 00 00 00", (0x4000,)),
        ("", ()),
        ("01 02 03", ()),
        ("10 00 00 00", ()),
    ],
)
def test_units_of_four_nibbles(data, units):
    assert visca.parse_units(bytes.fromhex(data)) == units


def test_an_angle_of_pelco_is_clockwise_and_round():
    assert pelco.angle_deg(Words(0, pelco.PAN_IS, 0x46, 0x50)) == 180.0
    assert pelco.angle_deg(Words(0, pelco.PAN_IS, *divmod(35000, 256))) == -10.0
    assert pelco.turn_to(pelco.PAN_TO, -10.0) == Words(0, pelco.PAN_TO, *divmod(35000, 256))


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_what_moves_never_has_a_speed_of_nothing_nor_beyond_the_highest(pan, tilt, zoom):
    velocity = Velocity(pan, tilt, zoom)
    words = pelco.drive(velocity)
    assert (words.data_1 > 0) == bool(words.command_2 & 6) == bool(pan)
    assert (words.data_2 > 0) == bool(words.command_2 & 24) == bool(tilt)
    assert max(words.data_1, words.data_2) <= pelco.MAX_SPEED
    frame = visca.drive(1, velocity)
    assert 1 <= frame[4] <= visca.MAX_PAN
    assert 1 <= frame[5] <= visca.MAX_TILT
    assert visca.zoom(1, velocity)[4] & 0x0F <= visca.MAX_ZOOM


def cut(data, at):
    """The same bytes in pieces."""
    cuts = sorted({0, *(position % (len(data) + 1) for position in at), len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(cuts)]


WORDS = st.builds(Words, *[st.integers(0, 255)] * 4)


@given(st.lists(WORDS, max_size=5), st.lists(st.integers(0, 99), max_size=8), st.integers(1, 254))
def test_pelco_d_comes_through_any_split(words, at, address):
    decoder = pelco.Decoder(address)
    stream = b"".join(pelco.encode_d(address, each) for each in words)
    found = [each for piece in cut(stream, at) for each in decoder.feed(piece)]
    assert found == words


@given(WORDS, st.binary(max_size=20), st.integers(0, 7))
def test_pelco_d_after_noise_or_half_a_frame_is_found_by_the_one_after_the_next(words, noise, kept):
    decoder = pelco.Decoder(1)
    frame = pelco.encode_d(1, words)
    decoder.feed(noise + frame[:kept])
    assert words in [each for _ in range(3) for each in decoder.feed(frame)]


REPLIES = {
    "9041ff": visca.Ack(1),
    "9052ff": visca.Done(2),
    "906003ff": visca.Refused(0, "full"),
    "905004000000ff": visca.Answer(bytes.fromhex("04000000")),
}


@given(
    st.lists(st.sampled_from(sorted(REPLIES)), max_size=6),
    st.lists(st.integers(0, 99), max_size=8),
    st.binary(max_size=40),
)
def test_visca_comes_through_any_split_and_noise_costs_one_answer_at_most(frames, at, noise):
    stream = bytes.fromhex("".join(frames))
    decoder = visca.Decoder()
    found = [each for piece in cut(stream, at) for each in decoder.feed(piece)]
    assert found == [REPLIES[frame] for frame in frames]
    decoder.feed(noise)
    decoder.feed(bytes.fromhex("9041ff"))
    assert decoder.feed(bytes.fromhex("9042ff")) == [visca.Ack(2)]


@given(st.binary(max_size=2000))
def test_decoders_keep_little(noise):
    decoders = pelco.Decoder(1), visca.Decoder()
    for decoder in decoders:
        decoder.feed(noise)
    assert len(decoders[0]._kept) < pelco.D_BYTES
    assert len(decoders[1]._kept) <= visca.MAX_FRAME_BYTES


def test_visca_over_ip_counts_from_a_reset():
    numbering = visca_ip.Numbering()
    first = numbering.wrap(visca.drive(1, STILL))
    assert [each.hex() for each in first] == [
        "020000010000000001",
        "010000090000000181010601010103" + "03ff",
    ]
    assert numbering.wrap(visca.ask_zoom(1)) == [bytes.fromhex("011000050000000281090447ff")]
    assert numbering.unwrap(bytes.fromhex("0111000300000001" + "9041ff")) == bytes.fromhex("9041ff")
    assert numbering.unwrap(bytes.fromhex("02010002000000020f01")) == b"", "out of order"
    assert len(numbering.wrap(visca.IF_CLEAR)) == 2, "a reset goes before the next"


def test_visca_over_ip_begins_anew_where_nothing_is_heard():
    numbering = visca_ip.Numbering()
    sent = [len(numbering.wrap(visca.IF_CLEAR)) for _ in range(visca_ip.UNHEARD + 1)]
    assert sent == [2] + [1] * (visca_ip.UNHEARD - 1) + [2]


DATAGRAM = bytes.fromhex("01110003000000019041ff")


@given(st.binary(max_size=40), st.integers(0, 11))
def test_visca_over_ip_takes_what_is_whole_and_nothing_else(noise, kept):
    assert visca_ip.Numbering().unwrap(DATAGRAM[:kept]) == (DATAGRAM[8:] if kept == 11 else b"")
    found = visca_ip.parse(noise)
    assert found is None or visca_ip.encode(found) == noise
