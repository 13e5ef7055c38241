"""A viewer's data channels: `control` for its questions, `ptz` for its stick."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from aiortc.rtcdatachannel import RTCDataChannel

CONTROL_LABEL, PTZ_LABEL = "control", "ptz"

Answer = Callable[[str | bytes, Callable[[str], None]], str | None]
"""`answer(message, later)`: what a message of `control` is answered; None for nothing, or nothing yet."""


class Stick(Protocol):
    """Who takes what one viewer says on `ptz`: without order, with gaps, and as much as it likes."""

    def on_message(self, message: str | bytes) -> None: ...
    def on_closed(self) -> None: ...


OpenOwnStick = Callable[[Callable[[str], None]], Stick | None]
"""`open(send)` of the one viewer who has these channels; None where it moves nothing."""


class DataChannels:
    """Of one viewer; one of each label but `control`, of which a page may open more."""

    def __init__(self, answer: Answer, open_stick: OpenOwnStick) -> None:
        self._answer, self._open_stick = answer, open_stick
        self._stick: Stick | None = None

    def on_channel(self, channel: RTCDataChannel) -> None:
        """The viewer opened one."""
        if channel.label == CONTROL_LABEL:
            later = partial(_send, channel)
            channel.on("message", lambda message: later(self._answer(message, later)))
        elif channel.label == PTZ_LABEL and self._stick is None:
            self._open(channel)
        else:
            channel.close()

    def close(self) -> None:
        """The session is over: whatever its viewer moved is let go now."""
        stick, self._stick = self._stick, None
        if stick is not None:
            stick.on_closed()

    def _open(self, channel: RTCDataChannel) -> None:
        stick = self._stick = self._open_stick(lambda text: _send(channel, text))
        if stick is None:
            channel.close()
            return
        channel.on("message", stick.on_message)
        channel.on("close", self.close)


def _send(channel: RTCDataChannel, text: str | None) -> None:
    if text is not None and channel.readyState == "open":
        channel.send(text)
