"""The network on the sensor of the Raspberry Pi AI Camera (Sony IMX500): it says what is in each picture.

picamera2 is an argument here: `agent.camera.picamera` alone imports it. What comes from the sensor is tensors
of a network that somebody made: nothing in them is believed before it was looked at.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from agent.errors import CameraError
from agent.model.disk import read_named
from agent.model.labels import MAX_SIGHTINGS, WHOLE, Area, Label, Sighting, Sightings, labels_of, sighting
from agent.model.log_limit import LogLimit

log = logging.getLogger(__name__)

MODEL = "imx500"
TASK = "object detection"
FIRMWARE = b"9464"
"""Its first block begins so."""
ARCHIVE = (b"imx500_regs", b"network_info.txt", b"TRAILER!!!")
MAX_NETWORK_BYTES = 64 * 1024 * 1024
"""They are some MiB."""
MAX_FLOATS = 1_000_000
"""In one picture's tensors: nanodet, the largest that picamera2 takes apart, has 400 000."""
MAX_BOXES = 1000
OVERLAP = 0.65
"""Of two boxes of nanodet that are one thing; picamera2's own default."""
ROOT_ALONE = "picamera2 before 0.3.35 lets root alone load a network into the sensor: update it"


class SensorNetwork:
    """Loaded into the sensor of the camera that runs. For that camera's thread alone."""

    def __init__(self, devices: ModuleType, file: Path, camera_id: str, min_score: float) -> None:
        """Before the camera is opened: the kernel sends the network to the sensor when that starts.

        Raises CameraError.
        """
        try:
            _check_file(file)
            self._imx500 = devices.IMX500(str(file), camera_id)
            self._postprocess = devices.imx500.postprocess_nanodet_detection
            said = self._imx500.network_intrinsics
            _check(said, file)
            self._is_nanodet = said.postprocess == "nanodet"
            self._is_in_pixels, self._is_xy = bool(said.bbox_normalization), said.bbox_order == "xy"
            self._keeps_shape = bool(said.preserve_aspect_ratio)
            self._labels = _labels(said.labels, drops_dashes=bool(said.ignore_dash_labels))
            self._input = tuple(int(side) for side in self._imx500.get_input_size())
        except PermissionError as exc:
            raise CameraError(f"{exc}; {ROOT_ALONE}" if "debug" in str(exc.filename) else str(exc)) from exc
        except CameraError:
            raise
        except Exception as exc:
            raise CameraError(f"the network {file} cannot be used: {type(exc).__name__}: {exc}") from exc
        self._min_score = min_score
        self._faults = LogLimit(60.0)

    def begin(self) -> None:
        """The camera has started."""
        if self._keeps_shape:
            self._imx500.set_auto_aspect_ratio()

    def sightings(
        self, metadata: Mapping[str, Any], picam: Any, hides: Callable[[Area], bool], at_us: int
    ) -> Sightings | None:
        """What it saw in one picture outside of what is hidden; None where it was not done with any."""
        try:
            found = self._look(metadata, picam, hides)
        except Exception as exc:  # noqa: BLE001  # a picture is shown whatever was said of it
            if self._faults.note(time.monotonic()):
                log.warning(f"camera: what the sensor's network said cannot be read: {exc}")
            return Sightings(at_us, problem=f"what the sensor's network says cannot be read: {exc}"[:200])
        return None if found is None else Sightings(at_us, found)

    def _look(
        self, metadata: Mapping[str, Any], picam: Any, hides: Callable[[Area], bool]
    ) -> tuple[Sighting, ...] | None:
        if len(metadata.get("CnnOutputTensor") or ()) > MAX_FLOATS:
            raise ValueError(f"more than {MAX_FLOATS} numbers")
        outputs = self._imx500.get_outputs(metadata, add_batch=True)
        if outputs is None:
            return None
        width, height = picam.camera_configuration()["main"]["size"]
        found: list[Sighting] = []
        for (top, left, bottom, right), score, number in self._rows(outputs):
            shown = Area(left, top, right, bottom).common(WHOLE)
            if not (score >= self._min_score and shown.size > 0):  # also where a number is none
                continue
            # In the whole sensor's shares, as picamera2 takes them; it brings them into the picture.
            x, y, across, down = self._imx500.convert_inference_coords(
                (shown.top, shown.left, shown.bottom, shown.right), metadata, picam
            )
            area = Area(x / width, y / height, (x + across) / width, (y + down) / height)
            one = sighting(self._labels, number, score, area, self._min_score)
            if one and not hides(one.area):
                found.append(one)
        return tuple(sorted(found, key=lambda one: -one.score)[:MAX_SIGHTINGS])

    def _rows(self, outputs: list[Any]) -> list[tuple[list[float], float, float]]:
        """Boxes as (y0, x0, y1, x1) in shares of what it is shown, scores, and numbers of classes."""
        across, down = self._input
        if self._is_nanodet:
            boxes, scores, classes = self._postprocess(
                outputs=outputs[0], conf=self._min_score, iou_thres=OVERLAP, max_out_dets=MAX_SIGHTINGS
            )[0]
            scale = (down, across, down, across)
        else:
            boxes, scores, classes = (tensor[0] for tensor in outputs[:3])
            scale = (down,) * 4 if self._is_in_pixels else (1,) * 4
        count = len(scores)
        if count > MAX_BOXES or tuple(scores.shape) != (count,) or tuple(classes.shape) != (count,):
            raise ValueError(f"scores of the shape {scores.shape}, and classes of {classes.shape}")
        if count and tuple(boxes.shape) != (count, 4):
            raise ValueError(f"boxes of the shape {boxes.shape} for {count} scores")
        rows = [[side / by for side, by in zip(box, scale, strict=True)] for box in boxes.tolist()]
        if self._is_xy and not self._is_nanodet:
            rows = [[y0, x0, y1, x1] for x0, y0, x1, y1 in rows]
        return list(zip(rows, scores.tolist(), classes.tolist(), strict=True))


def _check_file(file: Path) -> None:
    """Before the kernel has it: that takes any file, keeps it until a reboot, and then starts no camera.

    The driver (`drivers/media/i2c/imx500.c`) wants blocks of firmware, and behind them an archive.
    """
    _, data = read_named(file, MAX_NETWORK_BYTES)
    if not data.startswith(FIRMWARE) or any(part not in data for part in ARCHIVE):
        raise CameraError(f"{file} is no network for this sensor, or not all of one")


def _check(said: Any, file: Path) -> None:
    if said is None or said.task != TASK:
        raise CameraError(f"{file} does {said.task if said else 'nobody knows what'}, not {TASK}")
    if said.postprocess not in (None, "", "nanodet"):
        raise CameraError(f"{file} needs {said.postprocess} behind it: take one whose name ends in _pp")


def _labels(said: list[str] | None, *, drops_dashes: bool) -> tuple[Label | None, ...]:
    names = said or []
    if drops_dashes:
        names = [name for name in names if name and name != "-"]
    return labels_of(names)
