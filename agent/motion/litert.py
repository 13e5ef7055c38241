"""A network on the CPU, by LiteRT (once TensorFlow Lite). The only module that knows it.

One kind of model: what ends in TensorFlow Lite's `TFLite_Detection_PostProcess`, as EfficientDet-Lite and SSD
MobileNet do. It takes one picture of RGB in bytes, and gives boxes, classes, scores and their number.
"""

from pathlib import Path
from typing import Any

from agent.errors import ClassifierError
from agent.model.disk import check_named, read_named
from agent.model.labels import MAX_SIGHTINGS, Area, Crop, Sighting, labels_of, sighting

MAX_SIDE_PX = 640
MAX_BOXES = 1000
MAX_CLASSES_BYTES = 64 * 1024
INSTALL = "install the extra `litert` (ai-edge-litert), which needs a 64-bit system"


class LiteRt:
    """See `agent.model.labels.Classifier`. For one thread at a time."""

    def __init__(self, file: Path, classes: Path, min_score: float) -> None:
        """Takes a while. Raises ClassifierError."""
        try:
            from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # 60 MB, for who asks for it

            check_named(file)
            # One thread: the others encode for who watches.
            self._interpreter: Any = Interpreter(model_path=str(file), num_threads=1)
            self._interpreter.allocate_tensors()
            self._labels = labels_of(_read_classes(classes))
            self._input, self.size = _input_of(self._interpreter.get_input_details())
            self._outputs = _outputs_of(self._interpreter.get_output_details())
        except ImportError as exc:
            raise ClassifierError(f"LiteRT is not there ({exc}): {INSTALL}") from exc
        except Exception as exc:
            raise ClassifierError(f"the network {file} cannot be used: {exc}") from exc
        self._min_score = min_score

    def look(self, given: Crop) -> tuple[Sighting, ...]:
        try:
            self._show(given)
            self._interpreter.invoke()
            boxes, classes, scores, count = (
                self._interpreter.get_tensor(index)[0].tolist() for index in self._outputs
            )
            found = self._found(given.area, boxes[: int(count)], classes, scores)
        except Exception as exc:
            raise ClassifierError(f"the network fails: {type(exc).__name__}: {exc}") from exc
        return tuple(sorted(found, key=lambda one: -one.score)[:MAX_SIGHTINGS])

    def _show(self, crop: Crop) -> None:
        if (crop.width_px, crop.height_px) != self.size:
            raise ValueError(f"a crop of {crop.width_px}x{crop.height_px}")
        with memoryview(self._interpreter.tensor(self._input)()) as pixels:  # freed before it runs
            pixels.cast("B")[:] = crop.rgb

    def _found(
        self, area: Area, boxes: list[list[float]], classes: list[float], scores: list[float]
    ) -> list[Sighting]:
        across, down = area.right - area.left, area.bottom - area.top
        found = []
        for (top, left, bottom, right), number, score in zip(boxes, classes, scores, strict=False):
            within = Area(
                area.left + left * across,
                area.top + top * down,
                area.left + right * across,
                area.top + bottom * down,
            ).common(area)
            if one := sighting(self._labels, number, score, within, self._min_score):
                found.append(one)
        return found


def _read_classes(file: Path) -> list[str]:
    _, text = read_named(file, MAX_CLASSES_BYTES)
    return text.decode(errors="replace").splitlines()


def _input_of(details: list[dict[str, Any]]) -> tuple[int, tuple[int, int]]:
    """Its number, and the size of the picture."""
    shapes = [(tuple(int(side) for side in one["shape"]), one["dtype"].__name__) for one in details]
    match shapes:
        case [((1, height, width, 3), "uint8")] if max(width, height) <= MAX_SIDE_PX:
            return int(details[0]["index"]), (width, height)
    raise ValueError(f"it takes {shapes}, and [1, height, width, 3] of uint8 is understood")


def _outputs_of(details: list[dict[str, Any]]) -> list[int]:
    shapes = [tuple(int(side) for side in one["shape"]) for one in details]
    match shapes:
        case [(1, count, 4), (1, classes), (1, scores), (1,)] if count == classes == scores <= MAX_BOXES:
            return [int(one["index"]) for one in details]
    raise ValueError(f"it gives {shapes}, and boxes, classes, scores and their number are understood")
