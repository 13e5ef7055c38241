"""All viewers of this device: admission, signaling in and out, and their end."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiortc.rtcdtlstransport import RTCCertificate

from agent.config import WebrtcSettings
from agent.errors import NegotiationError
from agent.model.command import Order
from agent.model.grant import grant_of
from agent.model.media import StreamName
from agent.model.sections import ViewersSection
from agent.model.signal import VIEWER_LEFT, JsonObject, Offer, Result
from agent.rtc.alarm import Alarm
from agent.rtc.answer import VIDEO_ALONE, parse_offer
from agent.rtc.codecs import Directions
from agent.rtc.data import FindFile, Stick
from agent.rtc.interfaces import host_addresses
from agent.rtc.peer import Describe, Peer
from agent.rtc.pool import CandidatePool
from agent.rtc.seats import Seat, who_yields
from agent.rtc.sound import Sound
from agent.rtc.viewing import Playback, Viewing

log = logging.getLogger(__name__)

RETRY_WHEN_FULL_S = 10.0
SESSION_OVER = ("session-over", "this session is over: make a new one")
SESSION_EXISTS = ("session-exists", "this session has its answer already")
GIVEN_TO_HIGHER = "the camera is full, and somebody who may do more with it needed this place"
GIVEN_TO_FEWER = "the camera is full, and somebody with fewer streams of it got one of these places"
_MAX_EARLY_CANDIDATES = 64


class SignalOut(Protocol):
    """What the device says to a viewer."""

    def send_answer(self, session: str, nonce: str, sdp: str) -> None:
        """The answer to the offer of this nonce."""

    def send_candidate(self, session: str, line: str) -> None:
        """One more candidate of ours; empty at the end."""

    def send_reject(self, session: str, code: str, message: str, retry_after_s: float | None = None) -> None:
        """No answer will come."""

    def send_restart(self, session: str, reason: str) -> None:
        """Our addresses changed: please offer an ICE restart."""

    def send_bye(self, session: str, reason: str) -> None:
        """The session is over."""


OpenStick = Callable[[str, str, Callable[[], bool], Callable[[str], None]], Stick | None]
"""`open(session, user, may_control, send)`: for a viewer that would move the camera; None where it may not.
"""


OpenPlayback = Callable[[str, Viewing, Callable[[], bool]], Playback | None]
"""`open(session, viewing, may_play)`: for each viewer; None where nothing is recorded here."""


class Sessions:
    """Serves each viewer in a task of its own: one viewer's failure never reaches another."""

    def __init__(
        self,
        settings: WebrtcSettings,
        *,
        signal: SignalOut,
        viewing: Callable[[StreamName], AbstractContextManager[Viewing]],
        describe: Describe,
        command: Callable[[Order, Callable[[Result], None]], Result | None],
        on_change: Callable[[], None],
        refusal: Callable[[StreamName], str | None] = lambda _: None,
        on_sent: Callable[[int], None] = lambda _: None,
        sound: Sound | None = None,
        open_stick: OpenStick = lambda *_: None,
        open_playback: OpenPlayback = lambda *_: None,
        find_file: FindFile = lambda _: None,
        on_right_lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`command` does what a viewer asks over the data channel.

        `on_right_lost` hears of a session whose viewer may control the camera no more, or not even watch.
        `refusal` says why no more viewer of a stream can be served; `on_sent` counts bytes.
        """
        self._settings = settings
        self._signal = signal
        self._viewing = viewing
        self._describe = describe
        self._alarm = Alarm()
        self._command = command
        self._on_change = on_change
        self._refusal = refusal
        self._on_sent = on_sent
        self._sound = sound
        self._open_stick = open_stick
        self._open_playback = open_playback
        self._find_file = find_file
        self._on_right_lost = on_right_lost
        self._media: Directions = {**VIDEO_ALONE, "audio": sound.direction} if sound else VIDEO_ALONE
        self._certificate = RTCCertificate.generateCertificate()
        self._pool = CandidatePool(partial(host_addresses, settings.exclude_interfaces))
        self._viewers: dict[str, _Viewer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def has_media(self) -> bool:
        """Somebody is being sent pictures; a viewer whose path has died leaves within half a minute."""
        return any(viewer.is_streaming for viewer in self._viewers.values())

    def section(self) -> ViewersSection:
        """What the device's state says of the viewers."""
        return ViewersSection(len(self))

    async def run(self) -> None:
        """Keep sockets ready for the next viewer, until cancelled; viewers are served without it too."""
        await self._pool.run()

    def on_offer(self, session: str, offer: Offer) -> None:
        """Start to serve a viewer, or restart the ICE of one that is served."""
        self._pool.learn(offer.ice_servers)
        viewer = self._viewers.get(session)
        if offer.restart != (viewer is not None):
            self._signal.send_reject(session, *(SESSION_OVER if offer.restart else SESSION_EXISTS))
            return
        if viewer is not None:
            self._restart(session, viewer, offer)
            return
        if not self._make_room(session, offer):
            return
        viewer = self._viewers[session] = _Viewer(offer)
        self._on_change()
        self._spawn(self._serve(session, viewer, offer), f"viewer {session}")

    def on_candidate(self, session: str, line: str) -> None:
        """One more candidate of the viewer's."""
        if viewer := self._viewers.get(session):
            viewer.add_candidate(line)

    def on_bye(self, session: str, reason: str) -> None:
        """The viewer has gone, or may no longer be here."""
        if reason != VIEWER_LEFT:
            self._on_right_lost(session)
        if viewer := self._viewers.get(session):
            log.info("viewer %s left: %s", session, reason or "no reason given")
            viewer.left = True
            viewer.end(reason)

    def want_keyframe(self, session: str) -> None:
        """For one viewer, as soon as one may be forced."""
        if viewer := self._viewers.get(session):
            viewer.want_keyframe()

    def on_link_changed(self) -> None:
        """Our addresses changed: every viewer is asked to restart ICE, which finds the new ones."""
        self._pool.reset()
        for session in self._viewers:
            self._signal.send_restart(session, "the camera's network changed")

    async def close(self) -> None:
        """Say goodbye to every viewer; about a second."""
        for viewer in self._viewers.values():
            viewer.end("the camera is shutting down")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _order(
        self,
        session: str,
        viewer: "_Viewer",
        command: str,
        name: str,
        arguments: JsonObject,
        later: Callable[[Result], None],
    ) -> Result | None:
        """What the portal signed for this viewer in the newest offer is what the viewer may do."""
        offer = viewer.newest
        return self._command(
            Order(command, name, arguments, offer.user, offer.permissions, "session", session), later
        )

    def _stick(self, session: str, viewer: "_Viewer", send: Callable[[str], None]) -> Stick | None:
        return self._open_stick(session, viewer.newest.user, viewer.may_control, send)

    def _file(self, viewer: "_Viewer", number: str) -> Path | None:
        """By the newest offer: a right may go while a file is fetched."""
        return self._find_file(number) if "recordings" in viewer.newest.permissions else None

    def _make_room(self, session: str, offer: Offer) -> bool:
        """Whether there is a place, if need be another's; who gets none is told why."""
        most = self._settings.max_viewers
        seats = [viewer.seat(name) for name, viewer in self._viewers.items() if not viewer.is_leaving]
        # Those who leave need a second to be gone: what they hold is bounded as well.
        is_crowded = len(self._viewers) >= 2 * most
        code, words = "too-many-viewers", f"this camera serves at most {most} viewers at a time"
        if len(seats) < most and not is_crowded:
            refusal = self._refusal(offer.stream)
            if refusal is None:
                return True
            code, words = "uplink-full", refusal
        given = who_yields(seats, offer.user, grant_of(offer.user, offer.permissions))
        if given is None or is_crowded:
            own = sum(seat.owner == offer.user for seat in seats)
            hint = f", and {own} of them are yours: close one" if own > 1 else ""
            self._signal.send_reject(session, code, words + hint, RETRY_WHEN_FULL_S)
            return False
        log.info("viewer %s (%s) makes room for %s", given.session, given.owner, offer.user)
        before = given.grant < grant_of(offer.user, offer.permissions)
        self._viewers[given.session].end(GIVEN_TO_HIGHER if before else GIVEN_TO_FEWER)
        return True

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _restart(self, session: str, viewer: "_Viewer", offer: Offer) -> None:
        try:
            peer = viewer.streaming_peer()
            peer.begin_restart(
                parse_offer(offer.sdp, self._media, l4s=self._settings.l4s),
                offer.ice_servers,
                relay_only=offer.relay_only,
            )
        except NegotiationError as exc:
            log.info("viewer %s: restart refused: %s", session, exc)
            viewer.end(str(exc))
        else:
            viewer.newest = offer
            if not viewer.may_control():
                self._on_right_lost(session)
            self._spawn(self._finish_restart(session, viewer, peer, offer), f"restart {session}")

    async def _finish_restart(self, session: str, viewer: "_Viewer", peer: Peer, offer: Offer) -> None:
        if viewer.newest is not offer:  # several waited at the broker while our link was down
            return
        try:
            addresses = host_addresses(self._settings.exclude_interfaces)
            self._signal.send_answer(session, offer.nonce, await peer.answer(addresses, self._pool.take))
            moved = await peer.finish_restart(self._settings.connect_timeout_s)
            log.info("viewer %s: ICE restart %s", session, "done" if moved else "found no path")
        except Exception:
            log.exception("viewer %s: restart failed", session)

    async def _serve(self, session: str, viewer: "_Viewer", offer: Offer) -> None:
        log.info("viewer %s (%s) asks for video", session, offer.user)
        try:
            await self._negotiate_and_run(session, viewer, offer)
        except NegotiationError as exc:
            log.info("viewer %s refused: %s", session, exc)
            self._signal.send_reject(session, exc.code, str(exc))
        except Exception:
            log.exception("viewer %s failed", session)
            self._signal.send_bye(session, "the camera had an internal error")
        finally:
            del self._viewers[session]
            if not self._viewers:
                # The libraries leave reference cycles, 5 KiB a session where collection is left to chance.
                gc.collect()
            self._on_change()

    async def _negotiate_and_run(self, session: str, viewer: "_Viewer", offer: Offer) -> None:
        negotiated = parse_offer(offer.sdp, self._media, l4s=self._settings.l4s)
        with self._viewing(offer.stream) as viewing:  # the camera starts while the two ends find each other
            peer = Peer(
                negotiated,
                offer.ice_servers,
                relay_only=offer.relay_only,
                certificate=self._certificate,
                viewing=viewing,
                playback=self._open_playback(session, viewing, viewer.may_play),
                sound=self._sound,
                describe=self._describe,
                alarm=self._alarm,
                command=partial(self._order, session, viewer),
                open_stick=partial(self._stick, session, viewer),
                find_file=partial(self._file, viewer),
                on_sent=self._on_sent,
                on_candidate=lambda line: self._signal.send_candidate(session, line),
                on_silence=lambda: self._signal.send_restart(session, "the camera hears nothing of you"),
            )
            try:
                addresses = host_addresses(self._settings.exclude_interfaces)
                self._signal.send_answer(session, offer.nonce, await peer.answer(addresses, self._pool.take))
                viewer.attach(peer)
                reason = await peer.run(self._settings.connect_timeout_s)
                log.info("viewer %s ended: %s", session, reason)
                if not viewer.left:
                    self._signal.send_bye(session, reason)
            finally:
                await peer.close()


class _Viewer:
    """A session from its offer on; holds what arrives before its peer exists."""

    def __init__(self, offer: Offer) -> None:
        self._owner, self._grant = offer.user, grant_of(offer.user, offer.permissions)
        self.left = False
        self.newest = offer
        """Or the latest restart."""
        self._peer: Peer | None = None
        self._early: list[str] = []
        self._reason: str | None = None

    def attach(self, peer: Peer) -> None:
        self._peer = peer
        for line in self._early:
            peer.add_candidate(line)
        self._early.clear()
        if self._reason is not None:
            peer.end(self._reason)

    def may_control(self) -> bool:
        """By the newest offer: it may have lost that right."""
        return "control" in self.newest.permissions

    def may_play(self) -> bool:
        """What was recorded."""
        return "recordings" in self.newest.permissions

    @property
    def is_leaving(self) -> bool:
        """Its end has begun: the place is free."""
        return self._reason is not None

    def seat(self, session: str) -> Seat:
        return Seat(session, self._owner, self._grant, self.is_streaming)

    @property
    def is_streaming(self) -> bool:
        return self._peer is not None and self._peer.is_streaming

    def streaming_peer(self) -> Peer:
        if self._peer is None or not self._peer.is_streaming:
            raise NegotiationError("not-a-restart", "this session is not connected yet")
        return self._peer

    def add_candidate(self, line: str) -> None:
        if self._peer is not None:
            self._peer.add_candidate(line)
        elif len(self._early) < _MAX_EARLY_CANDIDATES:
            self._early.append(line)

    def want_keyframe(self) -> None:
        if self._peer is not None:
            self._peer.want_keyframe()

    def end(self, reason: str) -> None:
        self._reason = reason
        if self._peer is not None:
            self._peer.end(reason)
