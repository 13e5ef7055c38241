"""The viewer's end of WebRTC, on aiortc's own RTCPeerConnection: the independent check of our peer."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp
from av.video.frame import VideoFrame
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from agent.client.report import Clock, Meter
from agent.client.session import Server
from agent.errors import NegotiationError, PinholeError
from agent.model import stamp
from agent.model.media import StreamName
from agent.model.signal import Text
from agent.model.text import printable

GATHER_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
STATS_INTERVAL_S = 0.5
MAX_CONTROL_BYTES = 4096
MAX_EARLY_CANDIDATES = 64

log = logging.getLogger(__name__)


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True)


class Pong(_Reply):
    """The device's clock."""

    type: Literal["pong"]
    id: int
    unix_ms: float


class DeviceStats(_Reply):
    """The device's side of the stream."""

    type: Literal["stats"]
    path: Annotated[str, Field(max_length=64)] | None = None
    rtt_ms: float | None = None


class Result(_Reply):
    """What became of a command."""

    type: Literal["result"]
    id: str
    ok: bool
    code: Text
    message: Text = ""
    value: dict[str, JsonValue] = {}


_REPLY: TypeAdapter[Pong | DeviceStats | Result] = TypeAdapter(
    Annotated[Pong | DeviceStats | Result, Field(discriminator="type")]
)


class Peer:
    """One video stream that comes in, and the `control` data channel."""

    def __init__(
        self, servers: Sequence[Server], *, relay_only: bool, stream: StreamName | None, meter: Meter
    ) -> None:
        """`stream` is asked for as soon as there is a channel; the device sends main to who does not ask."""
        self._relays = [url for server in servers for url in server.urls if url.startswith("turn")]
        if relay_only and not self._relays:
            raise PinholeError("--relay-only: the portal offers no TURN server")
        # An empty list, not nothing: with nothing aiortc asks a public STUN server.
        ice = [RTCIceServer(server.urls, server.username, server.credential) for server in servers]
        policy = RTCIceTransportPolicy.RELAY if relay_only else RTCIceTransportPolicy.ALL
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=ice, iceTransportPolicy=policy))
        self._meter = meter
        self._clock = Clock()
        self._track: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
        self._early: list[str] = []
        self._pings: tuple[int, float] = (0, 0.0)
        self.path: str | None = "relay" if relay_only else None
        """The device's end of the pair in use, as the device tells it."""
        self.trouble = ""
        """Something to add, in words, where no picture comes."""
        self._connection.on("track", self._on_track)
        self._channel = self._connection.createDataChannel("control")
        self._channel.on("message", self._on_control)
        self._open = asyncio.Event()
        self._channel.on("open", self._open.set)
        self._asked: dict[str, asyncio.Future[Result]] = {}
        if stream:
            wish = json.dumps({"type": "stream", "name": stream})
            self._channel.on("open", lambda: self._channel.send(wish))

    @property
    def state(self) -> str:
        """`RTCPeerConnection.connectionState`."""
        return self._connection.connectionState

    async def offer(self) -> str:
        """The SDP offer with all candidates in it: aiortc does not trickle out."""
        video = self._connection.addTransceiver("video", direction="recvonly")
        known = RTCRtpReceiver.getCapabilities("video")
        assert known is not None
        video.setCodecPreferences(
            [codec for codec in known.codecs if codec.mimeType in ("video/H264", "video/rtx")]
        )
        await self._connection.setLocalDescription(await self._connection.createOffer())
        sdp = str(self._connection.localDescription.sdp)
        if self._relays and " typ relay" not in sdp:  # aiortc does not tell what the server said
            self.trouble = f"; no relay of ours: {', '.join(self._relays)} did not answer, or refused"
        return sdp

    async def accept(self, sdp: str) -> None:
        """Take the device's answer, and the candidates that came before it."""
        if re.search(r"^m=video 0 ", sdp, re.MULTILINE):
            raise NegotiationError("bad-answer", "the device's answer refuses the video")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except Exception as exc:  # the parser meets text from outside with any error at all
            raise NegotiationError("bad-answer", f"the device's answer is unusable ({exc!r:.100})") from exc
        early, self._early = self._early, []
        for line in early:
            await self.add_candidate(line)

    async def add_candidate(self, line: str) -> None:
        """Take `candidate:…` as in RFC 8839 section 5.1; an empty line is end-of-candidates."""
        if self._connection.remoteDescription is None:
            if len(self._early) < MAX_EARLY_CANDIDATES:
                self._early.append(line)
            return
        if not line:
            await self._connection.addIceCandidate(None)
            return
        try:
            candidate = candidate_from_sdp(line.removeprefix("candidate:"))
        except (ValueError, AssertionError) as exc:
            raise NegotiationError("bad-candidate", f"malformed candidate: {printable(line)}") from exc
        if candidate.ip.endswith(".local"):  # aioice waits a second for each name; a device has addresses
            return
        candidate.sdpMLineIndex = 0
        await self._connection.addIceCandidate(candidate)

    async def frames(self) -> AsyncIterator[VideoFrame]:
        """Every decoded picture, counted by the meter, until the stream ends."""
        track = await self._track
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, VideoFrame)
            self._meter.on_frame(time.monotonic(), frame.width, frame.height, self._latency_ms(frame))
            yield frame

    async def command(self, name: str, arguments: dict[str, JsonValue], timeout_s: float) -> Result:
        """Have the camera do something, in this session. Raises PinholeError where no answer comes."""
        number = secrets.token_hex(16)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        words = {"type": "command", "id": number, "name": name, "arguments": arguments}
        try:
            async with asyncio.timeout(timeout_s):
                await self._open.wait()
                self._channel.send(json.dumps(words))
                return await answer
        except TimeoutError as exc:
            raise PinholeError(f"the camera did not answer {name} within {timeout_s:g} s") from exc
        finally:
            del self._asked[number]

    def open_channel(self, label: str, protocol: str) -> RTCDataChannel:
        """Another data channel beside `control`."""
        return self._connection.createDataChannel(label, protocol=protocol)

    async def measure(self) -> None:
        """Ask for statistics, of both ends, twice a second and for ever."""
        while True:
            for stats in (await self._connection.getStats()).values():
                if stats.type == "transport":
                    self._meter.on_received(time.monotonic(), stats.bytesReceived)
                elif stats.type == "inbound-rtp" and stats.kind == "video":
                    self._meter.lost_packets = stats.packetsLost
                    self._meter.jitter_ms = round(stats.jitter / 90, 2)  # RTP ticks of 90 kHz
            if self._channel.readyState == "open":
                self._pings = (self._pings[0] + 1, time.time() * 1000)
                self._channel.send(json.dumps({"type": "ping", "id": self._pings[0]}))
                self._channel.send(json.dumps({"type": "stats"}))
            await asyncio.sleep(STATS_INTERVAL_S)

    async def close(self) -> None:
        """Close within CLOSE_TIMEOUT_S; stock aiortc takes a minute where a TURN server is unreachable."""
        task = asyncio.create_task(self._connection.close(), name="watch: close")
        await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and not self._track.done():
            self._track.set_result(track)

    def _on_control(self, message: str | bytes) -> None:
        if len(message) > MAX_CONTROL_BYTES:
            return
        try:
            reply = _REPLY.validate_json(message)
        except ValidationError as exc:
            log.debug(f"control message ignored: {exc.error_count()} faults")
            return
        number, sent_ms = self._pings
        if isinstance(reply, Pong) and reply.id == number:
            self._clock.on_pong(sent_ms, time.time() * 1000, reply.unix_ms)
        elif isinstance(reply, DeviceStats):
            self.path = reply.path or self.path
        elif isinstance(reply, Result) and (asked := self._asked.get(reply.id)) and not asked.done():
            asked.set_result(reply)

    def _latency_ms(self, frame: VideoFrame) -> int | None:
        if frame.width < stamp.CELLS or not frame.format.name.startswith("yuv"):
            return None
        plane = frame.planes[0]
        sent_ms = stamp.decode_luma(memoryview(plane), plane.line_size, frame.width, frame.height)
        if sent_ms is None:
            return None
        return stamp.age_ms(sent_ms, round(time.time() * 1000 + self._clock.offset_ms))
