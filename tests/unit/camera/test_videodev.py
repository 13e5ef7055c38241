import errno
import struct

import pytest

from agent.camera import videodev
from agent.camera.v4l2 import input_format
from agent.camera.videodev import CID_BITRATE, CID_FORCE_KEY_FRAME, Device

CAPTURE, STREAMING, DEVICE_CAPS, META = 0x1, 0x04000000, 0x80000000, 0x00800000


def capability(capabilities: int, device_caps: int, bus: bytes = b"usb-0000:01:00.0-1.2") -> bytes:
    """A `struct v4l2_capability` laid out by hand."""
    return (
        b"uvcvideo".ljust(16, b"\0")
        + b"HD Pro Webcam C920".ljust(32, b"\0")
        + bus.ljust(32, b"\0")
        + struct.pack("=III", 0x060C00, capabilities, device_caps)
        + bytes(12)
    )


def device(*formats: str, controls: frozenset[int] = frozenset()) -> Device:
    return Device("/dev/video0", "Webcam", "usb-1", captures=True, formats=formats, controls=controls)


def test_a_usb_camera() -> None:
    it = videodev.parse_capability(
        "/dev/video0", capability(DEVICE_CAPS | CAPTURE | STREAMING | META, CAPTURE | STREAMING)
    )
    assert (it.card, it.bus, it.captures, it.is_usb) == (
        "HD Pro Webcam C920",
        "usb-0000:01:00.0-1.2",
        True,
        True,
    )


def test_its_metadata_node_is_no_camera() -> None:
    it = videodev.parse_capability(
        "/dev/video1", capability(DEVICE_CAPS | CAPTURE | STREAMING, META | STREAMING)
    )
    assert not it.captures


def test_the_boards_own_nodes_are_no_usb_cameras() -> None:
    data = capability(CAPTURE | STREAMING, 0, bus=b"platform:bcm2835-isp")
    it = videodev.parse_capability("/dev/video13", data)
    assert it.captures
    assert not it.is_usb


class Driver:
    """Answers ioctls as a driver does."""

    formats = (b"YUYV", b"MJPG")
    controls = (CID_BITRATE,)

    def __init__(self) -> None:
        self.set: list[bytes] = []

    def ioctl(self, _fd: object, request: int, argument: bytearray | bytes) -> int:
        if request == videodev.VIDIOC_QUERYCAP:
            argument[:] = capability(DEVICE_CAPS, CAPTURE | STREAMING)
        elif request == videodev.VIDIOC_ENUM_FMT:
            (index,) = struct.unpack_from("=I", argument)
            if index >= len(self.formats):
                raise OSError(errno.EINVAL, "end of list")
            argument[44:48] = self.formats[index]
        elif request == videodev.VIDIOC_QUERYCTRL:
            (control_id,) = struct.unpack_from("=I", argument)
            if control_id not in self.controls:
                raise OSError(errno.EINVAL, "no such control")
        else:
            assert request == videodev.VIDIOC_S_CTRL
            self.set.append(bytes(argument))
        return 0


@pytest.fixture
def driver(monkeypatch) -> Driver:
    it = Driver()
    monkeypatch.setattr(videodev.fcntl, "ioctl", it.ioctl)
    return it


@pytest.mark.usefixtures("driver")
def test_devices_are_probed_in_the_order_of_their_numbers(tmp_path) -> None:
    for name in ("video10", "video2", "media0"):
        (tmp_path / name).touch()
    found = videodev.devices(str(tmp_path))
    assert [it.path.rpartition("/")[2] for it in found] == ["video2", "video10"]
    assert found[0].formats == ("YUYV", "MJPG")
    assert found[0].controls == {CID_BITRATE}


def test_a_file_that_is_no_device_is_passed_over(tmp_path) -> None:
    (tmp_path / "video0").touch()
    assert videodev.devices(str(tmp_path)) == []


def test_a_driver_whose_list_of_formats_never_ends_is_cut_off(driver, tmp_path) -> None:
    class Endless(tuple):
        __slots__ = ()

        def __len__(self) -> int:
            return 10**9

        def __getitem__(self, index):
            return b"YUYV"

    driver.formats = Endless()
    (tmp_path / "video0").touch()
    assert len(videodev.probe(str(tmp_path / "video0")).formats) == videodev.MAX_FORMATS


def test_a_control_is_set_as_the_kernel_wants_it(driver) -> None:
    videodev.set_control(3, CID_BITRATE, 1_500_000)
    assert driver.set == [struct.pack("=Ii", 0x009909CF, 1_500_000)]


def test_which_format_is_read() -> None:
    both = frozenset({CID_BITRATE, CID_FORCE_KEY_FRAME})
    assert input_format(device("YUYV", "MJPG", "H264", controls=both)) == "h264"
    assert input_format(device("YUYV", "MJPG", "H264")) == "mjpeg", "its bitrate could not follow the link"
    assert input_format(device("YUYV", "MJPG", "H264", controls=frozenset({CID_BITRATE}))) == "mjpeg"
    assert input_format(device("NV12", "YUYV")) == "yuyv422"
    assert input_format(device("Y16 ", "Z16 ")) is None
