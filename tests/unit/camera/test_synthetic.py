import threading

import av
import pytest
from parts.one_stream import start

from agent.camera.synthetic import SyntheticCamera
from agent.config import CameraSettings
from agent.model import stamp
from agent.model.media import EncoderDemand, Unit

pytestmark = pytest.mark.usefixtures("haste")


def watch(
    camera: SyntheticCamera, count: int, demand_after: dict[int, EncoderDemand] | None = None
) -> list[Unit]:
    units: list[Unit] = []
    done = threading.Event()

    def on_unit(unit: Unit) -> None:
        units.append(unit)
        if demand := (demand_after or {}).get(len(units)):
            camera.apply("main", demand)
        if len(units) == count:
            done.set()

    stream_format = start(camera, EncoderDemand(1_000_000), on_unit, lambda _: done.set())
    assert (stream_format.width_px, stream_format.height_px, stream_format.fps) == (320, 180, 60)
    assert done.wait(30)
    camera.stop()
    assert len(units) >= count, "it failed"
    return units


def camera() -> SyntheticCamera:
    return SyntheticCamera(CameraSettings(source="synthetic", width_px=320, height_px=180, fps=60))


def test_it_delivers_from_a_keyframe_on_and_obeys() -> None:
    units = watch(camera(), 8, {5: EncoderDemand(500_000, keyframe=True)})[:8]
    assert [unit.is_keyframe for unit in units] == [True, False, False, False, False, True, False, False]


def test_the_stamp_tells_when_the_picture_was_taken() -> None:
    units = watch(camera(), 6)
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    stamps = []
    for frame in frames:
        plane = frame.planes[0]
        stamps.append(stamp.decode_luma(bytes(plane), plane.line_size, frame.width, frame.height))
    for unit, stamp_ms in zip(units, stamps, strict=False):
        apart_ms = stamp.age_ms(stamps[0], stamp_ms) - (unit.capture_us - units[0].capture_us) / 1000
        assert abs(apart_ms) <= 2


def test_nothing_comes_after_the_stop_and_it_starts_again() -> None:
    it = camera()
    first = watch(it, 2)
    count = len(first)
    second = watch(it, 2)
    assert len(first) == count
    assert second[0].is_keyframe
    it.stop()


def test_the_preview_is_small_slower_and_alone_where_nobody_watches_main() -> None:
    units, done = [], threading.Event()
    it = SyntheticCamera(CameraSettings(source="synthetic", width_px=1280, height_px=720, fps=60))

    def on_unit(unit: Unit) -> None:
        units.append(unit)
        if len(units) == 4:
            done.set()

    stream_format = start(it, EncoderDemand(400_000), on_unit, stream="preview")
    assert (stream_format.width_px, stream_format.height_px, stream_format.fps) == (640, 360, 15)
    assert done.wait(30)
    it.stop()
    picture = av.CodecContext.create("h264", "r").decode(av.Packet(units[0].data))[0]
    assert (picture.width, picture.height) == (640, 360)
    plane = picture.planes[0]
    assert stamp.decode_luma(bytes(plane), plane.line_size, 640, 360) is not None
    # A picture may come late, by less than an interval; at 60 a second four of them would span 50 ms.
    assert units[3].capture_us - units[0].capture_us >= 2 * 1_000_000 / 16
