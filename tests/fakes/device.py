"""A camera made of the stock aiortc `RTCPeerConnection`: what a browser sees when it talks to any device.

It is no part of Pinhole, so that the dashboard is checked against somebody else's WebRTC.
"""

import asyncio
import json
import time
from fractions import Fraction

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import VideoFrame

from agent.model.signal import Answer, Bye, Candidate, Offer, Reject
from agent.model.stamp import BLACK, WHITE, cell_size_px, encode_bits

WIDTH_PX, HEIGHT_PX, FPS = 640, 360, 25


class StampedTrack(VideoStreamTrack):
    """A bar that moves over a gradient, with the time burnt in."""

    def __init__(self):
        super().__init__()
        self._start_s = time.monotonic()
        self._count = 0
        self._row = bytes(40 + x * 150 // WIDTH_PX for x in range(WIDTH_PX))
        self._blue = bytes(90 + y * 90 // (HEIGHT_PX // 2) for y in range(HEIGHT_PX // 2))

    async def recv(self):
        self._count += 1
        await asyncio.sleep(max(0.0, self._start_s + self._count / FPS - time.monotonic()))
        frame = VideoFrame(WIDTH_PX, HEIGHT_PX, "yuv420p")
        luma, blue, red = frame.planes
        luma.update(self._luma(luma.line_size))
        blue.update(b"".join(bytes([level]) * blue.line_size for level in self._blue))
        red.update(bytes([100]) * (red.line_size * HEIGHT_PX // 2))
        frame.pts, frame.time_base = self._count * 90_000 // FPS, Fraction(1, 90_000)
        return frame

    def _luma(self, stride):
        at = self._count * 4 % WIDTH_PX
        row = bytearray(self._row.ljust(stride, b"\0"))
        row[at : at + 24] = bytes([220]) * len(row[at : at + 24])
        plane = bytearray(bytes(row) * HEIGHT_PX)
        cell_w, cell_h = cell_size_px(WIDTH_PX, HEIGHT_PX)
        stamp = b"".join(
            bytes([WHITE if bit else BLACK]) * cell_w for bit in encode_bits(int(time.time() * 1000))
        )
        for y in range(cell_h):
            plane[y * stride : y * stride + len(stamp)] = stamp
        return bytes(plane)


class FakeDevice:
    """Answers each offer; `mode` is what it does instead: "silent" ignores offers, "busy" rejects them.

    It knows no ICE restart, for which a viewer asks whom a busy machine held up: the stream goes on without.
    """

    def __init__(self, gateway, device):
        self._gateway = gateway
        self._device = device
        self._peers: dict[str, RTCPeerConnection] = {}
        self._seq: dict[str, int] = {}
        self._tasks: set[asyncio.Task] = set()
        self.mode = "answer"
        self.offers: list[Offer] = []
        self.ended: list[str] = []

    @property
    def sessions(self):
        """Those that are served now."""
        return tuple(self._peers)

    def on_message(self, session, message):
        """Take one message from the bus."""
        match message:
            case Offer():
                self.offers.append(message)
                if self.mode == "busy":
                    reject = Reject(0, "busy", "8 viewers watch already.", retry_after_s=30)
                    self._gateway.on_signal(self._device, session, reject)
                elif self.mode == "answer" and not message.restart:
                    self._spawn(self._answer(session, message))
            case Candidate() if message.candidate and session in self._peers:
                self._spawn(self._add_candidate(self._peers[session], message.candidate))
            case Bye():
                self.ended.append(session)
                self._spawn(self._close_peer(session))

    async def hang_up(self):
        """Lose every peer without a word over the signaling."""
        for session in list(self._peers):
            await self._close_peer(session)

    async def say_bye(self, reason):
        """End every session over the signaling."""
        for session in list(self._peers):
            self._seq[session] += 1
            self._gateway.on_signal(self._device, session, Bye(self._seq[session], reason))
            await self._close_peer(session)

    async def close(self):
        await self.hang_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, session, offer):
        peer = self._peers[session] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._seq[session] = 0
        peer.on("datachannel", lambda channel: channel.on("message", lambda text: _reply(channel, text)))
        await peer.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        transceiver = peer.getTransceivers()[0]
        peer.addTrack(StampedTrack())
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
        await peer.setLocalDescription(await peer.createAnswer())
        self._gateway.on_signal(self._device, session, Answer(0, offer.nonce, peer.localDescription.sdp))

    async def _add_candidate(self, peer, line):
        candidate = candidate_from_sdp(line.removeprefix("candidate:"))
        candidate.sdpMid, candidate.sdpMLineIndex = "0", 0
        await peer.addIceCandidate(candidate)

    async def _close_peer(self, session):
        peer = self._peers.pop(session, None)
        if peer is not None:
            await peer.close()

    def _spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reply(channel, text):
    message = json.loads(text)
    if message["type"] == "ping":
        channel.send(json.dumps({"type": "pong", "id": message["id"], "unix_ms": time.time() * 1000}))
    elif message["type"] == "stats":
        channel.send(
            json.dumps(
                {
                    "type": "stats",
                    "encoder_bps": 1_000_000,
                    "viewers": 1,
                    "camera_kind": "synthetic",
                    "uptime_s": 4000.0,
                }
            )
        )
