"""The stand-in for picamera2 (tests/fakes) has the real one's signatures, of each version."""

import ast
from pathlib import Path

import pytest
from board.native.pi import NEWEST, VERSIONS, picamera2
from parts import trixie

pytestmark = pytest.mark.timeout(1200)  # the first one makes what is kept
FAKE = Path(__file__).parents[2] / "fakes" / "picamera2"
PACKAGE = "usr/lib/python3/dist-packages/picamera2"
WHERE = {
    "Picamera2": "picamera2.py",
    "MappedArray": "request.py",
    "Encoder": "encoders/encoder.py",
    "H264Encoder": "encoders/h264_encoder.py",
    "LibavH264Encoder": "encoders/libav_h264_encoder.py",
    "Output": "outputs/output.py",
}
OURS = {"Picamera2": {"take"}}
"""Of the stand-in alone."""
USED = {
    ("Picamera2", "create_video_configuration"):
        {"main", "lores", "transform", "buffer_count", "controls", "sensor"},
    ("Picamera2", "set_controls"): {"controls"},
    ("Picamera2", "start_encoder"): {"encoder", "output", "name"},
    ("H264Encoder", "__init__"):
        {"bitrate", "repeat", "iperiod", "framerate", "enable_sps_framerate", "profile"},
    ("MappedArray", "__init__"): {"request", "stream", "reshape"},
    ("Encoder", "outputframe"): {"frame", "keyframe", "timestamp"},
    ("Output", "outputframe"): {"frame", "keyframe", "timestamp"},
}  # fmt: skip
"""What the agent passes or takes by name."""
TOUCHED = {
    "encoders/v4l2_encoder.py": ("self.vd", "self._enable_framerate", "V4L2_PIX_FMT_YUV420"),
    "encoders/h264_encoder.py": ("self._enable_framerate = enable_sps_framerate", "constrained baseline"),
    "encoders/encoder.py": ("self.firsttimestamp = ts", "def _start(self)"),
    "picamera2.py": (
        "self.pre_callback(req)",
        "def sensor_modes(",
        "def camera_controls(",
        "_cm = CameraManager()",
        "self.controls = Controls(self, controls=self.camera_config['controls'])",
        "controls = self.controls.get_libcamera_controls()",
    ),
}


def methods(file: Path, name: str) -> dict[str, list[str]]:
    """A class's methods with their parameters; properties have none."""
    tree = ast.parse(file.read_text())
    (found,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        node.name: [one.arg for one in (*node.args.args, *node.args.kwonlyargs)]
        for node in found.body
        if isinstance(node, ast.FunctionDef)
    }


def fakes() -> dict[str, dict[str, list[str]]]:
    held = {}
    for name in WHERE:
        for file in FAKE.glob("*.py"):
            if f"class {name}" in file.read_text():
                held[name] = methods(file, name)
    assert held.keys() == WHERE.keys()
    return held


@pytest.fixture(scope="session", params=VERSIONS)
def source(request):
    trixie.need_tools()
    return request.param, trixie.make(picamera2(request.param)) / PACKAGE


def test_the_stand_in_has_the_signatures_of_the_real_one(source):
    version, package = source
    for name, held in fakes().items():
        real = methods(package / WHERE[name], name)
        if name in ("H264Encoder", "LibavH264Encoder"):  # what a base class brings
            real = methods(package / WHERE["Encoder"], "Encoder") | real
        for method in held.keys() - OURS.get(name, set()):
            if method not in real and method.startswith("_") and version != NEWEST:
                continue  # came later, and the agent calls none of these
            assert method in real, f"{version}: {name}.{method}"
            if version == NEWEST:
                assert held[method] == real[method], f"{version}: {name}.{method}"
            else:  # what came later stands behind
                assert held[method][: len(real[method])] == real[method], f"{version}: {name}.{method}"


def test_every_version_takes_what_the_agent_passes(source):
    version, package = source
    for (name, method), passed in USED.items():
        assert passed <= set(methods(package / WHERE[name], name)[method]), f"{version}: {name}.{method}"
    for file, texts in TOUCHED.items():
        for text in texts:
            assert text in (package / file).read_text(), f"{version}: {file}: {text}"
