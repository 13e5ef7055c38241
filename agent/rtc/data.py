"""A viewer's data channels: `control` for its questions, `ptz` for its stick, `file` to fetch one."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from aiortc.rtcdatachannel import RTCDataChannel

from agent.model.export import FILE_LABEL, parse_wish
from agent.rtc.download import Download, fail
from agent.rtc.give_way import Link

CONTROL_LABEL, PTZ_LABEL = "control", "ptz"
MAX_FILES = 1
"""At a time: the next one waits at its viewer."""

Answer = Callable[[str | bytes, Callable[[str], None]], str | None]
"""`answer(message, later)`: what a message of `control` is answered; None for nothing, or nothing yet."""


class Stick(Protocol):
    """Who takes what one viewer says on `ptz`: without order, with gaps, and as much as it likes."""

    def on_message(self, message: str | bytes) -> None: ...
    def on_closed(self) -> None: ...


OpenOwnStick = Callable[[Callable[[str], None]], Stick | None]
"""`open(send)` of the one viewer who has these channels; None where it moves nothing."""


FindFile = Callable[[str], Path | None]
"""`find(id)`: a file that this viewer may have."""


class DataChannels:
    """Of one viewer; one of each label but `control`, of which a page may open more."""

    def __init__(
        self,
        answer: Answer,
        open_stick: OpenOwnStick,
        find_file: FindFile,
        read_link: Callable[[], Link],
        on_sent: Callable[[int], None],
    ) -> None:
        self._answer, self._open_stick = answer, open_stick
        self._find_file, self._read_link, self._on_sent = find_file, read_link, on_sent
        self._stick: Stick | None = None
        self._downloads: set[asyncio.Task[None]] = set()

    def on_channel(self, channel: RTCDataChannel) -> None:
        """The viewer opened one."""
        if channel.label == CONTROL_LABEL:
            later = partial(_send, channel)
            channel.on("message", lambda message: later(self._answer(message, later)))
        elif channel.label == PTZ_LABEL and self._stick is None:
            self._open(channel)
        elif channel.label == FILE_LABEL:
            self._fetch(channel)
        else:
            channel.close()

    def close(self) -> None:
        """The session is over: whatever its viewer moved is let go now."""
        stick, self._stick = self._stick, None
        if stick is not None:
            stick.on_closed()
        for task in self._downloads:
            task.cancel()

    def _fetch(self, channel: RTCDataChannel) -> None:
        wish = parse_wish(channel.protocol)
        if wish is None:
            fail(channel, "invalid", "the channel's protocol is not <id>@<offset>")
        elif len(self._downloads) >= MAX_FILES:
            fail(channel, "busy", "another file is being fetched: wait for its end")
        else:
            find = partial(self._find_file, wish[0])
            download = Download(channel, find, wish[1], self._read_link, self._on_sent)
            task = asyncio.create_task(download.run(), name="download")
            self._downloads.add(task)
            task.add_done_callback(self._downloads.discard)

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
