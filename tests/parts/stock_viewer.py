"""Our sessions, and a stock aiortc viewer, in one event loop: signaling is a function call."""

import asyncio
import contextlib
import json
import secrets
import time
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import partial

import av
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp

from agent.config import WebrtcSettings
from agent.control.demand import Limits
from agent.control.stream import StreamControl
from agent.media.packetizer import to_rtp_frame
from agent.media.stream import Stream
from agent.model.command import COMMANDS, CommandError, parse_arguments
from agent.model.media import Unit
from agent.model.signal import IceServer, Offer, Result
from agent.record.playbacks import Playbacks, Shelf
from agent.rtc.sessions import Sessions

FPS = 25
SIZES = {"main": (320, 240), "preview": (160, 120)}


class Stick:
    """What a viewer says on its channel `ptz`."""

    def __init__(self, user, send):
        self.user, self.send = user, send
        self.heard = asyncio.Queue()
        self.closed = asyncio.Event()

    def on_message(self, message):
        self.heard.put_nowait(message)

    def on_closed(self):
        self.closed.set()


class Device:
    """A device without camera and broker: a small encoder, and signaling that goes to the viewers."""

    def __init__(self, *, preview=False, uplink_bps=None, sound=None, **webrtc):
        self.watchers = 0
        self.files, self.sent_bytes = {}, 0
        self.viewers = {}
        self.streams = {name: self._make_stream(name) for name in ("main", "preview")[: 1 + preview]}
        self.demands = {}
        self.control = StreamControl(
            self,
            lambda: {
                stream: Limits(100_000, 500_000, FPS, 320 * 240, can_rescale=False) for stream in self.streams
            },
            lambda name, take: self.streams[name].reading_rtp(take),
            uplink_bps,
        )
        self.sessions = Sessions(
            WebrtcSettings(**webrtc),
            signal=self,
            viewing=self.control.viewer,
            describe=lambda _: (len(self.sessions), 500_000, "test"),
            command=self._do,
            on_change=lambda: None,
            refusal=self.control.refusal,
            sound=sound,
            open_stick=self._open_stick,
            open_playback=lambda *of: self.playbacks.open(*of) if self.playbacks else None,
            find_file=self.files.get,
            on_sent=self._count,
        )
        self.playbacks = None
        """Of a device that records; see `record`."""
        self.sticks = []
        """Of viewers that move the camera, in the order in which they came."""
        self._keyframe_wanted = False
        self.orders = []

    def _do(self, order, _later):
        self.orders.append(order)
        if self.playbacks and (handler := self.playbacks.handlers.get(order.name)):
            try:
                handler(order, parse_arguments(COMMANDS[order.name], order.arguments))
            except CommandError as exc:
                return Result(0, order.id, order.name, ok=False, code=exc.code, message=str(exc))
        return Result(0, order.id, order.name, ok=True, code="done")

    def record(self, index):
        """What this index holds can be looked at."""
        self.playbacks = Playbacks(Shelf(lambda: index), to_rtp_frame)

    def _count(self, sent_bytes):
        self.sent_bytes += sent_bytes

    def _open_stick(self, _session, user, may_control, send):
        if not may_control():
            return None
        self.sticks.append(Stick(user, send))
        return self.sticks[-1]

    # What SignalingService has for the sessions.

    def send_answer(self, session, _nonce, sdp):
        self.viewers[session].on_answer(sdp)

    def send_candidate(self, session, line):
        self.viewers[session].on_candidate(line)

    def send_reject(self, session, code, message, _retry_after_s=None):
        self.viewers[session].on_end(code, message)

    def send_restart(self, session, reason):
        self.viewers[session].on_restart_wanted(reason)

    def send_bye(self, session, reason):
        self.viewers[session].on_end("bye", reason)

    def demand(self, stream, bitrate_bps, fps_share, scale):
        self.demands[stream] = (bitrate_bps, fps_share, scale)

    def hold(self, *_, **__):
        """Its viewers are on one machine."""

    def made_bps(self, _stream):
        return None

    def request_keyframe(self, _stream, _need):
        self._keyframe_wanted = True

    def _make_stream(self, name):
        return Stream(to_rtp_frame, self._watching, partial(self.request_keyframe, name))

    @contextlib.contextmanager
    def _watching(self):
        self.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1

    async def film(self):
        """Encode a picture 25 times a second until cancelled; an IDR where one was asked for."""
        encoders = {stream: _encoder(*SIZES[stream]) for stream in self.streams}
        seq = 0
        while True:
            keyframe, self._keyframe_wanted = self._keyframe_wanted, False
            capture_us = time.monotonic_ns() // 1000
            for stream, encoder in encoders.items():
                unit = _encode(encoder, seq, capture_us, keyframe=keyframe)
                self.streams[stream].push(unit)
            seq += 1
            await asyncio.sleep(1 / FPS)


def _encoder(width_px, height_px):
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width_px, height_px, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), FPS
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}
    encoder.gop_size = 10_000
    return encoder


def _encode(encoder, seq, capture_us, *, keyframe):
    picture = av.VideoFrame(encoder.width, encoder.height, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([40 + seq % 160]) * plane.buffer_size)
    picture.pts = seq
    picture.pict_type = av.video.frame.PictureType.I if keyframe else 0
    (packet,) = encoder.encode(picture)
    data, key = bytes(packet), packet.is_keyframe
    if key and data.find(b"\0\0\1\x67") < 0:
        data = encoder.extradata + data
    return Unit(data, capture_us, 0, is_keyframe=key)


def offer_of(sdp, **options):
    """The message that carries an offer, as the portal makes it."""
    signed = {"seq": 0, "nonce": secrets.token_urlsafe(16), "boot_id": "boot"}
    times = {"issued_at": time.time(), "expires_at": time.time() + 30}
    who = {"user": "tester", "permissions": ("watch",), "ice_servers": (), "relay_only": False}
    return Offer(sdp=sdp, **signed, **times, **(who | options))


class Viewer:
    """One stock viewer."""

    def __init__(
        self,
        device,
        *,
        viewer_servers=(),
        device_servers=(),
        relay_only=False,
        data=True,
        restart=False,
        stream="main",
        user="tester",
        permissions=("watch",),
        voice=None,
    ):
        """`voice` is a track that the viewer sends; with it, it wants to hear the camera too."""
        self.session = secrets.token_hex(16)
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[RTCIceServer(**s) for s in viewer_servers]))
        self.answer = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.candidates = []
        self.restart_wanted = []
        self.replies = asyncio.Queue()
        self.frames = asyncio.Queue()
        self.heard = asyncio.Queue()
        self._device, self._device_servers, self._relay_only = device, device_servers, relay_only
        self._restart, self._stream = restart, stream
        self._who = {"user": user, "permissions": permissions}
        self._tasks = []
        self.pc.on("track", lambda track: self._tasks.append(asyncio.create_task(self._receive(track))))
        if voice is not None:
            self.pc.addTransceiver(voice, direction="sendrecv")
        self.channel = self.pc.createDataChannel("control") if data else None
        if data:
            self.channel.on("message", lambda text: self.replies.put_nowait(json.loads(text)))
        device.viewers[self.session] = self

    async def connect(self, change=lambda sdp: sdp):
        """Offer, and take the answer; seconds from the offer to the answer."""
        video = self.pc.addTransceiver("video", direction="recvonly")
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in codecs if c.mimeType in ("video/H264", "video/rtx")])
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offered = time.monotonic()
        offer = offer_of(
            change(self.pc.localDescription.sdp),
            ice_servers=tuple(IceServer(**s) for s in self._device_servers),
            relay_only=self._relay_only,
            restart=self._restart,
            stream=self._stream,
            **self._who,
        )
        self._device.sessions.on_offer(self.session, offer)
        await asyncio.wait((self.answer, self.ended), return_when=asyncio.FIRST_COMPLETED)
        answered_s = time.monotonic() - offered
        if self.answer.done():
            await self.pc.setRemoteDescription(RTCSessionDescription(self.answer.result(), "answer"))
            for line in list(self.candidates):
                await self._add(line)
        return answered_s

    async def next_frame(self, timeout_s=60):
        """The next decoded picture."""
        return await asyncio.wait_for(self.frames.get(), timeout_s)

    async def ask(self, text):
        """Send on the control channel once it is open."""
        while self.channel.readyState != "open":
            await asyncio.sleep(0.01)
        self.channel.send(text)
        return await asyncio.wait_for(self.replies.get(), 60)

    def leave(self):
        """As the portal does when a browser goes."""
        self._device.sessions.on_bye(self.session, "left")

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pc.close()

    # What the device says.

    def on_answer(self, sdp):
        self.answer.set_result(sdp)

    def on_candidate(self, line):
        self.candidates.append(line)
        if self.pc.remoteDescription is not None:
            self._tasks.append(asyncio.create_task(self._add(line)))

    def on_end(self, code, message):
        if not self.ended.done():
            self.ended.set_result((code, message))

    def on_restart_wanted(self, reason):
        self.restart_wanted.append(reason)

    async def _add(self, line):
        if line:
            candidate = candidate_from_sdp(line.removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = "0", 0
            await self.pc.addIceCandidate(candidate)

    async def _receive(self, track):
        into = self.frames if track.kind == "video" else self.heard
        with contextlib.suppress(MediaStreamError):
            while True:
                into.put_nowait(await track.recv())


@asynccontextmanager
async def device(**options):
    """A filming device; its sessions are closed at the end."""
    running = Device(**options)
    tasks = [
        asyncio.create_task(running.film(), name="film"),
        asyncio.create_task(running.control.run(), name="control"),
    ]
    try:
        yield running
    finally:
        await running.sessions.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def viewer(of, **options):
    """A viewer that is closed at the end."""
    one = Viewer(of, **options)
    try:
        yield one
    finally:
        one.leave()
        await one.close()
