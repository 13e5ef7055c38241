"""Whether what moves can be labelled: a network on the CPU is tried, one for the sensor is looked for."""

import time
from dataclasses import dataclass
from pathlib import Path

from agent.camera import picamera
from agent.camera.imx500 import MODEL
from agent.config.settings import MotionSettings
from agent.doctor.report import Finding
from agent.errors import CameraError, ClassifierError
from agent.model.disk import check_named
from agent.model.labels import WHOLE, Crop
from agent.model.threads import call_in_thread
from agent.motion.litert import LiteRt

TRY_S = 12.0
SLOW_MS = 500.0
"""Two crops a second are asked for while something moves."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What was found of it."""

    fault: str = ""
    look_ms: float | None = None
    """How long it takes for one picture; None where the sensor runs it."""


async def try_network(motion: MotionSettings) -> NetworkFacts:
    """Load it, and show it a picture; one for the sensor is not loaded: that takes minutes the first time."""
    return await call_in_thread("labels", TRY_S, lambda: read_network(motion))


def read_network(motion: MotionSettings) -> NetworkFacts:
    """Blocking."""
    file = motion.network
    assert file is not None, "asked where one is set"
    try:
        check_named(file)
        if file.suffix == ".rpk":
            return NetworkFacts(_sensor_fault(picamera.attached()))
        assert motion.classes is not None, "the settings were checked"
        return _try_on_cpu(file, motion.classes, motion.min_score)
    except (OSError, CameraError, ClassifierError) as exc:
        return NetworkFacts(str(exc))


def _try_on_cpu(file: Path, classes: Path, min_score: float) -> NetworkFacts:
    network = LiteRt(file, classes, min_score)
    width, height = network.size
    grey = Crop(b"\x80" * (3 * width * height), width, height, WHOLE, 0)
    network.look(grey)  # the first one sets up
    began_s = time.perf_counter()
    network.look(grey)
    return NetworkFacts(look_ms=(time.perf_counter() - began_s) * 1000)


def _sensor_fault(models: list[str]) -> str:
    if MODEL in models:
        return ""
    return f"no AI Camera ({MODEL}) is attached, only {', '.join(models) or 'no Pi camera at all'}"


def judge_network(motion: MotionSettings, found: NetworkFacts) -> Finding:
    """Pure."""
    subject = str(motion.network)
    if found.fault:
        advice = "see motion.network and motion.classes; without it motion is told unlabelled"
        return Finding("labels", subject, "warning", found.fault, advice)
    if found.look_ms is None:
        return Finding("labels", subject, "good", "the sensor of the AI Camera runs it")
    words = f"it takes {found.look_ms:.0f} ms for a picture"
    details = {"look_ms": round(found.look_ms, 1)}
    if found.look_ms > SLOW_MS:
        advice = (
            "take a smaller one: labels come late, and encoding has less of the CPU while something moves"
        )
        return Finding("labels", subject, "warning", words, advice, details=details)
    return Finding("labels", subject, "good", words, details=details)
