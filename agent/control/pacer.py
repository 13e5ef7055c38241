"""When each packet leaves to one viewer. Sans-IO: push frames, `take` what may leave, come back at `next_ns`.

Retransmissions go first, within a budget; then media, in order; padding only fills a probe. What would come
too late is dropped as whole frames up to the next keyframe, because all of them need what was dropped.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.control.probe import Probe
from agent.model.media import RtpFrame
from agent.model.pacing import Departure, Media, Padding, Repair, Resend

BURST_NS = 4_000_000
"""Packets leave in bursts of this: timers of an event loop are no finer, and Wi-Fi sends bursts anyway."""
FINE_BURST_NS = 1_000_000
"""The same on a path that marks, whose queue tells of a millisecond; timers do not tell of less. Up to 9 Mb/s
that is one packet."""
LONG_BURST_NS, LONG_BURST_BYTES = 40_000_000, 32_000
"""The same on a path that takes more at once: a picture leaves in one system call, and the loop sleeps until
the next one. libwebrtc's pacer bursts for as long, and for twice as much."""
MAX_QUEUE_MS = 250
"""Frames without keyframes, at the target: what waits longer is late for a live picture."""
MAX_AGE_NS = 1_500_000_000
"""Whatever stands in front: a keyframe that took this long has been overtaken by events."""
MAX_BLOCKED_QUEUE_MS, MAX_BLOCKED_AGE_NS = 160, 600_000_000
"""The same while nothing may leave: where pictures are held before the encoder (`hold.py`) one or two wait,
and to go on with them is quicker than a keyframe, which is five times as large."""
MAX_LATE_NS = 40_000_000
"""A busy machine calls late by so much at most: what it owes then leaves at once, and waits for no queue."""
PACKET_OVERHEAD_BYTES = 50
"""RTP header with extensions and SRTP tag; for sums, as each packet's real size is known once it is built."""
PADDING_BYTES = 1200
RESEND_SHARE, MAX_RESEND_SHARE = 0.25, 0.6
"""Of the target: without a bound, retransmissions feed the congestion that lost the packets."""
RESENDS = 3
"""Of each packet that is usually lost, within that bound: two copies, and again where both are lost. What is
refused costs a keyframe, and all pictures until it comes."""
RESEND_BURST_MS = 1000
"""Unused budget piles up for this long, so that a burst of losses is repaired at once."""
RESEND_HALF_LIFE_NS = 1_000_000_000
"""Of what piled up at a higher target."""
RESEND_MAX_AGE_NS = 400_000_000
MAX_RESENDS = 256
MIN_GROUP, MAX_GROUP, MAX_GROUP_FRAMES = 4, 96, 3
"""Packets that share parity: at least a picture's; of small pictures several, as long as that saves time."""
PARITY_BYTES = 34
"""Of a repair packet, beyond the largest that it protects: its header and mask, and that one's RTP header."""
MIN_RESEND_BURST_BYTES = 6000


@dataclass(slots=True)
class _Queued:
    frame: RtpFrame
    at_ns: int
    next_index: int = 0


class Pacer:
    """One a viewer."""

    def __init__(self, repairs: Callable[[int], int] = lambda _: 0) -> None:
        """`repairs` says how many packets of parity a group of so many is worth."""
        self._count_repairs = repairs
        self._repairs: deque[tuple[int, int, int, int]] = deque()  # count, part, parts, size
        self._group_packets = self._group_frames = self._group_bytes = self._group_largest = 0
        self.repair_share = 0.0
        """Of late, parity's bytes for each byte of media."""
        self.dropped_frames = 0
        self._frames: deque[_Queued] = deque()
        self._resends: deque[tuple[int, int, int]] = deque()  # seq, size, since
        self._resending: set[int] = set()
        self._queued_bytes = 0
        self._resend_bytes = float(MIN_RESEND_BURST_BYTES)
        self._needs_keyframe = True
        self._is_blocked = self._is_out = False
        self._probe: Probe | None = None
        self._probe_left_bytes = 0
        self._slack_bytes = 0
        self._free_ns = self._take_ns = 0
        self._planned_ns: int | None = None
        self._target_bps = 0
        self._resend_share = RESEND_SHARE
        self._pacing_bps = 1
        self._burst_ns = self._short_ns = BURST_NS
        self._most_late_ns = MAX_LATE_NS
        self._budget_ns: int | None = None

    @property
    def queue_ms(self) -> int:
        """What waits, at the target."""
        return self._queued_bytes * 8000 // self._target_bps if self._target_bps else 0

    @property
    def wants_keyframe(self) -> bool:
        """The picture cannot go on without one, and the link would take it."""
        return self._needs_keyframe and not self._is_blocked

    @property
    def overdue_ns(self) -> int | None:
        """From when on the picture that is next to leave waits; a keyframe takes its time at our own pace."""
        if not self._frames:
            return None
        head = self._frames[0]
        is_paced = head.frame.is_keyframe and not self._is_blocked
        return head.at_ns + (_size(head.frame) * 8_000_000_000 // self._pacing_bps if is_paced else 0)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is to leave that has not left."""
        return bool(self._frames or self._resends or self._repairs or self._probe)

    def set_rate(
        self,
        target_bps: int,
        pacing_bps: int,
        now_ns: int,
        *,
        in_bursts: bool = False,
        is_fine: bool = False,
        usual_loss: float = 0.0,
    ) -> None:
        """Follow the estimate; `in_bursts` says that the path takes a picture at once.

        `is_fine` says that it marks, and packets leave one by one; `usual_loss` is the share of packets that
        the link loses by itself.
        """
        self._refill(now_ns)
        self._resend_share = min(MAX_RESEND_SHARE, max(RESEND_SHARE, RESENDS * usual_loss))
        self._target_bps, self._pacing_bps = target_bps, max(1, pacing_bps)
        longest_ns = min(LONG_BURST_NS, LONG_BURST_BYTES * 8_000_000_000 // self._pacing_bps)
        # What is owed would leave in a row, be marked, and cost more than it brought.
        self._short_ns, self._most_late_ns = (FINE_BURST_NS, 0) if is_fine else (BURST_NS, MAX_LATE_NS)
        self._burst_ns = max(BURST_NS, longest_ns) if in_bursts else self._short_ns

    def probe(self, probe: Probe) -> None:
        """Send a train, of what waits and padding."""
        self._probe, self._probe_left_bytes = probe, probe.size_bytes

    def push(self, frame: RtpFrame, now_ns: int) -> None:
        """Queue a frame by reference, or drop it where the picture has a hole before it."""
        self._drop_late(now_ns)
        if self._needs_keyframe:
            if not frame.is_keyframe:
                self.dropped_frames += 1
                return
            self._needs_keyframe = False
        self._frames.append(_Queued(frame, now_ns))
        self._queued_bytes += _size(frame)
        if frame.is_keyframe:  # it may take its time, and so may what piles up behind it meanwhile
            self._slack_bytes = _size(frame)

    def resend(self, seq: int, size_bytes: int, now_ns: int, copies: int = 1) -> bool:
        """Queue a retransmission of a packet of this size; False where there is no budget for more.

        Where the link loses a few percent, a second copy costs as much again and spares the round trip
        that a lost retransmission takes, which is what freezes a picture.
        """
        if seq in self._resending:
            return True
        self._refill(now_ns)
        for _ in range(copies):
            if len(self._resends) >= MAX_RESENDS or self._resend_bytes < size_bytes:
                return False
            self._resend_bytes -= size_bytes
            self._resends.append((seq, size_bytes, now_ns))
            self._resending.add(seq)
        return True

    def take(self, now_ns: int, allowance_bytes: int, *, is_out: bool = False) -> list[Departure]:
        """What leaves now; `allowance_bytes` bounds all but probes.

        `is_out`: the path was until now. What the viewer asks for leaves: it has heard of what came after.
        """
        self._is_blocked, self._is_out = allowance_bytes <= 0, is_out
        self._drop_late(now_ns)
        departures: list[Departure] = []
        late_ns = (
            0 if self._planned_ns is None else min(self._most_late_ns, max(0, now_ns - self._planned_ns))
        )
        credit_ns = late_ns + (self._burst_ns if self._probe is None else self._short_ns)
        self._free_ns = max(self._free_ns, now_ns - credit_ns)
        while self._free_ns <= now_ns:
            rate_bps = self._probe.rate_bps if self._probe else self._pacing_bps
            due_bytes = (now_ns - self._free_ns) * rate_bps // 8_000_000_000 + 1
            chosen = self._next(allowance_bytes, due_bytes)
            if chosen is None:
                break
            departure, size_bytes = chosen
            departures.append(departure)
            allowance_bytes -= size_bytes
            self._free_ns += size_bytes * 8_000_000_000 // rate_bps
            self._count_probe(size_bytes)
        self._is_blocked = allowance_bytes <= 0
        self._take_ns = now_ns
        self._planned_ns = self.next_ns()
        return departures

    def next_ns(self) -> int | None:
        """When to call `take` next; None while nothing waits, or the allowance blocks all that waits."""
        has_media = bool(self._frames or self._resends or self._repairs) and not self._is_blocked
        if not has_media and self._probe is None and not (self._resends and self._is_out):
            return None
        is_urgent = self._probe is not None or bool(self._resends)
        return max(self._free_ns, self._take_ns + (self._short_ns if is_urgent else self._burst_ns))

    def _next(self, allowance_bytes: int, due_bytes: int) -> tuple[Departure, int] | None:
        probe = self._probe.id if self._probe else None
        if self._probe:  # it leaves in any case: rather what waits than padding
            allowance_bytes = max(allowance_bytes, self._probe_left_bytes)
        if self._resends and (allowance_bytes > 0 or self._is_out):
            seq, size_bytes = self._next_resend()
            return Resend(seq, probe), size_bytes
        if allowance_bytes > 0 and self._repairs:
            count, part, parts, size_bytes = self._repairs.popleft()
            return Repair(count, part, parts, probe), size_bytes
        if allowance_bytes > 0 and self._frames:
            return self._next_media(probe, min(allowance_bytes, due_bytes))
        if self._probe:
            size_bytes = min(PADDING_BYTES, max(1, self._probe_left_bytes))
            return Padding(size_bytes, probe), size_bytes
        return None

    def _next_resend(self) -> tuple[int, int]:
        """Its number and size, taken off the queue."""
        seq, size_bytes, _ = self._resends.popleft()
        if not self._resends or self._resends[0][0] != seq:  # else a second copy follows
            self._resending.discard(seq)
        return seq, size_bytes

    def _next_media(self, probe: int | None, limit_bytes: int) -> tuple[Media, int]:
        """A run of packets of the oldest frame: as long as there is a byte left of the limit."""
        if self._probe is not None:
            limit_bytes = min(limit_bytes, self._probe_left_bytes)
        head = self._frames[0]
        payloads = head.frame.payloads
        first = end = head.next_index
        size_bytes = 0
        for payload in payloads[first:]:
            if size_bytes >= limit_bytes and end > first:
                break
            size_bytes += len(payload) + PACKET_OVERHEAD_BYTES
            end += 1
        departure = Media(head.frame, first, end - first, probe)
        head.next_index = end
        self._queued_bytes -= size_bytes
        self._group_packets += end - first
        self._group_bytes += size_bytes
        largest = max(map(len, payloads[first:end])) + PACKET_OVERHEAD_BYTES
        self._group_largest = max(self._group_largest, largest)
        if end == len(payloads):
            self._frames.popleft()
            self._group_frames += 1
            self._protect()
            if not self._frames:
                self._slack_bytes = 0
        return departure, size_bytes

    def _protect(self) -> None:
        """Follow a picture, or a few small ones, with the parity that they are worth."""
        count = min(MAX_GROUP, self._group_packets)
        parts = self._count_repairs(count)
        if parts and count < MIN_GROUP and self._group_frames < MAX_GROUP_FRAMES:
            return
        size_bytes = self._group_largest + PARITY_BYTES
        self._repairs.extend((count, part, parts, size_bytes) for part in range(parts))
        self.repair_share += (parts * size_bytes / self._group_bytes - self.repair_share) / 16
        self._group_packets = self._group_frames = self._group_bytes = self._group_largest = 0

    def _count_probe(self, size_bytes: int) -> None:
        if self._probe is not None:
            self._probe_left_bytes -= size_bytes
            if self._probe_left_bytes <= 0:
                self._probe = None

    def _drop_late(self, now_ns: int) -> None:
        while self._resends and now_ns - self._resends[0][2] > RESEND_MAX_AGE_NS:
            self._resend_bytes += self._next_resend()[1]  # it was not spent
        if self._frames and self._is_late(now_ns):
            self.dropped_frames += len(self._frames)
            self._frames.clear()
            self._repairs.clear()
            self._queued_bytes = self._slack_bytes = 0
            self._needs_keyframe = True

    def _is_late(self, now_ns: int) -> bool:
        age_ns = now_ns - self._frames[0].at_ns
        if self._is_blocked:
            is_much = self.queue_ms > MAX_BLOCKED_QUEUE_MS and age_ns > MAX_QUEUE_MS * 1_000_000
            return is_much or age_ns > MAX_BLOCKED_AGE_NS
        limit_bytes = MAX_QUEUE_MS * self._target_bps // 8000 + self._slack_bytes
        return age_ns > MAX_AGE_NS or self._queued_bytes > limit_bytes

    def _refill(self, now_ns: int) -> None:
        elapsed_ns = 0 if self._budget_ns is None else now_ns - self._budget_ns
        self._budget_ns = now_ns
        share_bps = self._resend_share * self._target_bps
        limit_bytes = max(MIN_RESEND_BURST_BYTES, share_bps * RESEND_BURST_MS / 8000)
        if self._resend_bytes > limit_bytes:  # the target has fallen: what was lost before is still asked for
            kept_bytes = self._resend_bytes * 0.5 ** (elapsed_ns / RESEND_HALF_LIFE_NS)
            self._resend_bytes = max(limit_bytes, kept_bytes)
        else:
            self._resend_bytes = min(limit_bytes, self._resend_bytes + share_bps * elapsed_ns / 8e9)


def _size(frame: RtpFrame) -> int:
    return frame.size_bytes + PACKET_OVERHEAD_BYTES * len(frame.payloads)
