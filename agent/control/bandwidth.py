"""How much one viewer's link carries. Sans-IO: tell it what was sent and what the viewer says, ask what now.

The delay decides (`delay.py`, `aimd.py`), loss above the link's own forbids (`loss.py`), probes discover
(`probe.py`), and a window bounds what may be on its way, so that a link that stalls is not flooded and an
outage is met with next to nothing.
"""

from collections.abc import Sequence

from agent.control import loss
from agent.control.aimd import Delivery, RateControl
from agent.control.bursts import MIN_TARGET_BPS, Bursts
from agent.control.clock import ViewerClock
from agent.control.delay import DelayDetector, Usage
from agent.control.delivery import DeliveredRate
from agent.control.flight import Flight, Outcome
from agent.control.loss import LossLimit
from agent.control.marks import MarkLimit
from agent.control.others import Others
from agent.control.probe import Probe, Prober
from agent.control.silence import Silence
from agent.model.pacing import KEEPALIVE_ID

BUSY_WINDOW_MS = 250
"""While a queue stands, what arrives is the link's capacity: of less time noise, of more the past."""
BUSY_NOISE = 12
"""The same is at least so many times the link's noise."""
RECENT_WINDOW_MS = 500
"""Bridges the short stalls of a radio link."""
GOOD_HALF_LIFE_S = 15.0
FALLEN, RETRY = 0.66, 0.75
"""Below this share of the best rate of late, probe for that one as soon as the queue has gone, ..."""
RETRY_INTERVAL_NS = 10_000_000_000
"""... but not after each dip of a link that wanders: such probes fill the queue that they look for."""
EMPTY_QUEUE_MS = 10.0
PACKET_BYTES = 600
"""Half of a full one: the quickest packet of a report is seldom full."""
STEADY_WINDOW_MS = 1000
"""Long enough to hold a keyframe and what is saved after it."""
PACING = 1.5
"""Frames leave faster than the target, so that a keyframe does not hold up what follows."""
EAGER_PACING = 2.5
"""The same while the link's limit is not known; libwebrtc's factor."""
WINDOW_NS = 120_000_000
"""In flight beyond one round trip at the target: a report's interval (62 ms) and a short queue. What a
falling link does not take then waits here, where the encoder sees it."""
MIN_WINDOW_BYTES = 6000
STALL_NS = 200_000_000
"""Silence beyond a round trip, and beyond what is usual (`silence.py`), while packets are in flight: the path
is out. Chromium reports every 62 ms, and at 100 kb/s every 109 ms."""
FIRST_STALL_NS = 1_400_000_000
"""The same before the first report: the round trip may be long."""
DEAF_NS, DEAF_LOSS = 3_000_000_000, 0.10
"""Who has reported on no packet so long after the first one, while receiver reports tell of no more loss than
this, is followed by those, until one comes."""
KEEPALIVE_NS, MAX_KEEPALIVE_NS = 50_000_000, 150_000_000
"""While nothing may leave and nothing is heard, one packet in this time, or more the longer it lasts: what is
said of it tells that the path is back, and what was lost before it."""
KEEPALIVE_SHARE = 0.25
"""Of the target, at most."""
KEEPALIVE_BYTES = 200
REQUESTS_NS = 3_000_000_000
"""A viewer who asks on and never reports is sent no more than keepalives after this."""
RESUME = 0.5
"""Of the last target, after an outage; a probe asks at once for all of it."""
LONG = 2.0
"""A queue of this multiple of the threshold may be that of others."""
TRAIN_BYTES = 5000
"""To tell whose it is: as short as can be, since it may be ours."""
SHARE = 0.4
"""Of what the link carried alone, to begin with beside others."""
SHARED_LOSS = 0.03
"""A queue that others fill loses packets, and a retransmission takes long there: parity pays at once."""
REMB_LIFETIME_NS = 5_000_000_000
FIRST_RTT_NS, MAX_RTT_NS = 200_000_000, 2_000_000_000
"""Before anything is known, and where more is a queue and no route."""


class BandwidthEstimator:
    """One a viewer."""

    def __init__(self, start_bps: int, min_bps: int, max_bps: int) -> None:
        self._min_bps, self._max_bps = min_bps, max_bps
        self._flight = Flight()
        self._clock = ViewerClock()
        self._delay = DelayDetector()
        self._delivered = DeliveredRate()
        self._loss = LossLimit()
        self._rate = RateControl(start_bps, min_bps, max_bps)
        self._prober = Prober()
        self._bursts = Bursts()
        self._others = Others()
        self._marks = MarkLimit()
        self._rtt_ns = FIRST_RTT_NS
        self._least_rtt_ns = FIRST_RTT_NS
        self._feedback_ns: int | None = None
        self._began_ns: int | None = None
        self._silence = Silence()
        self._last_sent_ns = 0
        self._report_ns: int | None = None
        self._is_deaf = False  # for transport-wide feedback: the viewer sends none
        self._has_fallen = False
        self._retried_ns: int | None = None
        self._good_bps, self._good_ns = 0.0, 0
        self.loss = 0.0
        """Share of the last half second's packets, 0 to 1."""
        self._remb: tuple[int, int] | None = None

    def target_bps(self, now_ns: int) -> int:
        """What to send in all: media, retransmissions, padding."""
        target_bps = self._rate.target_bps
        if self.is_stalled(now_ns):
            target_bps = int(target_bps * RESUME)
        if (marks_bps := self._marks.target_bps) is not None:
            target_bps = min(target_bps, marks_bps)
        if self._remb is not None and now_ns - self._remb[1] < REMB_LIFETIME_NS:
            target_bps = min(target_bps, self._remb[0])
        return target_bps

    def set_max_bps(self, max_bps: int) -> None:
        """More is of no use."""
        self._max_bps = max_bps
        self._rate.set_max_bps(max_bps)

    @property
    def usual_loss(self) -> float:
        """Share of the packets, 0 to 1, that the link itself has lost of late; steadier than `loss`."""
        return max(SHARED_LOSS, self._loss.usual) if self._others.is_on else self._loss.usual

    @property
    def noise_ms(self) -> float:
        """How much the link delays one report more than another, without a queue."""
        return self._delay.noise_ms

    @property
    def route_s(self) -> float:
        """The round trip without queues."""
        return self._least_rtt_ns / 1e9

    def pacing_bps(self, target_bps: int) -> int:
        """How fast a frame may leave, at this target."""
        pacing_bps = int((PACING if self._rate.knows_capacity else EAGER_PACING) * target_bps)
        marks_bps = self._marks.pacing_bps
        return pacing_bps if marks_bps is None else max(target_bps, min(pacing_bps, marks_bps))

    @property
    def is_marked(self) -> bool:
        """Whether the path has marked packets of late."""
        return self._marks.is_on

    @property
    def is_shared(self) -> bool:
        """Whether others keep the link's queue full."""
        return self._others.is_on

    def takes_bursts(self, now_ns: int) -> bool:
        """Whether a picture may leave at once."""
        is_slow = self._rate.target_bps < MIN_TARGET_BPS or self._marks.is_on
        return not is_slow and self._bursts.are_taken(now_ns)

    def allowance_bytes(self, now_ns: int) -> int:
        """What may leave now without too much on its way; nothing while the path is out."""
        if self.is_stalled(now_ns):
            return 0
        route_ns = self._rtt_ns if self._others.is_on else self._least_rtt_ns
        window_ns = route_ns + WINDOW_NS + self._silence.usual_ns
        window_bytes = max(MIN_WINDOW_BYTES, self._rate.target_bps * window_ns // 8_000_000_000)
        return window_bytes if self._is_deaf else max(0, window_bytes - self._flight.bytes)

    def silent_ns(self, now_ns: int) -> int:
        """Since the last report; until the first one, since the first packet."""
        since_ns = self._began_ns if self._feedback_ns is None else self._feedback_ns
        return 0 if since_ns is None else now_ns - since_ns

    def keepalive_ns(self, now_ns: int) -> int:
        """How long nothing leaves while nothing may and nothing is heard."""
        return max(KEEPALIVE_NS, min(MAX_KEEPALIVE_NS, self.silent_ns(now_ns) // 8))

    def hears_requests(self, now_ns: int) -> bool:
        """Whether the path is out since so lately that what the viewer asks for shows it to be back."""
        return self.is_stalled(now_ns) and self.silent_ns(now_ns) < REQUESTS_NS

    def probe_due(self, now_ns: int) -> Probe | None:
        """What to probe now, at most once each; probes pass whatever the allowance."""
        silent_ns = self.silent_ns(now_ns)
        if silent_ns >= KEEPALIVE_NS and self._flight.bytes and self.allowance_bytes(now_ns) == 0:
            packet_ns = int(8e9 * 2 * PACKET_BYTES / KEEPALIVE_SHARE) // self._rate.target_bps
            quiet_ns = min(silent_ns, now_ns - self._last_sent_ns)
            if quiet_ns >= max(self.keepalive_ns(now_ns), packet_ns):
                return Probe(KEEPALIVE_ID, self._rate.target_bps, KEEPALIVE_BYTES)
            if self.is_stalled(now_ns):
                return None
        if self._feedback_ns is None:
            return None
        if self._marks.is_on and not self._others.is_asking:  # a train is a queue, and would be marked for it
            return None
        return self._prober.due(self._rate.target_bps, self._max_bps, self._delay.noise_ms, now_ns)

    def on_sent(self, seq: int, sizes_bytes: Sequence[int], now_ns: int, probe: int | None = None) -> None:
        """Packets left with transport-wide numbers from this one on (modulo 2**16), as part of this probe."""
        self._flight.on_sent(seq, sizes_bytes, now_ns, probe)
        if probe is not None:
            self._prober.on_sent(probe, sum(sizes_bytes))
        self._last_sent_ns = now_ns
        if self._began_ns is None:
            self._began_ns = now_ns

    def on_feedback(self, base_seq: int, arrivals_us: Sequence[int | None], now_ns: int) -> None:
        """A report of packets with transport-wide numbers from this one on (modulo 2**16).

        When each arrived by a clock that never starts over, or None.
        """
        was_stalled = self.is_stalled(now_ns)
        outcome = self._flight.on_feedback(base_seq, arrivals_us)
        if not outcome.arrivals_us:
            self._follow_loss(outcome, now_ns)
            return
        self._note_rtt(now_ns - outcome.newest_sent_ns)
        newest_us = max(outcome.arrivals_us)
        is_gap = bool(outcome.unknown_bytes) and self._feedback_ns is not None
        gap_ns = now_ns - (self._feedback_ns or 0) if is_gap else 0
        self._silence.update(gap_ns, (newest_us - min(outcome.arrivals_us)) * 1000)
        self._feedback_ns, self._is_deaf = now_ns, False
        has_stepped = self._clock.has_stepped(outcome.delay_us, newest_us, now_ns)
        if was_stalled:
            self._resume(now_ns)
            return
        if has_stepped:  # nothing before can be compared with it; its own times are believed if others follow
            self._delay.restart()
            self._delivered.restart()
            return
        self._note_delivery(outcome)
        self._follow_delay(outcome, now_ns)
        self._follow_probe(outcome, now_ns)
        self._follow_loss(outcome, now_ns)
        self._bursts.update(self.loss, is_queued=self._delay.usage is Usage.OVER, now_ns=now_ns)

    def on_marks(self, received: int, marked: int, now_ns: int) -> None:
        """Of so many packets that left with ECT(1) and arrived, these came with CE; before their report."""
        pacing_bps = self.pacing_bps(self._rate.target_bps)
        self._marks.update(received, marked, pacing_bps, self._min_bps, self._rtt_ns, now_ns)
        if (marks_bps := self._marks.target_bps) is not None:
            self._rate.meet(marks_bps, now_ns)

    def forget_marks(self) -> None:
        """What was marked until now is of another path, or no sign of a queue."""
        self._marks = MarkLimit()

    def on_receiver_report(self, fraction_lost: float, rtt_s: float | None, now_ns: int) -> None:
        """An RTCP report; decides only for a viewer without transport-wide feedback."""
        if self._feedback_ns is None:
            is_late = self._began_ns is not None and now_ns - self._began_ns >= DEAF_NS
            self._is_deaf |= is_late and fraction_lost <= DEAF_LOSS
        if self._feedback_ns is None and not self.is_stalled(now_ns):  # else next to nothing leaves
            self.loss = fraction_lost
            if rtt_s is not None:
                self._rtt_ns = int(rtt_s * 1e9)
            elapsed_s = 0.0 if self._report_ns is None else (now_ns - self._report_ns) / 1e9
            self._rate.replace(loss.after_report(self._rate.target_bps, fraction_lost, elapsed_s))
        self._report_ns = now_ns

    def on_remb(self, bps: int, now_ns: int) -> None:
        """The viewer's own estimate (draft-alvestrand-rmcat-remb-03): a limit for the next 5 s."""
        self._remb = (max(bps, self._min_bps), now_ns)

    def is_stalled(self, now_ns: int) -> bool:
        """Whether the path is out: packets are in flight, and nothing is heard."""
        if self._is_deaf:
            return False
        since_ns = now_ns - STALL_NS - self._rtt_ns - self._silence.usual_ns
        if self._feedback_ns is None:  # the first reports may be lost, and with them all that we wait for
            since_ns = now_ns - FIRST_STALL_NS
        elif self._feedback_ns >= since_ns:  # as nearly always: asked all the time
            return False
        oldest_ns = self._flight.oldest_sent_ns()
        return oldest_ns is not None and oldest_ns < since_ns

    def _resume(self, now_ns: int) -> None:
        """The path is back, and may be another one: go on carefully and probe for what it carried before."""
        before_bps = self._rate.target_bps
        # A second outage soon after the first must not halve what was halved already.
        self._rate.restart(int(RESUME * max(before_bps, self._good_bps * RESUME)), now_ns)
        self._prober.ask(int(max(before_bps, RETRY * self._good_bps)), now_ns)
        self._delay.restart()
        self._delivered.restart()
        self._loss.restart()
        self._others.end()
        self.forget_marks()

    def _note_rtt(self, rtt_ns: int) -> None:
        rtt_ns = min(rtt_ns, MAX_RTT_NS)
        if self._feedback_ns is None:
            self._rtt_ns = self._least_rtt_ns = rtt_ns
        self._rtt_ns += (rtt_ns - self._rtt_ns) // 8  # RFC 6298's weight
        # The least round trip creeps up, so that a longer route is believed within a minute.
        creep_ns = 0 if self._others.is_on else (rtt_ns - self._least_rtt_ns) // 256
        self._least_rtt_ns = min(rtt_ns, self._least_rtt_ns + creep_ns)

    def _note_delivery(self, outcome: Outcome) -> None:
        # Feedback that was lost is not media that was lost: what it covered counts as delivered.
        if unknown_bytes := outcome.unknown_bytes:
            self._delivered.add(outcome.arrivals_us[:1] * len(unknown_bytes), unknown_bytes)
        self._delivered.add(outcome.arrivals_us, outcome.sizes_bytes)

    def _follow_delay(self, outcome: Outcome, now_ns: int) -> None:
        last_us = max(outcome.arrivals_us)
        packet_ms = PACKET_BYTES * 8000 / self._rate.target_bps
        usage = self._delay.update(outcome.delay_us / 1e3, last_us, packet_ms)
        if self._delay.is_longer:
            self._least_rtt_ns = self._rtt_ns
        if not self._delivered.is_known:
            return
        before_bps = self._rate.target_bps
        delivery = Delivery(
            busy_bps=self._delivered.bps(max(BUSY_WINDOW_MS, int(BUSY_NOISE * self._delay.noise_ms))),
            recent_bps=self._delivered.bps(RECENT_WINDOW_MS),
            steady_bps=self._delivered.bps(STEADY_WINDOW_MS),
            rtt_ns=self._rtt_ns,
        )
        self._remember(delivery.steady_bps, now_ns)
        self._meet(usage, delivery.steady_bps, outcome.newest_sent_ns, now_ns)
        if self._others.is_on:
            self._rate.share(self._others.before_bps, outcome.lost, self._rtt_ns, now_ns)
            self._prober.postpone(now_ns)
            return
        self._rate.update(usage, self._delay.queue_ms, delivery, now_ns)
        if usage is not Usage.NORMAL:
            if not self._others.is_asking:
                self._prober.postpone(now_ns)
            self._has_fallen |= self._rate.target_bps < before_bps
        elif self._has_fallen and self._delay.queue_ms < EMPTY_QUEUE_MS:
            self._has_fallen = False
            self._retry(now_ns)

    def _meet(self, usage: Usage, steady_bps: int, sent_ns: int, now_ns: int) -> None:
        """Find out whether others fill the queue."""
        others, target_bps = self._others, self._rate.target_bps
        queue_ms, threshold_ms = self._delay.queue_ms, self._delay.threshold_ms
        is_long = usage is Usage.OVER and queue_ms >= LONG * threshold_ms
        if others.is_route(queue_ms, threshold_ms, now_ns):
            others.end()
            self._delay.accept_route()
            self._least_rtt_ns = self._rtt_ns
        elif queue_ms < threshold_ms / 2 or (
            others.is_on and others.is_ours(target_bps, steady_bps, self._loss.recent, now_ns)
        ):
            others.end()
        elif is_long:
            others.begin(int(self._good_bps))
        if others.update(target_bps, sent_ns, now_ns) and is_long:
            others.on_asked(now_ns)
            self._prober.ask(others.before_bps, now_ns, TRAIN_BYTES)
        self._delay.holds_base = others.is_on or others.is_asking

    def _retry(self, now_ns: int) -> None:
        is_early = self._retried_ns is not None and now_ns - self._retried_ns < RETRY_INTERVAL_NS
        if is_early or self._rate.target_bps >= FALLEN * self._good_bps:
            return
        self._retried_ns = now_ns
        self._prober.ask(int(RETRY * self._good_bps), now_ns)

    def _remember(self, steady_bps: int, now_ns: int) -> None:
        """The best rate of late, halved in `GOOD_HALF_LIFE_S`: what a radio link may soon carry again."""
        elapsed_s = (now_ns - self._good_ns) / 1e9
        self._good_bps = max(float(steady_bps), self._good_bps * 0.5 ** (elapsed_s / GOOD_HALF_LIFE_S))
        self._good_ns = now_ns

    def _follow_probe(self, outcome: Outcome, now_ns: int) -> None:
        found = self._prober.on_outcome(outcome.probes, self._rate.target_bps, now_ns)
        if found is None:
            return
        if self._others.is_asking:
            if self._others.on_train(found.bps, self._delivered.bps(RECENT_WINDOW_MS), now_ns):
                self._rate.enter(int(SHARE * self._others.before_bps), now_ns)
        elif not self._others.is_on:
            self._rate.raise_to(found.bps, is_capacity=found.is_capacity)

    def _follow_loss(self, outcome: Outcome, now_ns: int) -> None:
        if not self._delivered.is_known:
            return
        delivered_bps = self._delivered.bps(STEADY_WINDOW_MS)
        received, held_ns = len(outcome.arrivals_us), self._loss.held_until_ns
        allowed_bps = self._loss.update(received, outcome.lost, outcome.lost_runs, delivered_bps, now_ns)
        self.loss = self._loss.ratio
        if self._loss.held_until_ns < held_ns:  # it was the link's own, as has just been found
            self._rate.release(now_ns)
            self._prober.release(now_ns)
        elif allowed_bps is not None and not self._others.is_on:
            self._rate.limit(allowed_bps, self._loss.held_until_ns)
            if self._loss.held_until_ns > now_ns:
                self._prober.hold_off(self._loss.held_until_ns)
