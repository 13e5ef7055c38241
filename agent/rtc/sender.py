"""RTP for one viewer (RFC 3550): header, extensions, SRTP, history and retransmission (RFC 4588).

Knows no socket and no clock: packets leave through a callable, time is an argument. When each one leaves is
the lane's business.
"""

import secrets
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.model.media import RtpFrame
from agent.rtc import flexfec
from agent.rtc.answer import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC, Video
from agent.rtc.rtcp import encode_sender_report

Send = Callable[[bytes], None]

HISTORY_PACKETS = 1024
"""2.5 s at 4 Mb/s: more than a retransmission can still be useful for."""
RTX_MIN_INTERVAL_NS = 100_000_000
"""One resend of a sequence number in this time or a round trip, whichever is longer."""
IP_UDP_BYTES = 28
"""Headers that count on the link but are not ours to write (IPv4)."""

_ONE_BYTE_PROFILE = 0xBEDE  # RFC 8285 section 4.2
_FIXED_BYTES = 16  # RTP header, and the four bytes that begin an extension
_EXTENSION_BIT = 0x90  # version 2, extension present


@dataclass(frozen=True, slots=True)
class Packet:
    """What left."""

    transport_seq: int | None
    """Transport-wide number modulo 2**16; None for a viewer without transport-wide feedback."""
    size_bytes: int
    """With IP and UDP headers."""


@dataclass(slots=True)
class _Sent:
    seq: int
    rtp_time: int
    is_last: bool
    payload: bytes
    is_keyframe: bool
    is_first: bool
    asked_ns: int = 0


@dataclass(slots=True)
class Counters:
    """Totals since the session began."""

    frames: int = 0
    packets: int = 0
    payload_bytes: int = 0
    sent_bytes: int = 0
    """All of it, with retransmissions, IP and UDP headers."""
    resent_packets: int = 0
    repair_packets: int = 0


class RtpSender:
    """Turns frames into this viewer's packets."""

    def __init__(self, video: Video, protect: Callable[[bytes], bytes]) -> None:
        self.ssrc = secrets.randbits(32)
        self.rtx_ssrc = (self.ssrc + 1 + secrets.randbits(31)) & 0xFFFFFFFF
        self.fec_ssrc = (self.rtx_ssrc + 1 + secrets.randbits(30)) & 0xFFFFFFFF
        self.cname = secrets.token_hex(8)
        self.counters = Counters()
        self.playout_ms = 0
        """How long the viewer is asked to hold each picture back."""
        self._video = video
        self._protect = protect
        # RFC 3550 section 5.1: random; in the lower half, so that SRTP's rollover counter starts unambiguous.
        self._seq = secrets.randbelow(1 << 15)
        self._rtx_seq = secrets.randbelow(1 << 15)
        self._fec_seq = secrets.randbelow(1 << 15)
        self._recent: deque[bytes] = deque(maxlen=flexfec.MAX_SPAN)  # media as parity sees it
        self._rtp_offset = secrets.randbits(32)
        self._transport_seq = 0
        self._last_rtp_time = 0
        self._last_sent_ns = 0
        ids = video.extensions
        self._abs_send_time, self._transport_cc = ids.get(ABS_SEND_TIME, 0), ids.get(TRANSPORT_CC, 0)
        self._heads: dict[int, struct.Struct] = {}
        self._history: list[_Sent | None] = [None] * HISTORY_PACKETS

    def send(self, frame: RtpFrame, index: int, send: Send, now_ns: int) -> Packet:
        """Send one payload of a frame; its last one carries the marker."""
        payload, final = frame.payloads[index], len(frame.payloads) - 1
        rtp_time = frame.rtp_time + self._rtp_offset & 0xFFFFFFFF
        sent = _Sent(self._seq, rtp_time, index == final, payload, frame.is_keyframe, is_first=index == 0)
        self._history[self._seq % HISTORY_PACKETS] = sent
        self._seq = self._seq + 1 & 0xFFFF
        self._last_rtp_time, self._last_sent_ns = rtp_time, now_ns
        self.counters.payload_bytes += len(payload)
        self.counters.frames += index == final
        return self._emit(sent, self.ssrc, self._video.payload_type, sent.seq, payload, send, now_ns)

    def wanted_bytes(self, seq: int, round_trip_s: float, now_ns: int) -> int | None:
        """The size of a packet that a NACK asks for, where it is worth a resend: once a round trip."""
        sent = self._history[seq % HISTORY_PACKETS]
        if sent is None or sent.seq != seq or self._video.rtx_payload_type is None:
            return None
        wait_ns = max(RTX_MIN_INTERVAL_NS, int(round_trip_s * 1e9))
        if sent.asked_ns and now_ns - sent.asked_ns < wait_ns:
            return None
        sent.asked_ns = now_ns
        return len(sent.payload)

    def resend(self, seq: int, send: Send, now_ns: int) -> Packet | None:
        """Send a packet again; None where it is too old."""
        sent = self._history[seq % HISTORY_PACKETS]
        if sent is None or sent.seq != seq or self._video.rtx_payload_type is None:
            return None
        self.counters.resent_packets += 1
        payload = struct.pack("!H", seq) + sent.payload  # original sequence number (RFC 4588 section 4)
        rtx_seq, self._rtx_seq = self._rtx_seq, self._rtx_seq + 1 & 0xFFFF
        return self._emit(sent, self.rtx_ssrc, self._video.rtx_payload_type, rtx_seq, payload, send, now_ns)

    @property
    def takes_repairs(self) -> bool:
        """Whether the viewer takes forward error correction."""
        return self._video.fec_payload_type is not None

    def repair(self, count: int, part: int, parts: int, send: Send, now_ns: int) -> Packet | None:
        """Send parity over the last `count` packets of media: number `part` of `parts`."""
        packets = list(self._recent)[-count:]
        if self._video.fec_payload_type is None or part >= len(packets):
            return None
        payload = flexfec.encode(packets, self._seq - len(packets) & 0xFFFF, self.ssrc, part, parts)
        fec_seq, self._fec_seq = self._fec_seq, self._fec_seq + 1 & 0xFFFF
        sent = _Sent(fec_seq, self._last_rtp_time, False, payload, False, is_first=False)
        self.counters.repair_packets += 1
        return self._emit(sent, self.fec_ssrc, self._video.fec_payload_type, fec_seq, payload, send, now_ns)

    def pad(self, send: Send, now_ns: int) -> Packet | None:
        """Send a large one of the newest packets again; a receiver drops the copy."""
        newest = (self._history[self._seq - back & 0xFFFF & HISTORY_PACKETS - 1] for back in range(1, 17))
        largest = max((sent for sent in newest if sent), key=lambda sent: len(sent.payload), default=None)
        return self.resend(largest.seq, send, now_ns) if largest else None

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
    ) -> Packet:
        tail = self._rare_elements(whole=sent.is_keyframe) if sent.is_keyframe or sent.is_first else b""
        head = self._heads.get(len(tail)) or self._head_of(len(tail))
        values: list[int] = []
        if self._abs_send_time:
            # 24 bits of seconds in 6.18 fixed point. Only differences count, so the monotonic clock serves,
            # and a step of the wall clock cannot disturb the viewer's estimate.
            values.append(self._abs_send_time << 28 | 2 << 24 | (now_ns << 18) // 1_000_000_000 & 0xFFFFFF)
        counted = None
        if self._transport_cc:
            counted = self._transport_seq = self._transport_seq + 1 & 0xFFFF
            values += (self._transport_cc << 4 | 1, counted)
        header = head.pack(
            _EXTENSION_BIT, payload_type | (0x80 if sent.is_last else 0), seq, sent.rtp_time, ssrc,
            _ONE_BYTE_PROFILE, (head.size - _FIXED_BYTES) // 4, *values, tail,
        )  # fmt: skip
        plain = header + payload
        if self.takes_repairs and ssrc == self.ssrc:
            self._recent.append(plain)
        packet = self._protect(plain)
        send(packet)
        size_bytes = len(packet) + IP_UDP_BYTES
        self.counters.packets += 1
        self.counters.sent_bytes += size_bytes
        return Packet(counted, size_bytes)

    def _head_of(self, tail_bytes: int) -> struct.Struct:
        """RTP header and its extension (RFC 8285), padded to whole words."""
        elements = "I" * bool(self._abs_send_time) + "BH" * bool(self._transport_cc) + f"{tail_bytes}s"
        head = struct.Struct(f"!BBHIIHH{elements}{-struct.calcsize('!' + elements) % 4}x")
        self._heads[tail_bytes] = head
        return head

    def _rare_elements(self, *, whole: bool) -> bytes:
        """What changes seldom travels seldom."""
        ids, parts = self._video.extensions, b""
        if number := ids.get(PLAYOUT_DELAY):
            # Least and most, 12 bits each, in 10 ms; 0 to 0: show each frame when it is decoded.
            delay = self.playout_ms // 10
            parts += bytes((number << 4 | 2,)) + (delay << 12 | delay).to_bytes(3, "big")
        if whole and (number := ids.get(MID)):
            mid = self._video.mid.encode()
            parts += bytes((number << 4 | len(mid) - 1,)) + mid
        return parts
