"""The sensor's own high dynamic range, a control of its subdevice: libcamera lists other modes with it."""

from pathlib import Path

from agent.camera import videodev

SYSFS = Path("/sys/class/video4linux")
DEVICES = Path("/dev")


def set_sensor_hdr(
    camera_id: str, *, wanted: bool, sysfs: Path = SYSFS, devices: Path = DEVICES
) -> bool | None:
    """Whether it was another before; None where this sensor has no such control.

    `camera_id` is libcamera's, the sensor's place in the device tree. Raises OSError.
    """
    for node in sorted(sysfs.glob("v4l-subdev*")):
        if not str((node / "device" / "of_node").resolve()).endswith(camera_id):
            continue
        with (devices / node.name).open("rb+", buffering=0) as subdevice:
            held = videodev.get_control(subdevice, videodev.CID_WIDE_DYNAMIC_RANGE)
            if held is None:
                return None
            if bool(held) != wanted:
                videodev.set_control(subdevice, videodev.CID_WIDE_DYNAMIC_RANGE, int(wanted))
            return bool(held) != wanted
    return None
