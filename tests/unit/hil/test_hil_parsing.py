"""What the suite makes of what tools print, and of what it measured."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

HIL = Path(__file__).parents[2] / "hil"


def load(name):
    """A module of tests/hil under a name of its own; that folder is on no path here."""
    sys.path.insert(0, str(HIL))
    try:
        spec = importlib.util.spec_from_file_location(f"hil_{name}", HIL / f"{name}.py")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HIL))
    return module


device, glass, results = load("device"), load("glass"), load("results")


@pytest.mark.parametrize(
    ("said", "flags"),
    [("throttled=0x0\n", 0), ("throttled=0x50005\n", 0x50005), ("", None), ("error=1", None)],
)
def test_throttled(said, flags):
    assert device.parse_throttled(said) == flags


def test_cameras():
    said = (
        "Available cameras\n-----------------\n0 : imx708 [4608x2592 10-bit RGGB] (/base/imx708@1a)\n"
        "    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps]\n1 : ov5647 [2592x1944] (/base/soc)\n"
    )
    assert device.parse_cameras(said) == ("imx708", "ov5647")
    assert device.parse_cameras("No cameras available!\n") == ()


@pytest.mark.parametrize(
    ("model", "has"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", True),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", True),
        ("Raspberry Pi 4 Model B Rev 1.5", True),
        ("Raspberry Pi Compute Module 4 Rev 1.1", True),
        ("Raspberry Pi 5 Model B Rev 1.0", False),
        ("", False),
    ],
)
def test_who_has_an_encoder(model, has):
    found = device.Inventory(model, "", "", 1000, "", (), (), None, None)
    assert found.has_hardware_encoder is has


def test_each_flash_goes_with_the_first_step_after_it():
    assert glass.match([10.0, 11.0, 12.0], [9.9, 10.12, 10.4, 12.08]) == [120.0, 80.0]


def test_a_step_in_brightness_is_found(tmp_path):
    import av

    file = tmp_path / "led.mp4"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(50):
            picture = av.VideoFrame(320, 180, "yuv420p")
            luma, *chroma = picture.planes
            row = bytes([60]) * luma.line_size
            lit = row[:100] + bytes([220 if 20 <= number < 30 else 60]) * 40 + row[140:]
            luma.update(b"".join(lit if 60 <= y < 100 else row for y in range(180)))
            for plane in chroma:
                plane.update(bytes([128]) * plane.buffer_size)
            picture.pts = number
            for packet in stream.encode(picture):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    assert glass.brightness_steps(file) == [pytest.approx(20 / 25)]


def test_the_report_is_a_page_and_json(tmp_path):
    found = results.Results(device="pi@<door>", begun="today")
    found.outcomes = {"test_a": "passed", "test_b": "failed", "test_c": "skipped"}
    found.way = lambda: "wwan0 (modem)"
    found.figure("first frame", 70.7, "ms")
    for at_s in range(0, 5 * 3600, 600):
        found.point("temperature (°C)", at_s, 50 + at_s / 3600)
    found.point("never measured", 0, None)
    found.unchecked["test_c"] = "a modem"
    found.write(tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["figures"] == [{"name": "first frame", "value": 70.7, "unit": "ms", "way": "wwan0 (modem)"}]
    page = (tmp_path / "index.html").read_text()
    for words in (
        "pi@&lt;door&gt;",
        "1 passed, 1 failed, 1 skipped",
        "70.7 ms</td><td>over wwan0 (modem)",
        "a modem",
        "<polyline",
        "4.8 h",
    ):
        assert words in page
    assert "<door>" not in page
    assert "never measured" not in page


@pytest.mark.parametrize("points", [[(0.0, 0.0)], [(5.0, 3.0)], [(0.0, -4.0), (10.0, -4.0)]])
def test_any_curve_can_be_drawn(points):
    assert "<polyline" in results.plot("x", points)
