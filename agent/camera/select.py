"""Which camera the settings mean."""

import logging
import sys
from pathlib import Path

from agent.camera import picamera, v4l2
from agent.camera.masking import Masking
from agent.camera.picamera import Network
from agent.camera.replay import ReplayCamera
from agent.camera.source import Camera
from agent.camera.supervision import Patience
from agent.camera.synthetic import SyntheticCamera
from agent.config import CameraSettings, Settings
from agent.errors import CameraError

NETWORK_S = 300.0

log = logging.getLogger(__name__)


def open_camera(
    settings: CameraSettings, masking: Masking | None = None, network: Network | None = None
) -> Camera:
    """The camera of `settings.source`, not yet started; `auto` looks at what is attached, in milliseconds.

    Raises CameraError where it cannot be there: a picture that is not the camera's must not pass for it.
    Without `masking` nothing is masked: for who tries it, and shows its pictures to nobody. `network` is for
    the sensor of a Pi's camera.
    """
    kind, _, argument = settings.source.partition(":")
    if kind == "picamera":
        _need_pi_camera(int(argument or 0))
        return picamera.PiCamera(settings, int(argument or 0), masking=masking, network=network)
    if kind == "v4l2":
        if not Path(argument).exists():
            raise CameraError(f"{argument} is not there: check the cable, and `v4l2-ctl --list-devices`")
        return v4l2.V4l2Camera(settings, argument, masking=masking)
    if kind == "replay":
        return ReplayCamera(settings, argument, masking)
    if kind == "synthetic":
        return SyntheticCamera(settings, masking)
    try:
        return _first_attached(settings, masking, network)
    except CameraError as exc:
        if kind != "demo":
            raise
        log.info(f"camera: the test picture; {exc}")
        return SyntheticCamera(settings, masking)


def is_attached() -> bool:
    """Whether `auto` finds a camera here."""
    try:
        open_camera(CameraSettings(source="auto"))
    except CameraError:
        return False
    return True


def network_of(settings: Settings) -> Network | None:
    """What the settings have the sensor do beside taking pictures."""
    motion = settings.motion
    if not motion.enabled or motion.network is None or motion.network.suffix != ".rpk":
        return None
    return Network(motion.network, motion.min_score)


def patience_of(network: Network | None) -> Patience:
    """A network goes to the sensor when the camera starts: the first time that takes it minutes."""
    return Patience(start_s=NETWORK_S, first_s=NETWORK_S) if network else Patience()


def _need_pi_camera(index: int) -> None:
    if (count := len(picamera.attached())) <= index:
        raise CameraError(f"no Pi camera {index}: {count} attached; check the cable and its connectors")


def _first_attached(settings: CameraSettings, masking: Masking | None, network: Network | None) -> Camera:
    fault = CameraError("libcamera sees none", "check the cable and its connectors")
    try:
        if names := picamera.attached():
            log.info(f"camera: {names[0]}, the first Pi camera")
            return picamera.PiCamera(settings, 0, masking=masking, network=network)
    except CameraError as exc:
        fault = exc
    if devices := v4l2.usb_cameras():
        log.info(f"camera: {devices[0].card} at {devices[0].path}; no Pi camera: {fault.words}")
        return v4l2.V4l2Camera(settings, devices[0].path, masking=masking)
    raise CameraError(f"no USB camera, and no Pi camera: {fault.words}", fault.advice) from fault


if __name__ == "__main__":  # asked by the demo: exit code 0 where a camera is attached
    sys.exit(not is_attached())
