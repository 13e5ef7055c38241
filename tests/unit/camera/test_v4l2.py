import io
import threading
import time
from fractions import Fraction
from types import SimpleNamespace

import av
import pytest
from av.bitstream import BitStreamFilterContext
from parts.one_stream import start

from agent.camera import v4l2, videodev
from agent.camera.encoder import H264Encoder
from agent.camera.v4l2 import V4l2Camera
from agent.camera.videodev import CID_BITRATE, CID_FORCE_KEY_FRAME, Device
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.h264 import START_CODE, nal_type, split_nals
from agent.model.media import EncoderDemand, Unit

DEMAND = EncoderDemand(1_000_000)
CONTROLS = frozenset({CID_BITRATE, CID_FORCE_KEY_FRAME})


def probed(*formats: str, controls: frozenset[int] = frozenset()):
    return lambda path: Device(path, "Webcam", "usb-1", captures=True, formats=formats, controls=controls)


def film(codec: str, pix_fmt: str, count: int = 5) -> av.container.InputContainer:
    """What a camera would deliver, in a container that PyAV reads."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, pix_fmt
        for i in range(count):
            frame = av.VideoFrame(320, 240, pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    memory.seek(0)
    return av.open(memory, "r")


class Opener:
    """Stands for `av.open` on a device."""

    def __init__(self, container) -> None:
        self.container = container
        self.options: dict[str, str] = {}

    def __call__(self, _path: str, format: str, options: dict[str, str]):  # noqa: A002  # PyAV's name
        assert format == "v4l2"
        self.options = options
        if isinstance(self.container, Exception):
            raise self.container
        return self.container


def run(camera: V4l2Camera) -> tuple[list[Unit], list[Exception], object]:
    """Play until the stand-in has nothing more, which is as a camera that was unplugged."""
    units: list[Unit] = []
    failures: list[Exception] = []
    ended = threading.Event()
    stream_format = start(camera, DEMAND, units.append, lambda error: (failures.append(error), ended.set()))
    assert ended.wait(30)
    camera.stop()
    camera.stop()
    return units, failures, stream_format


@pytest.mark.parametrize(
    ("fourcc", "codec", "pix_fmt", "name"),
    [("MJPG", "mjpeg", "yuvj422p", "mjpeg"), ("YUYV", "rawvideo", "yuyv422", "yuyv422")],
)
def test_pictures_are_encoded_at_the_asked_size(fourcc: str, codec: str, pix_fmt: str, name: str) -> None:
    opener = Opener(film(codec, pix_fmt))
    settings = CameraSettings(width_px=640, height_px=480, fps=15)
    units, failures, stream_format = run(V4l2Camera(settings, "/dev/video0", probed(fourcc), opener))
    assert opener.options["input_format"] == name
    assert (opener.options["video_size"], opener.options["framerate"]) == ("640x480", "15")
    assert (stream_format.width_px, stream_format.height_px, stream_format.fps) == (640, 480, 30)
    assert [unit.is_keyframe for unit in units] == [True, False, False, False, False]
    assert len(failures) == 1, "it ended by itself, and says so once"


def test_without_settings_the_size_is_what_the_camera_gives() -> None:
    _, _, stream_format = run(
        V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(film("mjpeg", "yuvj420p")))
    )
    assert (stream_format.width_px, stream_format.height_px) == (320, 240)


def test_a_broken_jpeg_at_the_start_is_left_out() -> None:
    whole = film("mjpeg", "yuvj422p")
    stream = whole.streams.video[0]

    def demux(_stream):
        yield av.Packet(b"\xff\xd8 this is no JPEG")
        yield from whole.demux(stream)

    container = SimpleNamespace(streams=whole.streams, demux=demux, close=whole.close)
    units, _, _ = run(V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container)))
    assert len(units) == 5


class H264Camera:
    """A camera with an encoder of its own, which leaves SPS and PPS out after the start."""

    def __init__(self) -> None:
        encoder = H264Encoder(320, 240, 30, 10, DEMAND)
        pictures = []
        for i in range(6):
            if i == 3:
                encoder.apply(EncoderDemand(1_000_000, keyframe=True))
            pictures.append(encoder.encode(av.VideoFrame(320, 240, "yuv420p"), 0).data)
        pictures[3] = START_CODE + next(nal for nal in split_nals(pictures[3]) if nal_type(nal) == 5)
        context = SimpleNamespace(width=320, height=240, extradata=pictures[0], colorspace=2)
        self.streams = SimpleNamespace(
            video=[SimpleNamespace(average_rate=Fraction(30), codec_context=context)]
        )
        self._pictures = [pictures[1], *pictures]  # it was running before
        self.closed = False

    def demux(self, _stream):
        return (av.Packet(data) for data in self._pictures)

    def close(self) -> None:
        self.closed = True


def test_a_controllable_h264_camera_is_passed_through_and_steered(monkeypatch, tmp_path) -> None:
    controls: list[tuple[int, int]] = []
    monkeypatch.setattr(videodev, "set_control", lambda _fd, cid, value: controls.append((cid, value)))
    (tmp_path / "video0").touch()
    hardware = H264Camera()
    camera = V4l2Camera(
        CameraSettings(), str(tmp_path / "video0"), probed("H264", controls=CONTROLS), Opener(hardware)
    )
    units: list[Unit] = []
    ended = threading.Event()

    def on_unit(unit: Unit) -> None:
        units.append(unit)
        if len(units) == 1:
            camera.apply("main", EncoderDemand(700_000, keyframe=True))

    start(camera, DEMAND, on_unit, lambda _: ended.set())
    assert ended.wait(30)
    camera.stop()
    assert [unit.is_keyframe for unit in units] == [True, False, False, True, False, False]
    assert [nal_type(nal) for nal in split_nals(units[3].data)] == [7, 8, 5]
    assert controls == [
        (CID_BITRATE, 1_000_000),
        (CID_FORCE_KEY_FRAME, 1),  # it may have run before
        (CID_BITRATE, 700_000),
        (CID_FORCE_KEY_FRAME, 1),
    ]
    assert hardware.closed


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file"), "is the camera plugged in"),
        (PermissionError(13, "Permission denied"), "add the user to the group `video`"),
        (OSError(25, "Inappropriate ioctl"), "this is no video device"),
    ],
)
def test_a_device_that_cannot_be_probed(error: OSError, words: str) -> None:
    def probe(_path: str) -> Device:
        raise error

    with pytest.raises(CameraError, match=words):
        start(V4l2Camera(CameraSettings(), "/dev/video0", probe), DEMAND, lambda _: None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (av.error.OSError(16, "Device or resource busy"), "another program uses the camera"),
        (av.error.ArgumentError(22, "Invalid argument"), "refuses this size or rate"),
    ],
)
def test_a_device_that_cannot_be_opened(error: Exception, words: str) -> None:
    camera = V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(error))
    with pytest.raises(CameraError, match=words):
        start(camera, DEMAND, lambda _: None, lambda _: None)
    camera.stop()


def test_a_camera_that_is_unplugged_while_it_runs() -> None:
    whole = film("mjpeg", "yuvj422p")

    def demux(_stream):
        yield from list(whole.demux(whole.streams.video[0]))[:2]
        raise av.error.OSError(19, "No such device")

    container = SimpleNamespace(streams=whole.streams, demux=demux, close=whole.close)
    units, failures, _ = run(V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container)))
    assert len(units) == 2
    assert "the camera was unplugged" in str(failures[0])


def test_what_a_decoder_refuses_costs_that_picture_alone_whatever_it_is_called() -> None:
    whole = film("mjpeg", "yuvj422p", count=6)
    names = iter((None, av.error.PatchWelcomeError, None, av.error.UnknownError, av.error.EOFError, None))

    class Stream:
        codec_context = whole.streams.video[0].codec_context
        average_rate = Fraction(30)

        def decode(self, packet):
            if error := next(names, None):
                raise error(1, "refused")
            return whole.streams.video[0].decode(packet)

    packets = [packet for packet in whole.demux(whole.streams.video[0]) if packet.size]
    container = SimpleNamespace(
        streams=SimpleNamespace(video=[Stream()]), demux=lambda _: iter(packets), close=whole.close
    )
    camera = V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container))
    units, failures, _ = run(camera)
    assert len(units) == 3
    assert camera.damaged == 3
    assert str(failures[0]) == "the camera ended"


def test_a_real_jpeg_that_ffmpeg_does_not_implement_is_left_out() -> None:
    whole = film("mjpeg", "yuvj422p")
    stream = whole.streams.video[0]
    good = [packet for packet in whole.demux(stream) if packet.size]
    frame_header = bytes(good[2]).index(b"\xff\xc0")
    odd = bytearray(bytes(good[2]))
    for offset, factors in ((11, 0x31), (14, 0x12), (17, 0x12)):
        odd[frame_header + offset] = factors
    packets = [*good[:2], av.Packet(bytes(odd)), *good[3:]]
    container = SimpleNamespace(streams=whole.streams, demux=lambda _: iter(packets), close=whole.close)
    camera = V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container))
    units, _, _ = run(camera)
    assert (len(units), camera.damaged) == (4, 1)


def test_a_camera_of_nothing_but_damage_fails_with_words() -> None:
    whole = film("mjpeg", "yuvj422p")
    container = SimpleNamespace(
        streams=whole.streams,
        demux=lambda _: (av.Packet(b"\xff\xd8 this is no JPEG") for _ in range(1000)),
        close=whole.close,
    )
    units, failures, _ = run(V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container)))
    assert not units
    assert "30 pictures in a row were damaged, the last one: " in str(failures[0])


def test_the_drivers_passing_errors_cost_pictures_and_not_the_camera() -> None:
    whole = film("mjpeg", "yuvj422p", count=6)
    packets = iter([packet for packet in whole.demux(whole.streams.video[0]) if packet.size])
    empty = av.Packet(0)
    empty.pts = 1  # FFmpeg's way to say that the driver called its buffer corrupt
    script = iter([2, av.error.OSError(5, "Input/output error"), 2, empty, 2, av.error.OSError(19, "gone")])

    def demux(_stream):
        for step in script:
            if isinstance(step, int):
                yield from (next(packets) for _ in range(step))
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    container = SimpleNamespace(streams=whole.streams, demux=demux, close=whole.close)
    camera = V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container))
    units, failures, _ = run(camera)
    assert (len(units), camera.damaged) == (6, 2)
    assert "the camera was unplugged" in str(failures[0])


def test_an_encoder_that_fails_once_goes_on_with_a_keyframe(monkeypatch) -> None:
    encode, calls = H264Encoder._encode, iter(range(100))

    def once(self, frame, capture_us):
        if next(calls) == 2:
            raise av.error.ExternalError(1, "Generic error in an external library")
        return encode(self, frame, capture_us)

    monkeypatch.setattr(H264Encoder, "_encode", once)
    settings = CameraSettings(preview={"enabled": False})
    camera = V4l2Camera(settings, "/dev/video0", probed("MJPG"), Opener(film("mjpeg", "yuvj422p")))
    units, _, _ = run(camera)
    assert [unit.is_keyframe for unit in units] == [True, False, True, False]
    assert camera.damaged == 1


def steered(monkeypatch, tmp_path, hardware) -> tuple[V4l2Camera, list[tuple[int, int]]]:
    controls: list[tuple[int, int]] = []
    monkeypatch.setattr(videodev, "set_control", lambda _fd, cid, value: controls.append((cid, value)))
    (tmp_path / "video0").touch()
    device = probed("H264", controls=CONTROLS)
    return V4l2Camera(CameraSettings(), str(tmp_path / "video0"), device, Opener(hardware)), controls


def test_a_lost_picture_of_the_cameras_own_h264_is_followed_by_a_forced_keyframe(
    monkeypatch, tmp_path
) -> None:
    hardware = H264Camera()
    pictures, script = iter([av.Packet(data) for data in hardware._pictures[1:]]), iter([2, 1, 3])

    def demux(_stream):
        yield from (next(pictures) for _ in range(next(script, 0)))
        raise av.error.OSError(5 if pictures.__length_hint__() else 19, "Input/output error")

    hardware.demux = demux
    camera, controls = steered(monkeypatch, tmp_path, hardware)
    units, failures, _ = run(camera)
    assert len(units) == 6
    assert controls.count((CID_FORCE_KEY_FRAME, 1)) == 2, "at its start, and one for both losses"
    assert "unplugged" in str(failures[0])


def test_an_own_encoder_without_keyframes_is_decoded_from_the_next_start_on(monkeypatch, tmp_path) -> None:
    hardware = H264Camera()
    hardware.demux = lambda _: (av.Packet(hardware._pictures[0]) for _ in range(100))
    camera, _ = steered(monkeypatch, tmp_path, hardware)
    units, failures, _ = run(camera)
    assert not units
    assert "no keyframe within 2 s" in str(failures[0])
    camera._open_container = Opener(film("libx264", "yuv420p", count=40))
    units, _, stream_format = run(camera)
    assert units[0].is_keyframe
    assert stream_format.can_rescale, "it is our own encoder's"


def test_the_colours_of_the_cameras_own_h264_are_named(monkeypatch, tmp_path) -> None:
    hardware = H264Camera()
    unsaid = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    mute = BitStreamFilterContext(unsaid, "h264")
    hardware._pictures = [bytes(mute.filter(av.Packet(data))[0]) for data in hardware._pictures[1:]]
    hardware.streams.video[0].codec_context.extradata = b""
    camera, _ = steered(monkeypatch, tmp_path, hardware)
    units, _, _ = run(camera)
    decoder = av.CodecContext.create("h264", "r")
    shown = [*decoder.decode(av.Packet(units[0].data)), *decoder.decode(None)][0]
    assert (shown.colorspace, shown.color_range, shown.color_primaries) == (6, 1, 1)


def test_a_device_without_a_format_for_us_says_what_it_offers() -> None:
    with pytest.raises(CameraError, match="it offers Z16, Y8I"):
        start(V4l2Camera(CameraSettings(), "/dev/video2", probed("Z16", "Y8I")), DEMAND, lambda _: None)


def test_a_stop_cannot_wait_for_ever_on_a_silent_device(monkeypatch) -> None:
    monkeypatch.setattr("agent.camera.worker.JOIN_S", 0.05)
    silence = threading.Event()
    whole = film("mjpeg", "yuvj422p")

    def demux(_stream):
        silence.wait(30)
        yield from ()

    container = SimpleNamespace(streams=whole.streams, demux=demux, close=whole.close)
    camera = V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container))
    start(camera, DEMAND, lambda _: None, lambda _: None)
    with pytest.raises(CameraError, match="camera-v4l2 hangs"):
        camera.stop()
    silence.set()


def test_the_drivers_time_is_taken() -> None:
    whole = film("mjpeg", "yuvj420p")
    stream = whole.streams.video[0]
    taken_us = time.monotonic_ns() // 1000 - 200_000

    def demux(_stream):
        for number, packet in enumerate(whole.demux(stream)):
            packet.pts, packet.time_base = taken_us + number * 33_333, Fraction(1, 1_000_000)
            yield packet

    container = SimpleNamespace(streams=whole.streams, demux=demux, close=whole.close)
    units, _, _ = run(V4l2Camera(CameraSettings(), "/dev/video0", probed("MJPG"), Opener(container)))
    assert [unit.capture_us for unit in units] == [taken_us + number * 33_333 for number in range(5)]


def test_only_usb_cameras_that_can_be_read_count(monkeypatch) -> None:
    found = [
        Device("/dev/video0", "ISP", "platform:bcm2835-isp", captures=True, formats=("YUYV",)),
        Device("/dev/video1", "Depth", "usb-1", captures=True, formats=("Z16",)),
        Device("/dev/video2", "Webcam", "usb-2", captures=True, formats=("MJPG",)),
    ]
    monkeypatch.setattr(videodev, "devices", lambda: found)
    assert [device.path for device in v4l2.usb_cameras()] == ["/dev/video2"]
