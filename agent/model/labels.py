"""What somebody who classifies says of a picture: labels, and where in the picture."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Label = Literal["person", "vehicle", "animal"]

_CLASSES: dict[Label, frozenset[str]] = {
    "person": frozenset({"person", "pedestrian", "human", "man", "woman"}),
    "vehicle": frozenset(
        {"bicycle", "car", "motorcycle", "motorbike", "bus", "train", "truck", "van", "boat", "vehicle"}
    ),
    "animal": frozenset(
        {"bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal"}
    ),
}
"""Names in COCO, Pascal VOC and Open Images; what else a network knows is no label."""
MAX_SIGHTINGS = 32
"""Of one picture: what a network says beyond is left out."""
MAX_CLASSES, MAX_CLASS_CHARS = 1000, 64


def label_of(class_name: str) -> Label | None:
    """What a network's class is to us."""
    name = class_name.strip().lower()
    return next((label for label, names in _CLASSES.items() if name in names), None)


def labels_of(classes: Iterable[object]) -> tuple[Label | None, ...]:
    """The same of all classes of a network, in their order. Raises ValueError where they are no such list."""
    names = list(classes)
    if not 0 < len(names) <= MAX_CLASSES:
        raise ValueError(f"{len(names)} classes, and 1 to {MAX_CLASSES} are understood")
    labels = tuple(label_of(str(name)[:MAX_CLASS_CHARS]) for name in names)
    if not any(labels):
        raise ValueError("none of its classes is a person, a vehicle or an animal")
    return labels


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the picture, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def size(self) -> float:
        """Its share of the picture; 0 where it is none."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def common(self, other: "Area") -> "Area":
        """What lies in both."""
        return Area(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def grown(self, across: float, down: float) -> "Area":
        """With so much more on each side, as far as the picture goes."""
        wide = Area(self.left - across, self.top - down, self.right + across, self.bottom + down)
        return wide.common(WHOLE)


WHOLE = Area(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing."""

    label: Label
    score: float
    """How sure, 0 to 1."""
    area: Area


@dataclass(frozen=True, slots=True)
class Sightings:
    """What was seen in one picture; or why nothing can be said of it."""

    at_us: int
    """When it was taken, as `Luma.capture_us`."""
    found: tuple[Sighting, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture, from behind the masks."""

    rgb: bytes
    """Three bytes a pixel, row by row, without padding."""
    width_px: int
    height_px: int
    area: Area
    at_us: int


Given_contra = TypeVar("Given_contra", contravariant=True)


class Classifier(Protocol[Given_contra]):
    """Whoever labels: given a sensor's metadata, or a crop."""

    def look(self, given: Given_contra) -> tuple[Sighting, ...] | None:
        """What is in it, in shares of the whole picture; None where nothing can be said yet.

        Raises ClassifierError.
        """


def sighting(
    labels: tuple[Label | None, ...], number: float, score: float, area: Area, least: float
) -> Sighting | None:
    """One row of a network's answer, whatever stands in it; None for what is not sure, or is no label."""
    if not (least <= score <= 1.0 and 0 <= number < len(labels)):  # NaN is neither
        return None
    label, area = labels[int(number)], area.common(WHOLE)
    return Sighting(label, round(score, 3), area) if label and area.size > 0 else None
