"""Runs in the board: our part for the AI Camera on picamera2's own. Prints what it labelled as JSON.

What is not there is the sensor: its node, its driver, and the tensors that it sends with each picture.
"""

import ctypes
import faulthandler
import fcntl
import io
import json
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np

from agent.camera.masking import CLEAR, Cover, Masking
from agent.camera.picamera import Network, PiCamera
from agent.config import CameraSettings
from agent.model.media import EncoderDemand

NODE = "10-001a"
SIDE = 320
LEFT_HALF = Cover((((0, 0), (0.5, 0), (0.5, 1), (0, 1)),))
RPK = Path("/tmp/network.rpk")  # of a root that goes with the test
NORMS = "03", "13", "23", "00", "22", "02", "20", "11"
LABELS = ["person", "bicycle", "car", "-", "dog", "chair"]


def make_sensor():
    """The sensor's places in /sys and /dev."""
    device = Path("/sys/devices", NODE)
    (device / "drivers/imx500").mkdir(parents=True)
    (device / "modules/imx500").mkdir(parents=True)
    (device / "of/Virtual0").mkdir(parents=True)
    (device / "drivers/imx500/module").symlink_to(device / "modules/imx500")
    (device / "driver").symlink_to(device / "drivers/imx500")
    (device / "of_node").symlink_to(device / "of/Virtual0")
    node = Path("/sys/class/video4linux/v4l-subdev0")
    node.mkdir(parents=True)
    (node / "device").symlink_to(device)
    Path("/dev/v4l-subdev0").touch()
    for name, file in {f"imx500-fw:{NODE}": "fw_progress", "rp2040-spi:10-0040": "transfer_progress"}.items():
        folder = Path("/sys/kernel/debug", name)
        folder.mkdir(parents=True)
        (folder / file).write_text("0 0 0")


def make_network(**intrinsics):
    """As the archive behind a network's firmware: what it is shown, and what it says of itself."""
    info = "networkID=000001\napParamSize=1\nnetworkNum=1\nnetworkOrdinal=0\n"
    info += f"inputTensorWidth={SIDE}\ninputTensorHeight={SIDE}\ninputTensorFormat=RGB\n"
    info += "".join(f"inputTensorNorm_K{place}=0x1\n" for place in NORMS)
    said = {"task": "object detection", "classes": {"labels": LABELS}} | intrinsics
    made = io.BytesIO()
    made.write(b"9464" + struct.pack(">I", 4) + bytes(56) + b"3695")  # one block of firmware
    files = {
        "imx500_regs": b"\0" * 8,
        "network_info.txt": info.encode(),
        "network_intrinsics": json.dumps(said).encode(),
    }
    for name, data in (*files.items(), ("TRAILER!!!", b"")):
        head = "070701" + "".join(
            f"{value:08x}" for value in (0, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        )
        entry = head.encode() + name.encode() + b"\0"
        made.write(entry + b"\0" * (-len(entry) % 4) + data + b"\0" * (-len(data) % 4))
    RPK.write_bytes(made.getvalue())


def info_of(module, tensors):
    told = module.CnnOutputTensorInfoExported()
    told.network_name, told.num_tensors = b"test", len(tensors)
    for one, tensor in zip(told.info, tensors, strict=False):
        one.tensor_data_num, one.num_dimensions = tensor.size, tensor.ndim
        for at, side in enumerate(tensor.shape):
            one.size[at] = side
    return bytes(ctypes.string_at(ctypes.addressof(told), ctypes.sizeof(told)))


def ssd(*rows):
    """Boxes, scores, classes and how many, as a network with its postprocessing gives them."""
    boxes = np.zeros((10, 4), np.float32)
    scores, classes = np.zeros(10, np.float32), np.zeros(10, np.float32)
    for at, (box, score, number) in enumerate(rows):
        boxes[at], scores[at], classes[at] = box, score, number
    return [boxes, scores, classes, np.array([len(rows)], np.float32)]


def nanodet(row, number):
    """One box two strides of 32 px around its anchor."""
    raw = np.full((3598, 80 + 32), -8.0, np.float32)
    raw[row, number] = 4.0
    for side in range(4):
        raw[row, 80 + side * 8 + 2] = 12.0  # softmax: two strides
    return [raw]


def label(intrinsics, tensors, cover=CLEAR, **metadata):
    """What came of these tensors."""
    make_network(**intrinsics)
    import picamera2
    import picamera2.devices.imx500.imx500 as module
    from picamera2.request import CompletedRequest

    plain, configured = CompletedRequest.get_metadata, picamera2.Picamera2.camera_configuration
    more = {
        "CnnOutputTensor": [float(value) for one in tensors for value in one.flatten(order="F")],
        "CnnOutputTensorInfo": info_of(module, tensors),
        "ScalerCrop": (0, 0, 4056, 3040),
    } | metadata  # fmt: skip
    CompletedRequest.get_metadata = lambda self: plain(self) | more
    picamera2.Picamera2.camera_configuration = lambda self, *name: (
        configured(self, *name) | {"raw": {"size": (2028, 1520)}}
    )
    looked, told, failures = [], [], []
    masking = Masking(cover)
    masking.luma.want(looked.append, told.append)
    settings = CameraSettings.model_validate(
        {"source": "picamera", "width_px": 640, "height_px": 360, "preview": {"enabled": False}}
    )
    camera = PiCamera(settings, 0, "Raspberry Pi 5 Model B Rev 1.0", masking, Network(RPK, 0.5))
    demand = EncoderDemand(1_000_000, is_active=False)
    camera.start({"main": demand, "preview": demand}, lambda *_: None, failures.append)
    ends_s = time.monotonic() + 20
    while not told and time.monotonic() < ends_s:
        time.sleep(0.05)
    camera.stop()
    CompletedRequest.get_metadata, picamera2.Picamera2.camera_configuration = plain, configured
    found = [
        [one.label, round(one.score, 2), one.area.left, one.area.top, one.area.right, one.area.bottom]
        for one in told[0].found
    ]
    return {"found": found, "problem": told[0].problem, "failures": [str(error) for error in failures]}


PERSON, DOG = ((0.2, 0.6, 0.8, 0.7), 0.9, 0), ((0.5, 0.1, 0.7, 0.2), 0.7, 4)
"""As y0, x0, y1, x1."""


def in_xy(row):
    (y0, x0, y1, x1), score, number = row
    return (x0 * SIDE, y0 * SIDE, x1 * SIDE, y1 * SIDE), score, number


XY = {"cpu": {"bbox_order": "xy", "bbox_normalization": True}}
CASES = {
    "plain": lambda: label(
        {}, ssd(PERSON, DOG, ((0.1, 0.1, 0.2, 0.2), 0.9, 5), ((0.1, 0.1, 0.2, 0.2), 0.3, 0))
    ),
    "xy": lambda: label(XY, ssd(in_xy(PERSON), in_xy(DOG))),
    "masked": lambda: label({}, ssd(PERSON, DOG), LEFT_HALF),
    "dashes": lambda: label({"classes": {"labels": LABELS, "ignore_undefined": True}}, ssd((*PERSON[:2], 3))),
    "nanodet": lambda: label(
        {"cpu": {"post_processing": "nanodet"}}, nanodet(52 * 52 + 26 * 26 + 13 * 6 + 6, 2)
    ),
    "cropped": lambda: label({}, ssd(PERSON), ScalerCrop=(2028, 0, 2028, 3040)),
    "hostile": lambda: label(
        {},
        ssd(
            ((float("nan"), 0.1, 0.5, 0.5), 0.9, 0),
            ((0.9, 0.9, 0.1, 0.1), 0.9, 0),
            ((-9e9, -1, 9e9, 2), 0.9, 2),
            ((0.1, 0.1, 0.5, 0.5), float("inf"), 0),
            ((0.1, 0.1, 0.5, 0.5), 0.9, 99),
            ((0.1, 0.1, 0.5, 0.5), 0.9, -1),
        ),
    ),
    "short": lambda: label({}, ssd(PERSON), CnnOutputTensor=[0.5] * 7),
    "shapes": lambda: label({}, [np.zeros((4, 10), np.float32), *ssd(PERSON)[1:]]),
    "untold": lambda: label({}, ssd(PERSON), CnnOutputTensorInfo=b"\1" * 30),
    "pose": lambda: label({"task": "pose estimation"}, ssd(PERSON)),
    "yolo": lambda: label({"cpu": {"post_processing": "yolov8"}}, ssd(PERSON)),
    "classless": lambda: label({"classes": {"labels": ["chair", "-"]}}, ssd(PERSON)),
}


def main():
    faulthandler.dump_traceback_later(80, exit=True)
    make_sensor()
    calls = []
    plain = fcntl.ioctl

    def ioctl(fd, request, *arguments):
        if getattr(fd, "name", "") != "/dev/v4l-subdev0":
            return plain(fd, request, *arguments)
        calls.append(request)
        return 0

    fcntl.ioctl = ioctl
    seen = {name: CASES[name]() for name in sys.argv[1].split(",")}
    print("SEEN " + json.dumps(seen | {"calls": len(calls)}))
    sys.stdout.flush()
    os._exit(0)


main()
