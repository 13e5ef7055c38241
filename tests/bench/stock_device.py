"""A device on stock aiortc, to compare with: `RTCPeerConnection` and aiortc's own encoder.

Same broker, same signaling, same picture. `python tests/bench/stock_device.py PINHOLE.toml` runs until ended;
with a file of footage (`scene.py`) and a file for targets before it, that is its picture instead.
"""

import asyncio
import json
import logging
import sys
import time
from fractions import Fraction
from pathlib import Path

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.sdp import candidate_from_sdp
from bench.scene import FPS, HEIGHT_PX, WIDTH_PX, Scene, tick_of, video_frame

from agent.camera.picture import TestPicture
from agent.config import load
from agent.model.signal import Offer, State
from agent.model.topics import device_filters
from agent.mqtt.broker import Broker
from agent.signaling.identity import load_identity
from agent.signaling.service import SignalingService

PREFIX, DEVICE = "pinhole", "cam"


class PictureTrack(VideoStreamTrack):
    """The test picture at 720p30, paced on the monotonic clock."""

    def __init__(self):
        super().__init__()
        self._picture = TestPicture(WIDTH_PX, HEIGHT_PX, FPS)
        self._start_s = time.monotonic()
        self._count = 0

    async def recv(self):
        self._count += 1
        await asyncio.sleep(max(0.0, self._start_s + self._count / FPS - time.monotonic()))
        drawn = self._picture.draw(self._count * 1_000_000 // FPS, time.time_ns() // 1_000_000)
        frame = drawn.reformat(format="yuv420p")
        frame.pts, frame.time_base = self._count * 90_000 // FPS, Fraction(1, 90_000)
        return frame


class FootageTrack(VideoStreamTrack):
    """The bench's footage, stamped."""

    def __init__(self, scene):
        super().__init__()
        self._scene = scene
        self._tick = tick_of(time.time() * 1000) + 1

    async def recv(self):
        await asyncio.sleep(max(0.0, self._tick / FPS - time.time()))
        frame = video_frame(self._scene.picture(self._tick), WIDTH_PX, HEIGHT_PX, "yuv420p")
        frame.pts, frame.time_base = self._tick * 90_000 // FPS, Fraction(1, 90_000)
        self._tick = max(self._tick + 1, tick_of(time.time() * 1000))
        return frame


class StockSessions:
    """Answers each offer with an `RTCPeerConnection`, as aiortc's own examples do."""

    def __init__(self, make_track):
        self.signal = None
        self._make_track = make_track
        self._peers = {}
        self._tasks = set()

    def on_offer(self, session, offer: Offer):
        self._spawn(self._answer(session, offer))

    def on_candidate(self, session, candidate):
        if candidate and session in self._peers:
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            parsed.sdpMid, parsed.sdpMLineIndex = "0", 0
            self._spawn(self._peers[session].addIceCandidate(parsed))

    def on_portal_keys(self, keys):
        pass

    def on_bye(self, session, _reason):
        if peer := self._peers.pop(session, None):
            self._spawn(peer.close())

    async def _answer(self, session, offer):
        servers = [RTCIceServer(list(s.urls), s.username, s.credential) for s in offer.ice_servers]
        peer = self._peers[session] = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        peer.on("datachannel", lambda channel: channel.on("message", lambda text: _reply(channel, text)))
        await peer.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        peer.addTrack(self._make_track())
        codecs = RTCRtpSender.getCapabilities("video").codecs
        peer.getTransceivers()[0].setCodecPreferences([c for c in codecs if c.mimeType == "video/H264"])
        await peer.setLocalDescription(await peer.createAnswer())
        self.signal.send_answer(session, offer.nonce, peer.localDescription.sdp)

    def _spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reply(channel, text):
    request = json.loads(text)
    if request["type"] == "ping":
        channel.send(json.dumps({"type": "pong", "id": request["id"], "unix_ms": time.time() * 1000}))


async def serve(file, sessions, name, *, has_stamp):
    """Answer the portal as the device `cam` until cancelled."""
    broker = None

    def publish(topic, payload, **options):
        return broker.publish(topic, payload, **options)

    settings = load(file)
    identity = load_identity(settings.device.state_dir)
    service = sessions.signal = SignalingService(
        PREFIX,
        DEVICE,
        publish,
        sessions,
        key=identity.key,
        portal_keys=identity.portal_keys,
        boot_id="stock",
    )
    state = State(boot_id="stock", online=True, since=time.time(), name=name, has_stamp=has_stamp)
    broker = Broker(
        settings.broker,
        client_id=f"stock-{DEVICE}",
        password=None,
        subscriptions=device_filters(PREFIX, DEVICE),
        on_message=lambda topic, payload: service.on_message(topic, payload, time.time(), time.monotonic()),
        on_connection=lambda connected, _: connected and service.republish_state(),
        will=service.will(state),
    )
    service.publish_state(state)
    await broker.run()


def main(arguments):
    logging.basicConfig(level=logging.INFO)
    *footage, file = arguments
    scene = Scene(Path(footage[0])) if footage else None
    sessions = StockSessions((lambda: FootageTrack(scene)) if scene else PictureTrack)
    asyncio.run(serve(Path(file), sessions, "Stock aiortc", has_stamp=not footage))


if __name__ == "__main__":
    main(sys.argv[1:])
