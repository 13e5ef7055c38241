"""Builds what makes single pictures of the streams, and hands `app.py` its commands and its work.

No logic of its own.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.camera.capture import Capture
from agent.config import Settings
from agent.device.commands import Handler
from agent.media.stream import Stream
from agent.model.command import CommandError, Order
from agent.model.disk import is_mounted
from agent.model.lapse import LapseFilm, LapseSection, LapseWanted
from agent.model.media import StreamName
from agent.model.still import Picture, Snapshot, Still, Thumbnail, ThumbnailOf, encode_jpeg_text
from agent.record.lapse import Bounds, Lapse
from agent.record.still import Stills
from agent.record.thumbnails import Thumbnails

if TYPE_CHECKING:
    from agent.record.lapse_film import Films

Work = Callable[[Order, Any], Awaitable[Any]]
Late = Callable[[Work], Handler]
"""A handler whose answer comes when its work is done."""
MB = 1_000_000
NOT_THROUGH_PORTAL = "no picture goes through the portal (stills.through_portal): watch it live instead"


class Pictures:
    """Stills, and the pictures of events."""

    def __init__(
        self,
        settings: Settings,
        capture: Capture,
        streams: Mapping[StreamName, Stream],
        on_sent: Callable[[int], None],
    ) -> None:
        """`on_sent` counts the bytes that leave through the broker."""
        self._through_portal, self._on_sent = settings.stills.through_portal, on_sent
        self.stills = Stills(
            streams,
            has_preview=lambda: "preview" in capture.expected_formats(),
            kind=lambda: capture.kind,
            problem=lambda: capture.problem,
        )
        self.thumbnails = Thumbnails(
            settings.device.state_dir / "thumbnails", partial(self.stills.take, "thumbnail")
        )

        self._lapse = self._make_lapse(settings)
        self._films = self._make_films(settings)

    def _make_lapse(self, settings: Settings) -> Lapse | None:
        stills, record = settings.stills, settings.record
        if not stills.every_s:
            return None
        folder = settings.recordings_folder
        bounds = Bounds(stills.every_s, stills.max_mb * MB, record.min_free_mb * MB)
        take = partial(self.stills.take, stills.size)
        is_usable = partial(is_mounted, folder) if record.own_partition else lambda: True
        return Lapse(folder / "lapse", bounds, take, is_usable)

    def _make_films(self, settings: Settings) -> "Films | None":
        if self._lapse is None:
            return None
        from agent.record.lapse_film import Films  # noqa: PLC0415

        return Films(self._lapse, settings.record.min_free_mb * MB)

    def handlers(self, late: Late) -> dict[str, Handler]:
        """What each command of the table does here."""
        return {
            "snapshot": late(self.through(self._snapshot)),
            "thumbnail": late(self.through(self._thumbnail)),
            "lapse-film": late(lambda _, wish: self._film(wish)),
        }

    def lapse_section(self) -> LapseSection | None:
        """None where none is taken by the clock."""
        return self._lapse.section() if self._lapse else None

    def find_film(self, number: str) -> Path | None:
        """Of a time-lapse, while it is there."""
        return self._films.find(number) if self._films else None

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs as long as the agent."""
        yield "stills", self.stills.run()
        if self._lapse:
            yield "lapse", self._lapse.run()

    async def close(self) -> None:
        """Give up what is being made."""
        await self.thumbnails.close()

    def through(self, work: Callable[[Any], Awaitable[Picture | Thumbnail]]) -> Work:
        """What comes by the broker goes through it, where the settings let it."""

        async def do(order: Order, wish: Any) -> Picture | Thumbnail:
            if order.way == "broker" and not self._through_portal:
                raise CommandError("switched-off", NOT_THROUGH_PORTAL)
            made = await work(wish)
            if order.way == "broker":
                self._on_sent(len(made.jpeg) * 4 // 3)  # a signed message is base64, once more
            return made

        return do

    async def _film(self, wish: LapseWanted) -> LapseFilm:
        if self._films is None:
            words = "this camera takes no stills by the clock: set stills.every_s, here or in its settings"
            raise CommandError("not-enabled", words)
        return await self._films.make(wish)

    async def _snapshot(self, wish: Snapshot) -> Picture:
        return _picture(await self.stills.take(wish.size))

    async def _thumbnail(self, wish: ThumbnailOf) -> Thumbnail:
        if found := await self.thumbnails.find(wish.event):
            return found
        raise CommandError("no-picture", "the camera has no picture of this event, or not any more")


def _picture(still: Still) -> Picture:
    return Picture(encode_jpeg_text(still.jpeg), still.taken_at, still.width_px, still.height_px)
