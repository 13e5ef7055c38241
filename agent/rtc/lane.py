"""What carries one viewer's packets: asks the control what leaves when, and tells it what the viewer says."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.model.media import RtpFrame
from agent.model.pacing import KEEPALIVE_ID, Departure, Media, Padding, Repair, Resend
from agent.rtc import ccfb, rtcp
from agent.rtc.alarm import Alarm
from agent.rtc.burst import SendBurst
from agent.rtc.ccfb import CongestionFeedback
from agent.rtc.ecn import Marking
from agent.rtc.give_way import Link
from agent.rtc.ledger import UNMARKED, Marks
from agent.rtc.sender import RtpSender, Send, Sent
from agent.rtc.twcc import ArrivalClock, TransportFeedback

STALLED_POLL_NS = 20_000_000
SOON_NS = 50_000_000
"""A picture follows the last one within this: from 20 a second on."""
MAX_SOUNDS = 10
"""Packets of sound, 20 ms each, that may wait while the path is stalled; then the oldest go."""


class Control(Protocol):
    """Congestion control for one viewer; times are `time.monotonic_ns()`."""

    @property
    def dropped_frames(self) -> int: ...
    @property
    def queue_ms(self) -> int: ...
    @property
    def is_waiting(self) -> bool: ...
    @property
    def playout_ms(self) -> int: ...
    @property
    def route_s(self) -> float: ...
    @property
    def is_shared(self) -> bool: ...
    def is_calm(self, now_ns: int) -> bool: ...
    def offer_parity(self) -> None: ...
    def target_bps(self, now_ns: int) -> int: ...
    def push(self, frame: RtpFrame, now_ns: int) -> None: ...
    def resend(self, seq: int, size_bytes: int, now_ns: int) -> bool: ...
    def want_keyframe(self) -> None: ...
    def take(self, now_ns: int) -> list[Departure]: ...
    def next_ns(self, now_ns: int) -> int: ...
    def on_sent(
        self, transport_seq: int, sizes_bytes: Sequence[int], now_ns: int, probe: int | None
    ) -> None: ...
    def on_feedback(self, base_seq: int, arrivals_us: Sequence[int | None], now_ns: int) -> None: ...
    def on_marks(self, received: int, marked: int, now_ns: int) -> None: ...
    def forget_marks(self) -> None: ...
    def on_receiver_report(self, fraction_lost: float, rtt_s: float | None, now_ns: int) -> None: ...
    def on_remb(self, bps: int, now_ns: int) -> None: ...


class Lane:
    """One viewer's lane. `route` gives a function that sends a burst, or None while the path is stalled."""

    def __init__(
        self,
        control: Control,
        sender: RtpSender,
        route: Callable[[], SendBurst | None],
        alarm: Alarm,
        sound: RtpSender | None = None,
        catch_up: Callable[[], None] = lambda: None,
        marking: Marking | None = None,
    ) -> None:
        """`sender` is the picture's; `catch_up` tells what was heard and held back, before a decision.

        `marking` is that of a viewer that reports by source.
        """
        self.control = control
        self.rtt_s: float | None = None
        self.loss: float | None = None
        self._sender = sender
        self._sound = sound
        self._sounds: deque[RtpFrame] = deque(maxlen=MAX_SOUNDS)
        self._route = route
        self._alarm = alarm
        self._catch_up = catch_up
        self._pushed_ns = 0
        self._calm_until_ns = 0
        self._marking = marking
        self._trial = UNMARKED
        self._clock = ArrivalClock(ccfb.CLOCK_US) if marking else ArrivalClock()
        self._departing: list[tuple[int, Sequence[int], int | None]] = []
        self._failed: asyncio.Future[None] | None = None
        if sender.takes_repairs:
            control.offer_parity()

    @property
    def link(self) -> Link:
        """How the picture fares, for what gives way to it."""
        return Link(self.control.queue_ms, self.rtt_s, self.loss)

    def push(self, frame: RtpFrame) -> None:
        """A new frame of the stream."""
        self._catch_up()
        now_ns = time.monotonic_ns()
        is_frequent, self._pushed_ns = now_ns - self._pushed_ns <= SOON_NS, now_ns
        self.control.push(frame, now_ns)
        self._pump_at(now_ns)
        self._calm_until_ns = now_ns + SOON_NS if is_frequent and self.control.is_calm(now_ns) else 0

    def can_wait(self, now_ns: int) -> bool:
        """Whether a transport-wide report changes nothing before the next picture, which is near."""
        return now_ns <= self._calm_until_ns

    def push_sound(self, frame: RtpFrame) -> None:
        """A packet of sound: it is small, and worth nothing later, so it goes first and is not paced."""
        if self._failed is not None:
            self._sounds.append(frame)
            self._pump()

    async def run(self) -> None:
        """Send until cancelled; what is pushed before waits."""
        self._failed = asyncio.get_running_loop().create_future()
        try:
            self._pump()
            await self._failed
        finally:
            self._failed = None
            self._alarm.drop(self._pump)

    def _pump(self) -> None:
        self._catch_up()
        self._pump_at(time.monotonic_ns())

    def _pump_at(self, now_ns: int) -> None:
        """Send what is due. Called often, so it is no task; a fault in it ends `run`."""
        if self._failed is None or self._failed.done():
            return
        try:
            self._alarm.set(self._pump, self._send_due(now_ns))
        except Exception as exc:  # noqa: BLE001  # raised in `run`
            self._failed.set_exception(exc)

    def _send_due(self, now_ns: int) -> int:
        """Send; when to come back."""
        route = self._route()
        if route is None:  # what waits too long meanwhile, the control drops
            return now_ns + STALLED_POLL_NS
        burst: list[bytes] = []
        while self._sounds and self._sound is not None:
            frame = self._sounds.popleft()
            sent = self._sound.send(frame, 0, len(frame.payloads), burst.extend, now_ns)
            self._count(sent, None)
        for departure in self.control.take(now_ns):
            self._send(departure, burst.extend, now_ns)
        if burst:
            self._tell_departures(time.monotonic_ns())
            route(burst)
        return self.control.next_ns(now_ns)

    def on_feedback(self, feedback: rtcp.Feedback, now_ns: int, unix_ns: int) -> None:
        """What the viewer says of the stream, and when it came; `unix_ns` as in our sender reports."""
        match feedback:
            case TransportFeedback(base_seq, arrivals_us) if self._marking is None:
                self._on_arrivals(base_seq, arrivals_us, now_ns)
            case CongestionFeedback() if self._marking is not None:
                if settled := self._marking.ledger.settle(feedback):
                    self._on_marks(self._marking, settled.marks, now_ns)
                    self._on_arrivals(settled.base_seq, settled.arrivals_us, now_ns)
            case rtcp.Nack(ssrc, seqs) if ssrc == self._sender.ssrc:
                self._calm_until_ns = 0
                self._resend(seqs, now_ns)
                self._pump()
            case rtcp.KeyframeRequest():
                self.control.want_keyframe()
            case rtcp.Remb(bps):
                self.control.on_remb(bps, now_ns)
            case rtcp.ReceiverReport() if feedback.ssrc == self._sender.ssrc:
                self.rtt_s = rtcp.round_trip_s(feedback, unix_ns) or self.rtt_s
                self.loss = feedback.fraction_lost
                self.control.on_receiver_report(feedback.fraction_lost, self.rtt_s, now_ns)

    def _on_marks(self, marking: Marking, marks: Marks, now_ns: int) -> None:
        if self.control.is_shared:  # RFC 9331 section 4.3: in no L4S queue would theirs delay ours
            marking.give_up("others fill its queue", now_ns)
        marking.on_marks(marks, now_ns)
        if self._trial != marking.trial:
            self._trial = marking.trial
            self.control.forget_marks()
        if marking.is_on:
            self.control.on_marks(marks.received, marks.marked, now_ns)

    def _on_arrivals(self, base_seq: int, arrivals_us: Sequence[int | None], now_ns: int) -> None:
        self.control.on_feedback(base_seq, self._clock.unwrap_report(arrivals_us), now_ns)
        self._sender.playout_ms = self.control.playout_ms
        if self.control.is_waiting:
            self._pump()

    def _resend(self, seqs: Sequence[int], now_ns: int) -> None:
        round_trip_s = self.rtt_s or self.control.route_s
        for seq in dict.fromkeys(seqs):
            size_bytes = self._sender.wanted_bytes(seq, round_trip_s, now_ns)
            if size_bytes is not None and not self.control.resend(seq, size_bytes, now_ns):
                break

    def _send(self, departure: Departure, send: Send, now_ns: int) -> None:
        match departure:
            case Media(frame, first, count):
                self._count(self._sender.send(frame, first, count, send, now_ns), departure.probe)
            case Resend(seq):
                self._count(self._sender.resend(seq, send, now_ns), departure.probe)
            case Repair(count, part, parts):
                self._count(self._sender.repair(count, part, parts, send, now_ns), departure.probe)
            case Padding(_, probe) if probe != KEEPALIVE_ID and not self._sender.has_rtx:
                pass  # padding alone that is lost cannot be sent again, and costs a keyframe
            case Padding(size_bytes):
                # At a low rate even the largest packet is smaller than what a probe asks for.
                while size_bytes > 0 and (sent := self._sender.pad(send, now_ns)):
                    self._count(sent, departure.probe)
                    size_bytes -= sum(sent.sizes_bytes)

    def _count(self, sent: Sent | None, probe: int | None) -> None:
        if sent is not None and sent.transport_seq is not None:
            self._departing.append((sent.transport_seq, sent.sizes_bytes, probe))

    def _tell_departures(self, now_ns: int) -> None:
        """Just before they leave: on a busy machine, what building them took would look like a queue."""
        for transport_seq, sizes_bytes, probe in self._departing:
            self.control.on_sent(transport_seq, sizes_bytes, now_ns, probe)
        self._departing.clear()
