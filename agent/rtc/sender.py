"""RTP of one medium to one viewer (RFC 3550): header, extensions, SRTP, history, retransmission (RFC 4588).

Knows no socket and no clock: packets leave through a callable, time is an argument. When each one leaves is
the lane's business. Packets leave in runs, and what they share is worked out once a run.
"""

import secrets
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Protocol

from agent.model.media import RtpFrame
from agent.rtc import flexfec
from agent.rtc.codecs import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC, RtpMedia
from agent.rtc.rtcp import encode_sender_report

Send = Callable[[Iterable[bytes]], None]
"""Takes packets of one run, in order."""

HISTORY_PACKETS = 1024
"""2.5 s at 4 Mb/s: more than a retransmission can still be useful for."""
RTX_MIN_INTERVAL_NS, RTX_ROUND_TRIPS = 50_000_000, 0.75
"""One resend of a sequence number in this time, or this share of a round trip where that is longer: a viewer
asks again a whole one after it has asked, but what it asked for may have left later."""
TOLD_PICTURES = 60
"""A playout delay goes with the first packet of so many pictures, and with each keyframe: a viewer keeps what
it was told, and a first packet that is longer than the rest costs a system call of its own (`burst.py`)."""
IP_UDP_BYTES = 28
"""Headers that count on the link but are not ours to write (IPv4)."""

_ONE_BYTE_PROFILE = 0xBEDE << 16  # RFC 8285 section 4.2
_FIRST = 0x90 << 8  # version 2, extension present
_MARKER = 0x80
_PADDED = 0x20 << 8
_PADDING = bytes(254) + b"\xff"
"""As much as a packet can have: its last byte counts it (RFC 3550 section 5.1)."""
_FIXED = struct.Struct("!HHIIIBH")
"""RTP header, the four bytes that begin an extension, and the transport-wide number's element: that one is
first, because it alone differs within a run. Without it, its place is padding (RFC 8285 section 4.2)."""
_FIXED_BYTES = 16


class Protection(Protocol):
    """SRTP (RFC 3711), in place: each step of `written` writes the next packet at the start of `buffer`."""

    buffer: Any  # what `struct.pack_into` and slices write to; typing has no name for it before 3.12

    def seal(self, written: Iterable[int]) -> list[bytes]:
        """The packets, sealed; each step gives one's size. The headers stay in `buffer`."""


class Numbers(Protocol):
    """Transport-wide numbers of a session, of whichever medium."""

    def take(self, ssrc: int, seq: int, count: int, /) -> int:
        """The first of so many in a row, modulo 2**16, for a source's packets from this RTP number on."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What left at once."""

    transport_seq: int | None
    """Transport-wide number of the first packet modulo 2**16; None for a viewer without such feedback."""
    sizes_bytes: Sequence[int]
    """Of each packet, with IP and UDP headers."""


@dataclass(slots=True)
class _Plain:
    """Packets of one stream in a row, before SRTP."""

    seq: int
    rtp_time: int
    ssrc: int
    parts: Sequence[tuple[bytes, Sequence[bytes]]]
    """The payloads, after what follows the transport-wide number in the headers of them all."""
    kinds: Sequence[int]
    """Of each packet the second byte, and `_PADDED`."""
    transport_seq: int | None


@dataclass(slots=True)
class _Run:
    """Packets of one frame that left at once: all that a retransmission needs."""

    seq: int
    rtp_time: int
    frame: RtpFrame
    first: int
    count: int
    resent_ns: dict[int, int] = field(default_factory=dict)
    """When each payload, by its number in the frame, was last sent again."""


@dataclass(slots=True)
class Counters:
    """Totals since the session began."""

    frames: int = 0
    packets: int = 0
    payload_bytes: int = 0
    sent_bytes: int = 0
    """All of it, with retransmissions, IP and UDP headers."""
    resent_packets: int = 0


class RtpSender:
    """Turns frames into this viewer's packets."""

    def __init__(self, media: RtpMedia, protection: Protection, numbers: Numbers, cname: str) -> None:
        """`numbers` and `cname` are those of the session."""
        self.ssrc = secrets.randbits(32)
        self.rtx_ssrc = (self.ssrc + 1 + secrets.randbits(31)) & 0xFFFFFFFF
        self.fec_ssrc = (self.rtx_ssrc + 1 + secrets.randbits(30)) & 0xFFFFFFFF
        self.cname = cname
        self.counters = Counters()
        self.playout_ms = 0
        """How long the viewer is asked to hold each picture back."""
        self._told_ms, self._to_tell = 0, TOLD_PICTURES
        self._media = media
        self._numbers = numbers
        self._last_mark = _MARKER if media.medium == "video" else 0  # RFC 7587 section 4.1: silence has ended
        self._protection = protection
        # RFC 3550 section 5.1: random; in the lower half, so that SRTP's rollover counter starts unambiguous.
        self._seq = secrets.randbelow(1 << 15)
        self._rtx_seq = secrets.randbelow(1 << 15)
        self._fec_seq = secrets.randbelow(1 << 15)
        self._recent: deque[_Plain] = deque()  # media that parity may cover
        self._recent_packets = 0
        self._rtp_offset = secrets.randbits(32)
        self._last_rtp_time = 0
        self._last_sent_ns = 0
        ids = media.extensions
        self._abs_send_time, self._transport_cc = ids.get(ABS_SEND_TIME, 0), ids.get(TRANSPORT_CC, 0)
        self._is_numbered = bool(self._transport_cc) or media.has_ccfb
        self._history: list[_Run | None] = [None] * HISTORY_PACKETS

    def send(self, frame: RtpFrame, first: int, count: int, send: Send, now_ns: int) -> Sent:
        """Send `count` payloads of a frame from number `first` on; a picture's last one has the marker."""
        payloads = frame.payloads[first : first + count]
        is_end = first + count == len(frame.payloads)
        rtp_time = frame.rtp_time + self._rtp_offset & 0xFFFFFFFF
        seq = self._seq
        self._remember(_Run(seq, rtp_time, frame, first, count))
        self._seq = seq + count & 0xFFFF
        self._last_rtp_time, self._last_sent_ns = rtp_time, now_ns
        self.counters.payload_bytes += sum(map(len, payloads))
        self.counters.frames += is_end
        kind = self._media.payload_type
        kinds = [kind] * count
        if is_end:
            kinds[-1] |= self._last_mark
        tail = first_tail = self._tail(frame, 1, now_ns)
        if first == 0:
            # libwebrtc forgets the least delay with its timing: a keyframe that had it do so brings the rest.
            if self.playout_ms != self._told_ms or (frame.is_keyframe and self.playout_ms):
                self._told_ms, self._to_tell = self.playout_ms, TOLD_PICTURES
            if self._to_tell:
                self._to_tell -= 1
                first_tail = self._tail(frame, 0, now_ns)
        parts = [(tail, payloads)]
        if first_tail != tail:
            parts = [(first_tail, payloads[:1]), (tail, payloads[1:])]
        plain = _Plain(seq, rtp_time, self.ssrc, parts, kinds, self._number(self.ssrc, seq, count))
        if self.takes_repairs:
            self._keep(plain)
        return self._emit(plain, send)

    def wanted_bytes(self, seq: int, round_trip_s: float, now_ns: int) -> int | None:
        """The size of a packet that a NACK asks for, where the last resend may have been lost."""
        found = self._find(seq)
        if found is None or self._media.rtx_payload_type is None:
            return None
        run, index = found
        wait_ns = max(RTX_MIN_INTERVAL_NS, int(RTX_ROUND_TRIPS * round_trip_s * 1e9))
        if (resent_ns := run.resent_ns.get(index)) is not None and now_ns - resent_ns < wait_ns:
            return None
        return len(run.frame.payloads[index])

    def resend(self, seq: int, send: Send, now_ns: int) -> Sent | None:
        """Send a packet again; None where it is too old."""
        found = self._find(seq)
        if found is None or self._media.rtx_payload_type is None:
            return None
        run, index = found
        run.resent_ns[index] = now_ns
        self.counters.resent_packets += 1
        # The original sequence number leads (RFC 4588 section 4).
        payload = struct.pack("!H", seq) + run.frame.payloads[index]
        kind = self._media.rtx_payload_type
        if index == len(run.frame.payloads) - 1:
            kind |= _MARKER
        rtx_seq, self._rtx_seq = self._rtx_seq, self._rtx_seq + 1 & 0xFFFF
        parts = [(self._tail(run.frame, index, now_ns), (payload,))]
        number = self._number(self.rtx_ssrc, rtx_seq, 1)
        plain = _Plain(rtx_seq, run.rtp_time, self.rtx_ssrc, parts, (kind,), number)
        return self._emit(plain, send)

    @property
    def has_rtx(self) -> bool:
        """Whether the viewer takes retransmissions."""
        return self._media.rtx_payload_type is not None

    @property
    def takes_repairs(self) -> bool:
        """Whether the viewer takes forward error correction."""
        return self._media.fec_payload_type is not None

    def repair(self, count: int, part: int, parts: int, send: Send, now_ns: int) -> Sent | None:
        """Send parity over the last `count` packets of media: number `part` of `parts`."""
        packets = self._newest(count)
        if self._media.fec_payload_type is None or part >= len(packets):
            return None
        payload = flexfec.encode(packets, self._seq - len(packets) & 0xFFFF, self.ssrc, part, parts)
        fec_seq, self._fec_seq = self._fec_seq, self._fec_seq + 1 & 0xFFFF
        whole, kinds = [(self._constant(b"", now_ns), (payload,))], (self._media.fec_payload_type,)
        number = self._number(self.fec_ssrc, fec_seq, 1)
        plain = _Plain(fec_seq, self._last_rtp_time, self.fec_ssrc, whole, kinds, number)
        return self._emit(plain, send)

    def pad(self, send: Send, now_ns: int) -> Sent | None:
        """Send a large one of the newest packets again; a receiver drops the copy.

        Without RTX it is a packet of padding alone: SRTP takes no sequence number twice.
        """
        if self._media.rtx_payload_type is None:
            return self._pad_alone(send, now_ns)
        largest_bytes, largest = 0, None
        for back in range(1, 17):
            seq = self._seq - back & 0xFFFF
            if found := self._find(seq):
                size_bytes = len(found[0].frame.payloads[found[1]])
                if size_bytes > largest_bytes:
                    largest_bytes, largest = size_bytes, seq
        return None if largest is None else self.resend(largest, send, now_ns)

    def _pad_alone(self, send: Send, now_ns: int) -> Sent | None:
        if not self.counters.packets:
            return None
        seq, self._seq = self._seq, self._seq + 1 & 0xFFFF
        self._recent.clear()  # parity covers sequence numbers in a row
        self._recent_packets = 0
        parts, kinds = [(self._constant(b"", now_ns), (_PADDING,))], (self._media.payload_type | _PADDED,)
        number = self._number(self.ssrc, seq, 1)
        return self._emit(_Plain(seq, self._last_rtp_time, self.ssrc, parts, kinds, number), send)

    def sender_report(self, now_ns: int, unix_ns: int) -> bytes | None:
        """SR and SDES for now; None before the first packet."""
        if not self.counters.packets:
            return None
        since_last = (now_ns - self._last_sent_ns) * self._media.clock_hz // 1_000_000_000
        return encode_sender_report(
            self.ssrc,
            unix_ns,
            self._last_rtp_time + since_last,
            self.counters.packets,
            self.counters.payload_bytes,
            self.cname,
        )

    def _number(self, ssrc: int, seq: int, count: int) -> int | None:
        """The first of so many transport-wide numbers; None for a viewer without such feedback."""
        return self._numbers.take(ssrc, seq, count) if self._is_numbered else None

    def _emit(self, plain: _Plain, send: Send) -> Sent:
        packets = self._protection.seal(self._write(plain))
        send(packets)
        sizes = [len(packet) + IP_UDP_BYTES for packet in packets]
        self.counters.packets += len(sizes)
        self.counters.sent_bytes += sum(sizes)
        return Sent(plain.transport_seq, sizes)

    def _write(self, plain: _Plain) -> Iterator[int]:
        """Write one packet after the other where SRTP finds it; each one's size."""
        buffer, write = self._protection.buffer, _FIXED.pack_into
        rtp_time, ssrc = plain.rtp_time, plain.ssrc
        count, at = len(plain.kinds), plain.transport_seq
        is_told = at is not None and bool(self._transport_cc)  # else only we know the numbers
        element = self._transport_cc << 4 | 1 if is_told else 0
        places = iter(range(at, at + count)) if at is not None and is_told else repeat(0)
        fields = zip(plain.kinds, range(plain.seq, plain.seq + count), places, strict=False)
        for tail, payloads in plain.parts:
            head_bytes = _FIXED.size + len(tail)
            extension = _ONE_BYTE_PROFILE | (head_bytes - _FIXED_BYTES) // 4
            buffer[_FIXED.size : head_bytes] = tail  # SRTP leaves the header: it serves the whole part
            for payload, (kind, seq, at) in zip(payloads, fields, strict=False):
                write(buffer, 0, _FIRST | kind, seq & 0xFFFF, rtp_time, ssrc, extension, element, at & 0xFFFF)
                size = head_bytes + len(payload)
                buffer[head_bytes:size] = payload
                yield size

    def _keep(self, plain: _Plain) -> None:
        """For parity, until what left since is all that it can cover: a run may be a whole picture."""
        self._recent.append(plain)
        self._recent_packets += len(plain.kinds)
        while self._recent_packets - len(self._recent[0].kinds) >= flexfec.MAX_SPAN:
            self._recent_packets -= len(self._recent.popleft().kinds)

    def _newest(self, count: int) -> list[bytes]:
        """The last packets of media as they were before SRTP: written again, for few are ever asked for."""
        count = min(count, flexfec.MAX_SPAN)
        packets: list[bytes] = []
        for plain in reversed(self._recent):
            packets[:0] = [bytes(self._protection.buffer[:size]) for size in self._write(plain)]
            if len(packets) >= count:
                break
        return packets[-count:]

    def _remember(self, run: _Run) -> None:
        start = run.seq % HISTORY_PACKETS
        if (end := start + run.count) <= HISTORY_PACKETS:
            self._history[start:end] = [run] * run.count
            return
        for seq in range(start, end):
            self._history[seq % HISTORY_PACKETS] = run

    def _find(self, seq: int) -> tuple[_Run, int] | None:
        """The run that held this sequence number, and the payload's number in its frame."""
        run = self._history[seq % HISTORY_PACKETS]
        if run is None or (offset := seq - run.seq & 0xFFFF) >= run.count:
            return None
        return run, run.first + offset

    def _tail(self, frame: RtpFrame, index: int, now_ns: int) -> bytes:
        """What follows the transport-wide number in the header of this payload of a frame."""
        if index and not frame.is_keyframe:
            return self._constant(b"", now_ns)
        return self._constant(self._rare_elements(whole=frame.is_keyframe), now_ns)

    def _constant(self, elements: bytes, now_ns: int) -> bytes:
        """Elements that are the same in a whole run, padded to whole words."""
        if self._abs_send_time:
            # 24 bits of seconds in 6.18 fixed point. Only differences count, so the monotonic clock serves,
            # and a step of the wall clock cannot disturb the viewer's estimate.
            value = self._abs_send_time << 28 | 2 << 24 | (now_ns << 18) // 1_000_000_000 & 0xFFFFFF
            elements = value.to_bytes(4, "big") + elements
        return elements + bytes(-(len(elements) + _FIXED.size) % 4)

    def _rare_elements(self, *, whole: bool) -> bytes:
        """What changes seldom travels seldom."""
        ids, parts = self._media.extensions, b""
        if number := ids.get(PLAYOUT_DELAY):
            # Least and most, 12 bits each, in 10 ms; 0 to 0: show each frame when it is decoded.
            delay = self.playout_ms // 10
            parts += bytes((number << 4 | 2,)) + (delay << 12 | delay).to_bytes(3, "big")
        if whole and (number := ids.get(MID)):
            mid = self._media.mid.encode()
            parts += bytes((number << 4 | len(mid) - 1,)) + mid
        return parts
