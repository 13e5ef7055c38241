"""RTP for one viewer (RFC 3550): header, extensions, SRTP, history and retransmission (RFC 4588).

Knows no socket and no clock: packets leave through a callable, time is an argument.
"""

import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.model.media import RtpFrame
from agent.rtc.answer import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC, Video
from agent.rtc.rtcp import encode_sender_report

Send = Callable[[bytes], None]

HISTORY_PACKETS = 1024
"""2.5 s at 4 Mb/s: more than a retransmission can still be useful for."""
RTX_MIN_INTERVAL_NS = 100_000_000
"""One resend of a sequence number in this time or a round trip, whichever is longer."""
RTX_SHARE = 0.25
"""Retransmissions may take this share of the media rate: without a bound they feed congestion."""
RTX_BURST_BYTES = 64 * 1024
"""Unused share that may pile up, so that a burst of losses can be repaired at once."""

_ONE_BYTE_PROFILE = 0xBEDE  # RFC 8285 section 4.2
_EXTENSION_BIT = 0x90  # version 2, extension present


@dataclass(slots=True)
class _Sent:
    seq: int
    rtp_time: int
    is_last: bool
    payload: bytes
    is_keyframe: bool
    resent_ns: int = 0


@dataclass(slots=True)
class Counters:
    """Totals since the session began."""

    frames: int = 0
    packets: int = 0
    payload_bytes: int = 0
    resent_packets: int = 0
    refused_resends: int = 0


class RtpSender:
    """Turns frames into this viewer's packets."""

    def __init__(self, video: Video, protect: Callable[[bytes], bytes]) -> None:
        self.ssrc = secrets.randbits(32)
        self.rtx_ssrc = (self.ssrc + 1 + secrets.randbits(31)) & 0xFFFFFFFF
        self.cname = secrets.token_hex(8)
        self.counters = Counters()
        self._video = video
        self._protect = protect
        # RFC 3550 section 5.1: random; in the lower half, so that SRTP's rollover counter starts unambiguous.
        self._seq = secrets.randbelow(1 << 15)
        self._rtx_seq = secrets.randbelow(1 << 15)
        self._rtp_offset = secrets.randbits(32)
        self._transport_seq = 0
        self._last_rtp_time = 0
        self._last_sent_ns = 0
        self._rtx_budget_bytes = float(RTX_BURST_BYTES)
        self._history: list[_Sent | None] = [None] * HISTORY_PACKETS

    def send(self, frame: RtpFrame, start: int, stop: int, send: Send, now_ns: int) -> None:
        """Send `frame.payloads[start:stop]`; the last payload of the frame carries the marker."""
        rtp_time = frame.rtp_time + self._rtp_offset & 0xFFFFFFFF
        final = len(frame.payloads) - 1
        for index in range(start, min(stop, final + 1)):
            payload = frame.payloads[index]
            sent = _Sent(self._seq, rtp_time, index == final, payload, frame.is_keyframe)
            self._history[self._seq % HISTORY_PACKETS] = sent
            self._seq = self._seq + 1 & 0xFFFF
            self._emit(sent, self.ssrc, self._video.payload_type, sent.seq, payload, send, now_ns)
            self.counters.payload_bytes += len(payload)
            self._rtx_budget_bytes = min(RTX_BURST_BYTES, self._rtx_budget_bytes + len(payload) * RTX_SHARE)
        self._last_rtp_time, self._last_sent_ns = rtp_time, now_ns
        if stop > final:
            self.counters.frames += 1

    def resend(self, seqs: Sequence[int], round_trip_s: float, send: Send, now_ns: int) -> None:
        """Answer a NACK: each sequence number at most once a round trip, all within the budget."""
        if self._video.rtx_payload_type is None:
            return
        wait_ns = max(RTX_MIN_INTERVAL_NS, int(round_trip_s * 1e9))
        for seq in seqs:
            sent = self._history[seq % HISTORY_PACKETS]
            if sent is None or sent.seq != seq:
                continue
            if (sent.resent_ns and now_ns - sent.resent_ns < wait_ns) or self._rtx_budget_bytes < len(
                sent.payload
            ):
                self.counters.refused_resends += 1
                continue
            sent.resent_ns = now_ns
            self._rtx_budget_bytes -= len(sent.payload)
            payload = struct.pack("!H", seq) + sent.payload  # original sequence number (RFC 4588 section 4)
            self._emit(
                sent, self.rtx_ssrc, self._video.rtx_payload_type, self._rtx_seq, payload, send, now_ns
            )
            self._rtx_seq = self._rtx_seq + 1 & 0xFFFF
            self.counters.resent_packets += 1

    def sender_report(self, now_ns: int, unix_ns: int) -> bytes | None:
        """SR and SDES for now; None before the first packet."""
        if not self.counters.packets:
            return None
        since_last = (now_ns - self._last_sent_ns) * 9 // 100_000  # 90 kHz ticks
        return encode_sender_report(
            self.ssrc,
            unix_ns,
            self._last_rtp_time + since_last,
            self.counters.packets,
            self.counters.payload_bytes,
            self.cname,
        )

    def _emit(
        self, sent: _Sent, ssrc: int, payload_type: int, seq: int, payload: bytes, send: Send, now_ns: int
    ) -> None:
        extension = self._extension(now_ns, whole=sent.is_keyframe)
        header = struct.pack(
            "!BBHIIHH",
            _EXTENSION_BIT, payload_type | (0x80 if sent.is_last else 0), seq, sent.rtp_time, ssrc,
            _ONE_BYTE_PROFILE, len(extension) // 4,
        )  # fmt: skip
        send(self._protect(header + extension + payload))
        self.counters.packets += 1

    def _extension(self, now_ns: int, *, whole: bool) -> bytes:
        """Header extension elements (RFC 8285); the constant ones travel with keyframes only."""
        ids = self._video.extensions
        parts: list[bytes] = []
        if number := ids.get(ABS_SEND_TIME):
            # 24 bits of seconds in 6.18 fixed point. Only differences count, so the monotonic clock serves,
            # and a step of the wall clock cannot disturb the viewer's estimate.
            fixed = (now_ns << 18) // 1_000_000_000 & 0xFFFFFF
            parts += (bytes((number << 4 | 2,)), fixed.to_bytes(3, "big"))
        if number := ids.get(TRANSPORT_CC):
            self._transport_seq = self._transport_seq + 1 & 0xFFFF
            parts += (bytes((number << 4 | 1,)), self._transport_seq.to_bytes(2, "big"))
        if whole:
            if number := ids.get(PLAYOUT_DELAY):  # 0 to 0: show each frame when it is decoded
                parts.append(bytes((number << 4 | 2, 0, 0, 0)))
            if number := ids.get(MID):
                mid = self._video.mid.encode()
                parts.append(bytes((number << 4 | len(mid) - 1,)) + mid)
        joined = b"".join(parts)
        return joined + bytes(-len(joined) % 4)
