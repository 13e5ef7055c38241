"""The one Protocol behind which every camera stands."""

from collections.abc import Callable
from typing import Protocol

from agent.model.media import AccessUnit, EncoderDemand, StreamFormat


class Camera(Protocol):
    """A camera with its encoder.

    The calls may block and are made from a worker thread, one at a time, except `apply`, which may be called
    from any thread while the camera runs and returns at once.
    """

    kind: str
    """`picamera`, `v4l2`, `replay` or `synthetic`."""
    has_stamp: bool
    """Whether the picture carries the time stamp of `agent.model.stamp`."""

    def start(
        self,
        demand: EncoderDemand,
        on_unit: Callable[[AccessUnit], None],
        on_failure: Callable[[Exception], None],
    ) -> StreamFormat:
        """Start to deliver pictures; the first one is a keyframe, with `seq` and `epoch` 0.

        The epoch stays 0: who runs the camera counts its starts.
        `on_unit` and `on_failure` are called from a thread of the camera's own and return at once.
        `on_failure` is called at most once, when the camera stops delivering by itself.
        Raises CameraError, with everything released, when the camera cannot start.
        """

    def apply(self, demand: EncoderDemand) -> None:
        """Change the running encoder's bitrate, and force an IDR where `demand.keyframe` is set."""

    def stop(self) -> None:
        """Release everything within 3 s, also after a failure; safe to call twice.

        No callback comes after it. Raises CameraError when the driver hangs: what it holds is left behind.
        """
