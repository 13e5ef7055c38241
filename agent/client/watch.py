"""`pinhole watch`: through the portal to a camera, and what came of it."""

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from av.video.frame import VideoFrame
from rich.console import Console
from rich.live import Live

from agent.client.device import Device
from agent.client.files import Recorder, write_jpeg
from agent.client.panel import draw
from agent.client.peer import GATHER_TIMEOUT_S, Peer
from agent.client.report import Meter, as_json
from agent.client.session import (
    Answer,
    Bye,
    Candidate,
    PortalClient,
    PortalLostError,
    Refused,
    Reject,
    SignIn,
)
from agent.errors import NegotiationError, PinholeError, PortalError
from agent.model.media import StreamName
from agent.model.tasks import TaskGroup

FIRST_FRAME_TIMEOUT_S = 20.0
STALL_TIMEOUT_S = 10.0
REFRESH_S = 0.25
MAX_WAITING_FRAMES = 30

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What to watch, and what to keep of it."""

    portal: str
    sign_in: SignIn
    device: str | None = None
    seconds: float | None = None
    """From the first picture; without it until cancelled."""
    relay_only: bool = False
    stream: StreamName | None = None
    record: Path | None = None
    snapshot: Path | None = None


@dataclass(slots=True)
class Call:
    """What is known so far, for the panel and for the report."""

    meter: Meter = field(default_factory=Meter)
    device: Device | None = None
    peer: Peer | None = None
    answered: bool = False


async def run_watch(wish: Wish, *, json_wanted: bool) -> None:
    """Watch, and print a panel or one JSON object.

    Raises PinholeError (or a group of them) where no picture came, or it ended early.
    """
    session = Call()
    errors: list[str] = []
    try:
        async with _panel(session, shown=not json_wanted):
            await _watch(wish, session)
    except* PinholeError as group:
        errors += [str(error) for error in _leaves(group)]
        raise
    finally:
        if json_wanted:
            now = time.time(), time.monotonic()
            device = session.device.id if session.device else wish.device
            path = session.peer.path if session.peer else None
            print(json.dumps(as_json(session.meter, device, path, errors, now)), flush=True)  # noqa: T201


async def run_snapshot(wish: Wish) -> None:
    """Watch without a word, for as long as the first picture takes. Raises PinholeError."""
    await _watch(wish, Call())


async def _watch(wish: Wish, session: Call) -> None:
    async with contextlib.AsyncExitStack() as stack:
        peer = await stack.enter_async_context(calling(wish, session))
        keeper = _Keeper(wish)
        stack.push_async_callback(keeper.close)
        measuring = asyncio.create_task(peer.measure(), name="watch: statistics")
        stack.callback(measuring.cancel)
        await receive(peer, session, keeper.keep, wish.seconds)


@contextlib.asynccontextmanager
async def calling(wish: Wish, session: Call) -> AsyncIterator[Peer]:
    """A session with a camera, kept for the length of the block: signaling goes on behind it."""
    async with (
        PortalClient.connect(wish.portal, wish.sign_in) as portal,
        contextlib.AsyncExitStack() as stack,
    ):
        session.device = await portal.find(wish.device)
        peer = session.peer = Peer(
            portal.hello.ice_servers, relay_only=wish.relay_only, stream=wish.stream, meter=session.meter
        )
        stack.push_async_callback(peer.close)
        sdp = await _offer(peer)
        name = secrets.token_hex(16)
        asked = {"session": name, "device": session.device.id, "stream": wish.stream or "main"}
        await portal.send({"type": "offer", "sdp": sdp, "relay_only": wish.relay_only, **asked})
        session.meter.offered_at_s = time.monotonic()
        stack.push_async_callback(_say_bye, portal, name)
        async with TaskGroup() as group:
            signaling = group.create_task(_signal(portal, peer, asked, session), name="watch: signaling")
            yield peer
            signaling.cancel()


async def _offer(peer: Peer) -> str:
    try:
        async with asyncio.timeout(GATHER_TIMEOUT_S):
            return await peer.offer()
    except TimeoutError as exc:
        raise PinholeError(f"no offer within {GATHER_TIMEOUT_S:g} s: a STUN or TURN server hangs") from exc


async def _signal(portal: PortalClient, peer: Peer, asked: dict[str, str], session: Call) -> None:
    """Pass on what the device says, until it ends the session."""
    name = asked["session"]
    while True:
        try:
            message = await portal.receive()
        except PortalLostError:
            if not session.meter.frames:
                raise
            await _resume(portal, asked)
            continue
        match message:
            case Answer(session=own) if own == name:
                session.answered = True
                await peer.accept(message.sdp)
            case Candidate(session=own) if own == name:
                await peer.add_candidate(message.candidate)
            case Reject(session=own) if own == name:
                raise NegotiationError(
                    message.code, f"the device refuses ({message.code}): {message.message}"
                )
            case Bye(session=own) if own == name:
                trouble = "" if session.meter.frames else peer.trouble
                raise PinholeError(
                    f"the device ended the session: {message.reason or 'no reason given'}{trouble}"
                )
            case Refused(code="unknown-type"):
                pass  # a portal of before there was "resume"
            case Refused():
                raise PortalError(f"the portal refuses ({message.code}): {message.message}")
            case _:
                pass  # news of other cameras, other sessions


async def _resume(portal: PortalClient, asked: dict[str, str]) -> None:
    """What plays plays on without the portal, for a while; then one has to have it renewed."""
    log.warning("the portal is away: trying to reach it")
    await portal.come_back()
    with contextlib.suppress(PortalLostError):
        await portal.send({"type": "resume", **asked})


async def receive(
    peer: Peer, session: Call, keep: Callable[[VideoFrame], None], seconds: float | None
) -> None:
    """Take pictures for so many seconds from the first one; for ever where that is None."""
    loop = asyncio.get_running_loop()
    end_s: float | None = None
    try:
        async with asyncio.timeout(FIRST_FRAME_TIMEOUT_S) as deadline:
            async for frame in peer.frames():
                keep(frame)
                if end_s is None and seconds is not None:
                    end_s = loop.time() + seconds
                if end_s is not None and loop.time() >= end_s:
                    return
                deadline.reschedule(loop.time() + STALL_TIMEOUT_S)
    except TimeoutError as exc:
        raise PinholeError(_why_nothing(peer, session)) from exc
    raise PinholeError("the stream ended")


def _why_nothing(peer: Peer, session: Call) -> str:
    if session.meter.frames:
        return f"the picture stopped: none for {STALL_TIMEOUT_S:g} s (connection {peer.state})"
    waited = f"within {FIRST_FRAME_TIMEOUT_S:g} s"
    if not session.answered:
        return f"no answer from the device {waited}"
    if peer.state != "connected":
        words = f"no path to the device {waited} (connection {peer.state}): is a TURN server needed?"
        return words + peer.trouble
    return f"connected, but no picture {waited}"


async def _say_bye(portal: PortalClient, name: str) -> None:
    with contextlib.suppress(PortalError):
        await portal.send({"type": "bye", "session": name})


class _Keeper:
    """Writes snapshot and recording in a thread of its own; leaves out pictures that it is too slow for."""

    def __init__(self, wish: Wish) -> None:
        self._thread = ThreadPoolExecutor(1, "keeper")
        self._recorder = Recorder(wish.record) if wish.record else None
        self._snapshot = wish.snapshot
        self._waiting: deque[Future[None]] = deque()
        self._dropped = 0

    def keep(self, frame: VideoFrame) -> None:
        """Hand a picture over. Raises PinholeError where an earlier one could not be written."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        if self._snapshot:
            self._waiting.append(self._thread.submit(write_jpeg, self._snapshot, frame))
            self._snapshot = None
        if self._recorder and len(self._waiting) < MAX_WAITING_FRAMES:
            self._waiting.append(self._thread.submit(self._recorder.add, frame))
        elif self._recorder:
            self._dropped += 1

    async def close(self) -> None:
        """Write all that is still waiting."""
        if self._recorder:
            self._waiting.append(self._thread.submit(self._recorder.close))
        await asyncio.gather(*map(asyncio.wrap_future, self._waiting))
        self._thread.shutdown()
        if self._dropped:
            log.warning(f"this machine is too slow to record it all: {self._dropped} pictures are missing")


@contextlib.asynccontextmanager
async def _panel(session: Call, *, shown: bool) -> AsyncIterator[None]:
    """Keep a panel up to date while the block runs."""
    if not shown:
        yield
        return
    with Live(console=Console(emoji=False), auto_refresh=False, transient=False) as live:

        def refresh() -> None:
            if session.device and session.peer:
                live.update(
                    draw(session.device, session.peer.state, session.peer.path, session.meter), refresh=True
                )

        async def keep_fresh() -> None:
            while True:
                refresh()
                await asyncio.sleep(REFRESH_S)

        async with TaskGroup() as group:
            task = group.create_task(keep_fresh(), name="watch: panel")
            try:
                yield
            finally:
                task.cancel()
                refresh()


def _leaves(group: BaseExceptionGroup[PinholeError]) -> list[PinholeError]:
    found: list[PinholeError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
