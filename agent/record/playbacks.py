"""The players of all viewers, by session; and what they find in the index."""

import secrets
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from agent.errors import PinholeError
from agent.model.command import CommandError, Order
from agent.model.media import RtpFrame, StreamName, Unit
from agent.model.signal import JsonObject, Result
from agent.record.index import Index
from agent.record.player import Player, Screen
from agent.record.reader import Cursor
from agent.record.tape import Library

END_OF_TIME_US = 1 << 62


class Shelf:
    """What is recorded, as a player needs it, of a folder that may come and go."""

    def __init__(self, index: Callable[[], Index | None]) -> None:
        """`index` of the folder; None while it is away."""
        self._index = index

    def has(self, stream: StreamName) -> bool:
        """Whether anything of it is there. Never waits."""
        index = self._index()
        return index is not None and bool(index.spans(stream, 0, END_OF_TIME_US, limit=1))

    def cursor(self, stream: StreamName) -> Cursor:
        """A place in it. Raises PinholeError."""
        if (index := self._index()) is None:
            raise PinholeError("the recordings' folder is away")
        return Cursor(index, stream)

    def bitrate_bps(self, stream: StreamName, wall_us: int) -> int | None:
        """What it took at that time; None where nobody knows. Waits for the disk."""
        index = self._index()
        segment = index.at(stream, wall_us) if index else None
        return segment.size_bytes * 8_000_000 // segment.dur_us if segment and segment.dur_us else None


class Playbacks:
    """Who looks back."""

    def __init__(
        self,
        library: Library,
        packetize: Callable[[Unit], RtpFrame | None],
        tell: Callable[[str, Result], None] = lambda _, __: None,
    ) -> None:
        """`tell(session, result)` has the portal note what a viewer watched."""
        self._library, self._packetize, self._tell = library, packetize, tell
        self._players: dict[str, Player] = {}

    def open(self, session: str, screen: Screen, may_play: Callable[[], bool]) -> "Playback":
        """For a viewer that has come."""
        on_over = partial(self._note, session)
        player = Player(self._library, screen, self._packetize, may_play, on_over)
        return Playback(self._players, session, player)

    def tell_over(self, session: str) -> None:
        """The session ends now: what its viewer watched is said while it can be."""
        if player := self._players.get(session):
            player.tell_over()

    def _note(self, session: str, words: str) -> None:
        """As another answer to `play`, which older portals note too, without the words."""
        self._tell(session, Result(0, secrets.token_hex(16), "play", ok=True, code="done", message=words))

    @property
    def handlers(self) -> dict[str, Callable[[Order, Any], object]]:
        """What each command does that a viewer looks back with."""
        return {
            "play": lambda order, of: self.of(order.session).play(of.at, of.speed, small=of.small),
            "seek": lambda order, of: self.of(order.session).seek(of.at, of.speed, small=of.small),
            "step": lambda order, of: self.of(order.session).step(of.pictures),
            "live": lambda order, _: self.of(order.session).go_live(),
        }

    def of(self, session: str) -> Player:
        """Raises CommandError."""
        try:
            return self._players[session]
        except KeyError:
            raise CommandError("not-connected", "this session has no picture yet") from None


class Playback:
    """A player for as long as its viewer is there."""

    def __init__(self, players: dict[str, Player], session: str, player: Player) -> None:
        self._players, self._session, self._player = players, session, player

    async def run(self) -> None:
        """Until cancelled."""
        self._players[self._session] = self._player
        try:
            await self._player.run()
        finally:
            del self._players[self._session]

    def standing(self) -> JsonObject | None:
        """For the viewer's statistics; None while it is live."""
        standing = self._player.standing
        return asdict(standing) if standing else None
