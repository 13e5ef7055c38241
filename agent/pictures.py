"""Builds what makes single pictures of the streams, and hands `app.py` its commands and its work.

No logic of its own.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agent.camera.capture import Capture
from agent.device.commands import Handler
from agent.media.stream import Stream
from agent.model.command import CommandError, Order
from agent.model.media import StreamName
from agent.model.still import Picture, Snapshot, Still, Thumbnail, ThumbnailOf, encode_jpeg_text
from agent.record.still import Stills
from agent.record.thumbnails import Thumbnails

Late = Callable[[Callable[[Order, Any], Awaitable[Any]]], Handler]
"""A handler whose answer comes when its work is done."""


class Pictures:
    """Stills, and the pictures of events."""

    def __init__(self, state_dir: Path, capture: Capture, streams: Mapping[StreamName, Stream]) -> None:
        self.stills = Stills(
            streams,
            has_preview=lambda: "preview" in capture.expected_formats(),
            kind=lambda: capture.kind,
            problem=lambda: capture.problem,
        )
        self.thumbnails = Thumbnails(state_dir / "thumbnails", partial(self.stills.take, "thumbnail"))

    def handlers(self, late: Late) -> dict[str, Handler]:
        """What each command of the table does here."""
        return {
            "snapshot": late(lambda _, wish: self._snapshot(wish)),
            "thumbnail": late(lambda _, wish: self._thumbnail(wish)),
        }

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs as long as the agent."""
        yield "stills", self.stills.run()

    async def close(self) -> None:
        """Give up what is being made."""
        await self.thumbnails.close()

    async def _snapshot(self, wish: Snapshot) -> Picture:
        return _picture(await self.stills.take(wish.size))

    async def _thumbnail(self, wish: ThumbnailOf) -> Thumbnail:
        if found := await self.thumbnails.find(wish.event):
            return found
        raise CommandError("no-picture", "the camera has no picture of this event, or not any more")


def _picture(still: Still) -> Picture:
    return Picture(encode_jpeg_text(still.jpeg), still.taken_at, still.width_px, still.height_px)
