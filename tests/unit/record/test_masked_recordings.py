"""What is masked is black in whatever comes of a recording: played, in a sheet, a still, an export."""

import av
import pytest
from parts.masked import assert_black, assert_seen, decoded, jpeg
from parts.recordings import OFFSET_US, START_US

from agent.camera.encoder import H264Encoder
from agent.camera.masking import Cover, Masking
from agent.model import evidence
from agent.model.keys import encode_public
from agent.model.media import EncoderDemand, Unit
from agent.record.export import About, Exporter
from agent.record.jpeg import decode_keyframe, make_jpeg
from agent.record.reader import Cursor
from agent.record.sheet import COLUMNS, WIDTH_PX, make_sheet
from agent.signaling.trust import SigningKey, make_signing_key

MASKS = (((0.0, 0.0), (0.5, 0.0), (0.5, 0.6), (0.0, 0.6)),)
SEEN = (0.9, 0.1), (0.1, 0.9)
WALL_US, FPS = START_US + OFFSET_US, 10
SIZES = {"main": (320, 180), "preview": (160, 90)}


def masked_units(size):
    """Two seconds of a bright picture, behind the masks, as an encoder makes them."""
    encoder, masking = H264Encoder(*size, FPS, 1.0, EncoderDemand(500_000)), Masking(Cover(MASKS))
    bright = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(bright.planes, (200, 90, 160), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    covered = masking.cover_frame(bright)
    units = [encoder.encode(covered, number) for number in range(2 * FPS)]
    return [
        Unit(unit.data, START_US + number * 1_000_000 // FPS, 0, unit.is_keyframe)
        for number, unit in enumerate(units)
    ]


@pytest.fixture
def recorded(desk):
    for stream, size in SIZES.items():
        desk.record(masked_units(size), stream)
    return desk


def holds(frame):
    assert_black(frame, MASKS)
    assert_seen(frame, *SEEN)


@pytest.mark.parametrize("stream", SIZES)
def test_played(recorded, stream):
    with Cursor(recorded.index, stream) as cursor:
        cursor.seek(WALL_US)
        frames = decoded(unit.data for unit in cursor.units())
    assert len(frames) == 2 * FPS
    for frame in frames:
        holds(frame)


def test_in_a_sheet(recorded):
    with Cursor(recorded.index, "preview") as cursor:
        sheet = make_sheet(cursor, [WALL_US], 1_000_000)
    whole = jpeg(sheet.jpeg).reformat(format="rgb24")
    height, (plane,) = sheet.tile_height_px, whole.planes
    rows = [bytes(plane)[y * plane.line_size :][: 3 * WIDTH_PX] for y in range(height)]
    assert whole.width == COLUMNS * WIDTH_PX
    tile = av.VideoFrame(WIDTH_PX, height, "rgb24")
    stride = tile.planes[0].line_size
    tile.planes[0].update(b"".join(row.ljust(stride, b"\0") for row in rows))
    holds(tile)


def test_in_a_still_of_each_size(recorded):
    with Cursor(recorded.index, "main") as cursor:
        cursor.seek(WALL_US)
        picture = decode_keyframe(next(iter(cursor.units())).data)
    for width_px, most_bytes in ((None, None), (320, 20_000), (160, 6_000)):
        holds(jpeg(make_jpeg(picture, width_px, most_bytes)[0]))


def test_in_an_export(recorded):
    key = SigningKey(make_signing_key())
    about = About("front", "Front door", "1.2.3", encode_public(key.public))
    exporter = Exporter(recorded.index, about, lambda words: key.seal(evidence.TOPIC, words), 0)
    made = exporter.make("main", WALL_US / 1e6, WALL_US / 1e6 + 2)
    with av.open(str(made.file)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 2 * FPS
    for frame in frames:
        holds(frame)
