"""One viewer's estimate and pacer as one thing: what its lane asks and tells. Pure."""

from collections.abc import Callable, Sequence

from agent.control.bandwidth import BandwidthEstimator
from agent.control.demand import Viewer
from agent.control.fec import Protection
from agent.control.hold import patience_ns
from agent.control.pacer import Pacer
from agent.model.media import RtpFrame
from agent.model.pacing import Departure

COPIES_LOSS = 0.006
"""From this loss on a retransmission goes twice: where one more is lost, one more round trip is a freeze."""
PLAYOUT_MS = 80
"""How much later a viewer on a lossy link shows each picture, so that a resend stops it for less."""
FIRST_PACING_BPS = 12_000_000
"""Until the viewer's first report: the first picture is waited for, and most queues hold one keyframe."""
IDLE_POLL_NS = 250_000_000
"""How often to look for a probe, which each picture does too."""


def count_copies(usual_loss: float) -> int:
    """How often a retransmission is sent where this share of the packets is lost."""
    return 2 if usual_loss >= COPIES_LOSS else 1


class LaneControl:
    """Decides when each packet to one viewer leaves. Times are `time.monotonic_ns()`."""

    def __init__(
        self, start_bps: int, min_bps: int, max_bps: int, on_held_up: Callable[[], None] = lambda: None
    ) -> None:
        """`on_held_up` hears each change of `is_held_up`."""
        self.is_held_up = False
        """Whether another picture would only wait behind the last one."""
        self._on_held_up = on_held_up
        self._estimator = BandwidthEstimator(start_bps, min_bps, max_bps)
        self._protection = Protection()
        self._pacer = Pacer(self._protection.repairs)
        self._followed_ns: int | None = None
        self._has_report = False
        self._has_lost_picture = False

    @property
    def dropped_frames(self) -> int:
        """Frames that never left: too late, or without the keyframe they need."""
        return self._pacer.dropped_frames

    @property
    def queue_ms(self) -> int:
        """What waits to leave, at the target."""
        return self._pacer.queue_ms

    @property
    def is_waiting(self) -> bool:
        """Whether anything is to leave that has not left: then a report may let it."""
        return self._pacer.is_waiting

    def is_calm(self, now_ns: int) -> bool:
        """Whether nothing waits, and the path has long been clean: then no report is urgent."""
        return not self._pacer.is_waiting and self._estimator.takes_bursts(now_ns)

    def target_bps(self, now_ns: int) -> int:
        """What the link is believed to carry."""
        return self._estimator.target_bps(now_ns)

    def set_max_bps(self, max_bps: int) -> None:
        """What the viewer's stream can need at most: the link is not probed for more."""
        self._estimator.set_max_bps(max_bps)

    @property
    def playout_ms(self) -> int:
        """How long the viewer should hold each picture back."""
        return PLAYOUT_MS if self._protection.is_needed else 0

    @property
    def route_s(self) -> float:
        """The round trip without queues, as far as it is known."""
        return self._estimator.route_s

    @property
    def is_shared(self) -> bool:
        """Whether others keep the link's queue full."""
        return self._estimator.is_shared

    def offer_parity(self) -> None:
        """The viewer takes forward error correction."""
        self._protection.is_offered = True

    def push(self, frame: RtpFrame, now_ns: int) -> None:
        """A new frame of the stream."""
        self._has_lost_picture = self._has_lost_picture and not frame.is_keyframe
        self._follow(now_ns)  # also before the first `take`: what is late depends on the rate
        self._pacer.push(frame, now_ns)
        self._note_held_up(now_ns)

    def resend(self, seq: int, size_bytes: int, now_ns: int) -> bool:
        """The viewer misses this packet; False where it has had all that it may ask for now."""
        return self._pacer.resend(seq, size_bytes, now_ns, count_copies(self._estimator.usual_loss))

    def want_keyframe(self) -> None:
        """The viewer cannot decode what it has."""
        self._has_lost_picture = True

    def take(self, now_ns: int) -> list[Departure]:
        """What leaves now."""
        self._follow(now_ns)
        if probe := self._estimator.probe_due(now_ns):
            self._pacer.probe(probe)
        allowance_bytes = self._estimator.allowance_bytes(now_ns)
        is_out = self._estimator.hears_requests(now_ns)
        departures = self._pacer.take(now_ns, allowance_bytes, is_out=is_out)
        self._note_held_up(now_ns)
        return departures

    def next_ns(self, now_ns: int) -> int:
        """When to `take` again, unless a frame or a report comes before."""
        due_ns, overdue_ns = self._pacer.next_ns(), self._pacer.overdue_ns
        is_waiting = self._pacer.is_waiting or self.is_held_up
        # A keepalive that is due comes at most half of its interval late.
        latest_ns = now_ns + (self._estimator.keepalive_ns(now_ns) // 2 if is_waiting else IDLE_POLL_NS)
        if overdue_ns is not None and not self.is_held_up:
            latest_ns = min(latest_ns, overdue_ns + patience_ns(self._estimator.noise_ms))
        return latest_ns if due_ns is None else min(due_ns, latest_ns)

    def on_sent(self, transport_seq: int, sizes_bytes: Sequence[int], now_ns: int, probe: int | None) -> None:
        """Packets left, the first with this number; sizes with IP and UDP headers.

        For viewers with transport-wide feedback.
        """
        self._estimator.on_sent(transport_seq, sizes_bytes, now_ns, probe)

    def on_feedback(self, base_seq: int, arrivals_us: Sequence[int | None], now_ns: int) -> None:
        """A transport-wide report: when the packets from this number on arrived, or None."""
        self._has_report = True
        self._estimator.on_feedback(base_seq, arrivals_us, now_ns)
        self._protection.update(self._estimator.usual_loss, self._estimator.route_s)
        self._note_held_up(now_ns)

    def on_marks(self, received: int, marked: int, now_ns: int) -> None:
        """Of so many packets that left with ECT(1) and arrived, these came with CE; before their report."""
        self._estimator.on_marks(received, marked, now_ns)

    def forget_marks(self) -> None:
        """What was marked until now is of another path, or no sign of a queue."""
        self._estimator.forget_marks()

    def on_receiver_report(self, fraction_lost: float, rtt_s: float | None, now_ns: int) -> None:
        """An RTCP receiver report."""
        self._has_report = True
        self._estimator.on_receiver_report(fraction_lost, rtt_s, now_ns)

    def on_remb(self, bps: int, now_ns: int) -> None:
        """The viewer's own estimate."""
        self._estimator.on_remb(bps, now_ns)

    def viewer(self, now_ns: int) -> Viewer:
        """The voice of this viewer in the demand on the encoder."""
        return Viewer(
            target_bps=self._estimator.target_bps(now_ns),
            loss=self._estimator.loss,
            queue_ms=self._pacer.queue_ms,
            repair_share=self._pacer.repair_share,
            is_stalled=self._estimator.is_stalled(now_ns),
            wants_keyframe=self._pacer.wants_keyframe or self._has_lost_picture,
        )

    def _note_held_up(self, now_ns: int) -> None:
        overdue_ns = self._pacer.overdue_ns
        is_late = overdue_ns is not None and now_ns - overdue_ns >= patience_ns(self._estimator.noise_ms)
        is_held_up = is_late or self._estimator.is_stalled(now_ns)
        if is_held_up != self.is_held_up:
            self.is_held_up = is_held_up
            self._on_held_up()

    def _follow(self, now_ns: int) -> None:
        if now_ns == self._followed_ns:  # a frame was pushed just now
            return
        self._followed_ns = now_ns
        target_bps = self._estimator.target_bps(now_ns)
        pacing_bps = self._estimator.pacing_bps(target_bps)
        if not self._has_report:
            pacing_bps = max(pacing_bps, FIRST_PACING_BPS)
        in_bursts, usual_loss = self._estimator.takes_bursts(now_ns), self._estimator.usual_loss
        self._pacer.set_rate(
            target_bps,
            pacing_bps,
            now_ns,
            in_bursts=in_bursts,
            is_fine=self._estimator.is_marked,
            usual_loss=usual_loss,
        )
