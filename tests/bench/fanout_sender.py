"""A sender to measure, in a process of its own: `fanout_sender.py ours|stock FRAMES`; see `fanout.py`.

Reads orders and writes answers as JSON lines. Both senders get the same access units at the same times.
"""

import asyncio
import json
import pickle
import resource
import signal
import sys
import time
from collections import Counter
from contextlib import nullcontext
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from agent.camera.keyframes import KeyframeGate
from agent.config import WebrtcSettings
from agent.control.demand import Limits
from agent.control.stream import StreamControl
from agent.media.packetizer import to_rtp_frame
from agent.media.stream import Stream
from agent.model.media import Unit
from agent.model.signal import IceServer, Offer, Result
from agent.rtc.sessions import Sessions

FPS = 30
BITRATE_BPS = 4_000_000


class Ours:
    """The agent's sessions with their congestion control; the encoder is a loop of access units."""

    def __init__(self):
        self._answers = {}
        self._stream = Stream(to_rtp_frame, nullcontext, partial(self.request_keyframe, "main"))
        limits = Limits(100_000, int(BITRATE_BPS * 1.1), FPS, 1920 * 1080, can_rescale=False)
        self._control = StreamControl(
            self, lambda: {"main": limits}, lambda _, take: self._stream.reading_rtp(take)
        )
        self._sessions = Sessions(
            WebrtcSettings(max_viewers=64),
            signal=self,
            viewing=self._control.viewer,
            describe=lambda _: (0, BITRATE_BPS, "bench"),
            command=lambda order, *_: Result(0, order.id, order.name, ok=False, code="unsupported"),
            on_change=lambda: None,
        )
        self._following = asyncio.create_task(self._control.run())
        self._gate = KeyframeGate()
        self._is_over = False

    async def answer(self, session, sdp, servers):
        self._answers[session] = asyncio.get_running_loop().create_future()
        ice = tuple(IceServer((s["urls"],), s["username"], s["credential"]) for s in servers)
        now = time.time()
        offer = Offer(
            seq=0,
            nonce=session[:22],
            issued_at=now,
            expires_at=now + 30,
            boot_id="bench",
            user="bench",
            permissions=("watch",),
            sdp=sdp,
            ice_servers=ice,
            relay_only=bool(servers),
        )
        self._sessions.on_offer(session, offer)
        return await self._answers[session]

    def push(self, data, is_keyframe, _seq):
        unit = Unit(data, time.monotonic_ns() // 1000, 0, is_keyframe=is_keyframe)
        self._stream.push(unit)

    async def close(self):
        self._is_over = True
        await self._sessions.close()
        self._following.cancel()

    # What the sessions and the control call.

    def demand(self, *_):
        pass

    def hold(self, *_, **__):
        pass

    def made_bps(self, _stream):
        return None

    def request_keyframe(self, _stream, need):
        self._gate.request(need, time.monotonic())

    def takes_keyframe(self):
        taken = self._gate.take(time.monotonic())
        if taken:
            self._gate.delivered()
        return taken

    def send_answer(self, session, _nonce, sdp):
        self._answers[session].set_result({"sdp": sdp})

    def send_candidate(self, session, line):
        print(json.dumps({"session": session, "candidate": line}), flush=True)

    def send_reject(self, session, code, message, _retry_after_s=None):
        self._answers[session].set_exception(RuntimeError(f"{code}: {message}"))

    def send_restart(self, session, reason):
        pass

    def send_bye(self, session, reason):
        if not self._is_over:
            print(f"viewer {session} ended: {reason}", file=sys.stderr)


class EncodedTrack(MediaStreamTrack):
    """Access units as stock aiortc takes them: `av.Packet`s."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.packets = asyncio.Queue(90)

    async def recv(self):
        return await self.packets.get()


class Stock:
    """An `RTCPeerConnection` a viewer, as aiortc's own examples do."""

    def __init__(self):
        self._wants_keyframe = False
        self._peers = []
        self._tracks = []

    async def answer(self, _session, sdp, servers):
        policy = RTCIceTransportPolicy.RELAY if servers else RTCIceTransportPolicy.ALL
        ice = [RTCIceServer(**server) for server in servers]
        peer = RTCPeerConnection(RTCConfiguration(iceServers=ice, iceTransportPolicy=policy))
        self._peers.append(peer)
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        track = EncodedTrack()
        peer.addTrack(track)
        codecs = RTCRtpSender.getCapabilities("video").codecs
        peer.getTransceivers()[0].setCodecPreferences([c for c in codecs if c.mimeType == "video/H264"])
        await peer.setLocalDescription(await peer.createAnswer())
        self._tracks.append(track)
        self._wants_keyframe = True
        return {"sdp": peer.localDescription.sdp}

    def takes_keyframe(self):
        taken, self._wants_keyframe = self._wants_keyframe, False
        return taken

    def push(self, data, _is_keyframe, seq):
        for track in self._tracks:
            packet = av.Packet(data)
            packet.pts, packet.time_base = seq * 3000, Fraction(1, 90_000)
            if not track.packets.full():
                track.packets.put_nowait(packet)

    async def close(self):
        await asyncio.gather(*(peer.close() for peer in self._peers))


class Sampler:
    """Looks at the stack as CPU time passes; a tracing profiler would cost more than it shows."""

    INTERVAL_S = 0.001

    def __init__(self):
        self._own, self._all = Counter(), Counter()

    def start(self):
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, self.INTERVAL_S, self.INTERVAL_S)

    def stop(self):
        signal.setitimer(signal.ITIMER_PROF, 0)
        total = sum(self._own.values()) or 1
        lines = [f"{total} samples; share with what it calls, own share:"]
        for name, count in self._all.most_common(60):
            lines.append(f"{100 * count / total:5.1f} % {100 * self._own[name] / total:5.1f} %  {name}")
        return "\n".join(lines)

    def _sample(self, _number, frame):
        names = []
        while frame is not None:
            code = frame.f_code
            names.append(f"{Path(code.co_filename).name}:{code.co_qualname}")
            frame = frame.f_back
        self._own[names[0]] += 1
        self._all.update(set(names))


async def film(sender, units, made):
    """Thirty times a second until cancelled; from the loop's keyframe on where one is asked for."""
    start_s, index, seq = time.monotonic(), 0, 0
    while True:
        if sender.takes_keyframe() or index == len(units):
            index = 0
        data, is_keyframe = units[index]
        sender.push(data, is_keyframe, seq)
        made["frames"] += 1
        made["bytes"] += len(data)
        index, seq = index + 1, seq + 1
        await asyncio.sleep(max(0.0, start_s + seq / FPS - time.monotonic()))


async def main(kind, units):
    sender = Ours() if kind == "ours" else Stock()
    made = {"frames": 0, "bytes": 0}
    filming = asyncio.create_task(film(sender, units, made))
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    sampler = Sampler()

    async def answer(order):
        reply = await sender.answer(order["session"], order["sdp"], order["ice_servers"])
        print(json.dumps({"session": order["session"], **reply}), flush=True)

    while line := await reader.readline():
        order = json.loads(line)
        match order["do"]:
            case "answer":
                task = asyncio.create_task(answer(order))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            case "candidate" if kind == "ours":
                sender._sessions.on_candidate(order["session"], order["candidate"])
            case "clock":
                used = resource.getrusage(resource.RUSAGE_SELF)
                clock = {"cpu_s": time.process_time(), "at_s": time.monotonic()}
                clock |= {"system_s": used.ru_stime, "wakes": used.ru_nvcsw, **made}
                print(json.dumps(clock), flush=True)
            case "profile":
                sampler.start()
            case "profiled":
                print(json.dumps({"profile": sampler.stop()}), flush=True)
    filming.cancel()
    await sender.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], pickle.loads(Path(sys.argv[2]).read_bytes())))
