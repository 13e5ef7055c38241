"""Viewers that take the packets and look at none: stock aiortc connections that answer as Chromium does.

A receiver report each second; transport-wide feedback every 62 ms where it is negotiated, else REMB every
230 ms. No picture is decoded.
"""

import asyncio
import contextlib
import re
import secrets
import struct
import time

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from agent.rtc.codecs import TRANSPORT_CC

REPORT_S, REMB_S, RECEIVER_REPORT_S = 0.062, 0.23, 1.0
EXTENSION_ID = 13


def _transport_seq(packet):
    """The transport-wide number, from one-byte header extensions (RFC 8285 section 4.2)."""
    at, end = 16, 16 + 4 * int.from_bytes(packet[14:16], "big")
    while at < end:
        number, length = packet[at] >> 4, (packet[at] & 15) + 1
        if number == EXTENSION_ID:
            return int.from_bytes(packet[at + 1 : at + 3], "big")
        at += 1 + length if number else 1
    return None


class Receiver:
    """One viewer."""

    def __init__(self):
        self.session = secrets.token_hex(16)
        self.packets = 0
        self.bytes = 0
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTransceiver("video", direction="recvonly")
        self._arrivals = {}
        self._base = None
        self._count = 0
        self._tasks = []
        self._ssrc = 0

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
        own = (REPORT_S, self._feedback) if TRANSPORT_CC in sdp else (REMB_S, self._remb)
        for interval_s, make in (own, (RECEIVER_REPORT_S, self._receiver_report)):
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
        (self._ssrc,) = struct.unpack_from("!I", data, 8)
        seq = _transport_seq(data) if data[0] & 0x10 else None
        if seq is not None:
            self._arrivals[seq] = time.monotonic_ns() // 1000

    async def _report(self, transport, interval_s, make):
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(interval_s)
                if report := make():
                    await transport._send_rtp(report)

    def _receiver_report(self):
        return struct.pack("!BBHI6I", 0x81, 201, 7, 1, self._ssrc, 0, 0, 0, 0, 0)

    def _remb(self):
        exponent, mantissa = 8, 20_000_000 >> 8
        bps = struct.pack("!BBH", 1, exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
        return struct.pack("!BBHII4s", 0x8F, 206, 5, 1, 0, b"REMB") + bps + struct.pack("!I", self._ssrc)

    def _feedback(self):
        arrivals, self._arrivals = self._arrivals, {}
        if not arrivals:
            return None
        first, last = next(iter(arrivals)), next(reversed(arrivals))
        base = first if self._base is None else self._base
        self._base = last + 1 & 0xFFFF
        seqs = [base + i & 0xFFFF for i in range((last - base & 0xFFFF) + 1)]
        reference = arrivals[first] // 64_000
        symbols, deltas, before_us = [], b"", reference * 64_000
        for seq in seqs:
            at_us = arrivals.get(seq)
            if at_us is None:
                symbols.append(0)
                continue
            delta = (at_us - before_us) // 250
            before_us += delta * 250
            symbols.append(1 if 0 <= delta < 256 else 2)
            deltas += struct.pack("!B" if symbols[-1] == 1 else "!h", delta)
        chunks = b""
        for start in range(0, len(symbols), 7):
            word = 0xC000
            for place, symbol in enumerate(symbols[start : start + 7]):
                word |= symbol << (12 - 2 * place)
            chunks += struct.pack("!H", word)
        body = struct.pack(
            "!IIHHI", 1, self._ssrc, base, len(seqs), (reference & 0xFFFFFF) << 8 | self._count
        )
        self._count = self._count + 1 & 0xFF
        body += chunks + deltas
        body += bytes(-len(body) % 4)
        return struct.pack("!BBH", 0x8F, 205, len(body) // 4) + body
