"""One viewer, as the rest of the agent knows it: what it is shown, and what carries it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from agent.model.media import RtpFrame, StreamName
from agent.model.pacing import Room
from agent.model.signal import JsonObject
from agent.rtc.lane import Control


class Viewing(Protocol):
    """One viewer of the camera, as the rest of the agent knows it."""

    wanted: StreamName
    """The stream that the viewer asks for."""

    @property
    def stream(self) -> StreamName: ...
    @property
    def lane(self) -> Control: ...
    @property
    def room(self) -> Room: ...
    def leave_live(self) -> None: ...
    def show(self, frame: RtpFrame) -> None: ...
    def go_live(self) -> None: ...
    def streaming(self, sink: Callable[[RtpFrame], None]) -> AbstractContextManager[None]: ...


class Playback(Protocol):
    """Shows one viewer recorded pictures when it asks for them."""

    async def run(self) -> None:
        """Until cancelled."""

    def standing(self) -> JsonObject | None:
        """Where it is, for the viewer; None while the live picture is shown."""
