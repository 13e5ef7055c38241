"""The one Protocol behind which every camera stands."""

from collections.abc import Callable, Mapping
from typing import Protocol

from agent.model.media import EncoderDemand, StreamFormat, StreamName, Unit

OnUnit = Callable[[StreamName, Unit], None]
Demands = Mapping[StreamName, EncoderDemand]
"""One for each of `agent.model.media.STREAMS`."""
Formats = dict[StreamName, StreamFormat]


class Camera(Protocol):
    """A camera with its encoders: `main` always, `preview` where it has one and the settings want it.

    The calls may block and are made from a worker thread, one at a time, except `apply`, which may be called
    from any thread while the camera runs and returns at once.
    """

    kind: str
    """`picamera`, `v4l2`, `replay` or `synthetic`."""
    has_stamp: bool
    """Whether the picture carries the time stamp of `agent.model.stamp`."""

    @property
    def damaged(self) -> int:
        """Pictures that came damaged and were left out, since the last start."""

    def start(self, demands: Demands, on_unit: OnUnit, on_failure: Callable[[Exception], None]) -> Formats:
        """Start to deliver pictures of the streams whose demand is active; returns what each stream is.

        The first picture of a stream is a keyframe, and so is the first one after a pause. The epoch stays 0:
        who runs the camera counts its starts.
        `on_unit` and `on_failure` are called from threads of the camera's own and return at once.
        `on_failure` is called at most once, when the camera stops delivering by itself.
        Raises CameraError, with everything released, when the camera cannot start.
        """

    def apply(self, stream: StreamName, demand: EncoderDemand) -> None:
        """Change a running encoder, pause it or go on, and force an IDR where `demand.keyframe` is set."""

    def stop(self) -> None:
        """Release everything within 3 s, also after a failure; safe to call twice.

        No callback comes after it. Raises CameraError when the driver hangs: what it holds is left behind.
        """
