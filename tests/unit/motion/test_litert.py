"""A network on the CPU: LiteRT itself, and a network that is made here."""

import numpy as np
import pytest
from parts.tflite import SIDE, Network, write_detector

from agent.errors import ClassifierError
from agent.model.labels import WHOLE, Area, Crop, Sighting
from agent.motion.litert import LiteRt

CLASSES = "person\nbicycle\nchair\ndog\n"
BOXES = [(0.0, 0.5, 1.0, 1.0), (0.25, 0.0, 0.5, 0.25), (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)]
"""As y0, x0, y1, x1."""
QUARTER = Area(0.5, 0.5, 1.0, 1.0)


@pytest.fixture
def classes(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text(CLASSES)
    return file


def crop(level, area=WHOLE, side=SIDE):
    return Crop(bytes([level]) * (side * side * 3), side, side, area, 0)


def test_what_it_sees_is_labelled_where_it_is_in_the_picture(tmp_path, classes):
    network = LiteRt(write_detector(tmp_path / "n.tflite", BOXES, [0, 3, 2, 99]), classes, 0.5)
    assert network.size == (SIDE, SIDE)
    assert network.look(crop(255)) == (
        Sighting("person", 1.0, Area(0.5, 0.0, 1.0, 1.0)),
        Sighting("animal", 1.0, Area(0.0, 0.25, 0.25, 0.5)),
    ), "a chair is none, and neither is a class that it does not have"
    assert network.look(crop(255, QUARTER))[0].area == Area(0.75, 0.5, 1.0, 1.0)
    assert network.look(crop(100)) == (), "it is not sure"
    assert network.look(crop(153))[0].score == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("box", [(float("nan"), 0, 1, 1), (0.9, 0.9, 0.1, 0.1), (2, 2, 3, 3)])
def test_boxes_that_are_none_are_passed_over(tmp_path, classes, box):
    assert LiteRt(write_detector(tmp_path / "n.tflite", [box], [0]), classes, 0.5).look(crop(255)) == ()


def test_a_box_beyond_the_crop_is_cut_there(tmp_path, classes):
    network = LiteRt(write_detector(tmp_path / "n.tflite", [(-9, -9, 9e9, 9)], [1]), classes, 0.5)
    assert network.look(crop(255, QUARTER)) == (Sighting("vehicle", 1.0, QUARTER),)


def test_a_crop_of_another_size_is_an_error(tmp_path, classes):
    network = LiteRt(write_detector(tmp_path / "n.tflite", BOXES[:1], [0]), classes, 0.5)
    with pytest.raises(ClassifierError, match="16x16"):
        network.look(crop(255, side=16))
    assert network.look(crop(255)), "and the next one is looked at"


def identity(path):
    """A network that gives back its picture."""
    network = Network()
    from ai_edge_litert import schema_py_generated as schema

    picture = network.tensor((1, SIDE, SIDE, 3), schema.TensorType.UINT8, scale=1 / 255)
    made = network.add(
        schema.BuiltinOperator.DEQUANTIZE, [picture], network.tensor((1, SIDE, SIDE, 3)),
        schema.DequantizeOptionsT(), schema.BuiltinOptions.DequantizeOptions,
    )  # fmt: skip
    return network.write(path, [picture], [made])


def test_files_that_are_no_network_for_this_are_refused(tmp_path, classes):
    noise = tmp_path / "noise.tflite"
    noise.write_bytes(np.random.default_rng(1).bytes(4000))
    large = write_detector(tmp_path / "large.tflite", BOXES[:1], [0], side=1024)
    for file, words in {
        noise: "cannot be used",
        tmp_path / "none.tflite": "cannot be used",
        identity(tmp_path / "identity.tflite"): "boxes, classes, scores and their number are understood",
        large: "of uint8 is understood",
    }.items():
        with pytest.raises(ClassifierError, match=words):
            LiteRt(file, classes, 0.5)


@pytest.mark.parametrize("text", ["", "chair\nbench\n", "person\n" * 1001, "x" * 70_000])
def test_classes_that_label_nothing_are_refused(tmp_path, text):
    file = tmp_path / "classes.txt"
    file.write_text(text)
    with pytest.raises(ClassifierError, match="cannot be used"):
        LiteRt(write_detector(tmp_path / "n.tflite", BOXES[:1], [0]), file, 0.5)
