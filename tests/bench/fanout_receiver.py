"""Viewers that take the packets and look at none: stock aiortc connections that answer as Chromium does.

A receiver report each second; transport-wide feedback every 62 ms where it is negotiated, else REMB every
230 ms. No picture is decoded.
"""

import asyncio
import contextlib
import re
import secrets
import time

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from bench.reports import Reports

from agent.rtc.codecs import TRANSPORT_CC

REPORT_S, REMB_S, RECEIVER_REPORT_S = 0.062, 0.23, 1.0
EXTENSION_ID = 13


class Receiver:
    """One viewer."""

    def __init__(self):
        self.session = secrets.token_hex(16)
        self.packets = 0
        self.bytes = 0
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTransceiver("video", direction="recvonly")
        self._reports = Reports(EXTENSION_ID)
        self._tasks = []

    async def offer(self):
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        wanted = [codec for codec in codecs if codec.mimeType in ("video/H264", "video/rtx")]
        self.pc.getTransceivers()[0].setCodecPreferences(wanted)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp = self.pc.localDescription.sdp
        extension = f"a=extmap:{EXTENSION_ID} {TRANSPORT_CC}\r\n"
        feedback = r"\1a=rtcp-fb:\2 transport-cc\r\n"
        sdp = sdp.replace("a=rtpmap", extension + "a=rtpmap", 1)
        return re.sub(r"(a=rtpmap:(\d+) H264/90000\r\n)", feedback, sdp)

    async def accept(self, sdp):
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        transport = self.pc.getTransceivers()[0].receiver.transport
        transport._handle_rtp_data = self._take
        while self.pc.connectionState != "connected":
            await asyncio.sleep(0.05)
        reports = self._reports
        own = (REPORT_S, reports.feedback) if TRANSPORT_CC in sdp else (REMB_S, reports.remb)
        for interval_s, make in (own, (RECEIVER_REPORT_S, reports.receiver_report)):
            self._tasks.append(asyncio.create_task(self._report(transport, interval_s, make)))

    async def add(self, line):
        if line and ".local" not in line:
            candidate = candidate_from_sdp(line.removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = "0", 0
            await self.pc.addIceCandidate(candidate)

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pc.close()

    async def _take(self, data, arrival_time_ms):  # noqa: ARG002  # aiortc's signature
        self.packets += 1
        self.bytes += len(data)
        self._reports.note(data, time.monotonic_ns() // 1000)

    async def _report(self, transport, interval_s, make):
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(interval_s)
                if report := make():
                    await transport._send_rtp(report)
