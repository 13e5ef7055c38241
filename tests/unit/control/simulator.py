"""One viewer over an emulated link in simulated time: encoder, estimator, pacer, link, viewer as in Chromium.

The link is the one of the network lab (`netlab.shape`), so that figures here and there are of the same kind.
"""

import random
from dataclasses import dataclass, field
from itertools import pairwise

from netlab.shape import Direction, Shape
from unit.control.rival import Segment, Upload

from agent.camera.encoder import HEADROOM
from agent.camera.keyframes import KeyframeGate
from agent.control.bandwidth import BandwidthEstimator
from agent.control.demand import Demand, Limits
from agent.control.demand import Viewer as ViewerState
from agent.control.fec import Protection
from agent.control.hold import Hold, patience_ns
from agent.control.lane import count_copies
from agent.control.pacer import PARITY_BYTES, Pacer
from agent.model.media import RtpFrame
from agent.model.pacing import Media, Padding, Repair, Resend
from agent.rtc.sender import RTX_MIN_INTERVAL_NS, RTX_ROUND_TRIPS

MS = 1_000_000
S = 1_000_000_000
FRAME_NS = S // 30
REPORT_NS = 62 * MS
"""Chromium's interval of transport-wide feedback."""
RETURN_MS = 50.0
"""What a report takes, unless said otherwise."""
OVERHEAD_BYTES = 28 + 50
"""IP, UDP, RTP with extensions, SRTP."""
PAYLOAD = bytes(1150)
KEYFRAME_TIMES = 5.0
"""An IDR has the size of so many other pictures."""
NACKS = 10
"""Of each packet, a round trip apart (`kMaxNackRetries` of libwebrtc)."""
FIRST_STUCK_NS, STUCK_NS = 200 * MS, 3 * S
"""Without a first or another whole picture for so long, Chromium asks for a keyframe (`kMaxWaitForKeyFrame`
and `kMaxWaitForFrame` of libwebrtc)."""
FREEZE_NS = 183 * MS
"""Chromium counts an interval above the mean plus 150 ms."""


class Wire:
    """A packet; the link only asks for its length."""

    __slots__ = (
        "frame", "index", "is_marked", "media_seq", "repairs", "sent_ns", "size_bytes", "transport_seq"
    )  # fmt: skip

    def __init__(self, transport_seq, size_bytes, sent_ns, media_seq=None, frame=None, index=0, repairs=()):
        self.repairs, self.is_marked = repairs, False
        self.transport_seq, self.size_bytes, self.sent_ns = transport_seq, size_bytes, sent_ns
        self.media_seq, self.frame, self.index = media_seq, frame, index

    def __len__(self):
        return self.size_bytes


def mark(packet):
    """As the queue of an L4S link does: what carries ECT(1), which an upload beside does not."""
    if not isinstance(packet, Wire):
        return None
    packet.is_marked = True
    return packet


@dataclass
class Encoder:
    """Follows the bitrate picture by picture, with noise; pays for an IDR over the next second."""

    rng: random.Random
    bps: int
    max_bps: int
    noise: float = 0.15
    debt_bytes: float = 0.0
    gate: KeyframeGate = field(default_factory=KeyframeGate)
    share: float = 1.0
    """Less than 1: a scene that needs less than the encoder may spend."""
    opened_bps: int = 0
    fps_share: float = 1.0

    def encode(self, now_ns):
        mean = min(self.bps, self.max_bps) * self.share / 8 / 30 / self.fps_share
        is_key = self.gate.take(now_ns / S)
        # As ours (`agent/camera/encoder.py`): a move beyond its headroom takes an IDR.
        is_key |= not self.opened_bps / HEADROOM <= self.bps <= self.opened_bps * HEADROOM
        size = mean * self.rng.lognormvariate(0, self.noise)
        if is_key:
            self.gate.delivered()
            self.opened_bps = self.bps
            self.debt_bytes += size * (KEYFRAME_TIMES - 1)
            size *= KEYFRAME_TIMES
        else:
            paid = min(self.debt_bytes, mean * 0.25)
            self.debt_bytes -= paid
            size = max(200.0, size - paid)
        payloads = [PAYLOAD] * (int(size) // len(PAYLOAD)) + [PAYLOAD[: int(size) % len(PAYLOAD) or 1]]
        return RtpFrame(tuple(payloads), now_ns * 9 // 100_000, is_key, sum(map(len, payloads)))


class Viewer:
    """Reports, asks again for what is missing, and plays frames in order."""

    def __init__(self, return_ns, report_ns):
        self.return_ns, self.interval_ns = return_ns, report_ns
        self.mail = []  # (due_ns, what, argument)
        self.pending = {}
        self.next_base = None
        self.highest_media = None
        self.missing = {}
        self.arrived = set()
        self.got = {}
        self.expected = None
        self.played = []  # (played_ns, captured_ns)
        self.media_bytes = []
        self.received_bytes = []
        self.report_ns = report_ns
        self.marked = 0
        self.keyframe_asked_ns = -S

    def receive(self, wire, at_ns):
        self.received_bytes.append((at_ns, wire.size_bytes))
        self.pending[wire.transport_seq] = at_ns // 1000
        self.marked += wire.is_marked
        if wire.repairs:
            lost = [one for one in wire.repairs if one.media_seq not in self.arrived]
            if len(lost) == 1:
                self.accept(lost[0], at_ns)
        elif wire.media_seq is not None:
            self.accept(wire, at_ns)

    def accept(self, wire, at_ns):
        self.arrived.add(wire.media_seq)
        if self.highest_media is None:
            self.highest_media = self.expected = wire.media_seq
            self.highest_media -= 1
        for seq in range(self.highest_media + 1, wire.media_seq):
            self.missing[seq] = [at_ns, 0]
        self.highest_media = max(self.highest_media, wire.media_seq)
        self.missing.pop(wire.media_seq, None)
        if wire.media_seq >= self.expected:
            self.got[wire.media_seq] = wire
        self._play(at_ns)

    def _play(self, at_ns):
        while True:
            wire = self.got.get(self.expected)
            if wire is None:
                self._skip_to_keyframe(at_ns)
                return
            self._accept(wire, at_ns)

    def _accept(self, wire, at_ns):
        del self.got[wire.media_seq]
        self.expected = wire.media_seq + 1
        frame = wire.frame
        if wire.index == len(frame.payloads) - 1:
            self.played.append((at_ns, frame.rtp_time * 100_000 // 9))

    def _skip_to_keyframe(self, at_ns):
        """A whole keyframe makes what is missing before it needless."""
        if not self.got:
            return
        for seq, wire in sorted(self.got.items()):
            if wire.frame.is_keyframe and wire.index == 0:
                run = [seq + i for i in range(len(wire.frame.payloads))]
                if all(s in self.got for s in run):
                    for old in [s for s in self.got if s < seq]:
                        del self.got[old]
                    for old in [s for s in self.missing if s < seq]:
                        del self.missing[old]
                    self.expected = seq
                    self._play(at_ns)
                    return

    def tick(self, now_ns, rtt_ns):
        """Every few ms: NACKs, keyframe requests, reports; returns what travels back."""
        out = []
        wanted = []
        for seq, state in list(self.missing.items()):
            since, tries = state
            if tries >= NACKS:
                del self.missing[seq]
            elif now_ns >= since + tries * rtt_ns:
                state[1] += 1
                wanted.append(seq)
        if wanted:
            out.append(("nack", wanted))
        patience_ns = STUCK_NS if self.played else FIRST_STUCK_NS
        stood_ns = now_ns - (self.played[-1][0] if self.played else 0)
        if self.got and min(stood_ns, now_ns - self.keyframe_asked_ns) > patience_ns:
            self.keyframe_asked_ns = now_ns
            out.append(("pli", None))
        if now_ns >= self.report_ns:
            self.report_ns = now_ns + self.interval_ns
            if self.pending:
                last = max(self.pending)
                first = min(self.pending) if self.next_base is None else min(self.next_base, *self.pending)
                arrivals_us = [self.pending.get(seq) for seq in range(first, last + 1)]
                out.append(("twcc", (first & 0xFFFF, arrivals_us, len(self.pending), self.marked)))
                self.marked = 0
                self.next_base = max(last + 1, self.next_base or 0)
                self.pending.clear()
        return out


@dataclass
class Sample:
    at_s: float
    target_bps: int
    queue_ms: float


@dataclass
class Result:
    """What a run showed."""

    played: list
    received: list
    samples: list = field(default_factory=list)
    dropped_frames: int = 0
    keyframes: int = 0
    lost_packets: int = 0
    sent: list = field(default_factory=list)
    resent: int = 0
    padding_bytes: int = 0
    parity_bytes: int = 0
    seconds: float = 0.0
    rival: list = field(default_factory=list)
    """What arrived of the upload beside."""
    waits_ms: list = field(default_factory=list)
    """Of each packet at the bottleneck, queue and passage: (at_s, ms)."""
    marked_packets: int = 0

    @property
    def sent_packets(self):
        return len(self.sent)

    def mean_bps(self, start_s, stop_s):
        return _mean_bps(self.received, start_s, stop_s)

    def rival_bps(self, start_s, stop_s):
        return _mean_bps(self.rival, start_s, stop_s)

    def delays_ms(self, start_s=5.0, stop_s=1e9):
        return sorted((at - cap) / MS for at, cap in self.played if start_s * S <= cap < stop_s * S)

    def delay_ms(self, share, start_s=5.0, stop_s=1e9):
        delays = self.delays_ms(start_s, stop_s)
        return delays[min(len(delays) - 1, int(share * len(delays)))] if delays else float("inf")

    def queue_ms(self, share, start_s=5.0, stop_s=1e9):
        queues = sorted(s.queue_ms for s in self.samples if start_s <= s.at_s < stop_s)
        return queues[min(len(queues) - 1, int(share * len(queues)))]

    def wait_ms(self, share, start_s=5.0, stop_s=1e9):
        waits = sorted(ms for at_s, ms in self.waits_ms if start_s <= at_s < stop_s)
        return waits[min(len(waits) - 1, int(share * len(waits)))]

    def freezes(self, start_s=5.0):
        times = [at for at, _ in self.played if at >= start_s * S] + [int(self.seconds * S)]
        gaps = [b - a for a, b in pairwise(times)]
        frozen = [g for g in gaps if g > FREEZE_NS]
        return len(frozen), sum(frozen) / S

    def longest_freeze_s(self, start_s):
        times = [at for at, _ in self.played if at >= start_s * S] + [int(self.seconds * S)]
        return max(b - a for a, b in pairwise(times)) / S

    def reaches(self, bps, after_s, window_s=0.5):
        """Seconds after `after_s` until half a second's mean is at least `bps`."""
        at = after_s
        while at < self.seconds - window_s:
            if self.mean_bps(at, at + window_s) >= bps:
                return at + window_s - after_s
            at += 0.1
        return float("inf")

    def target_below(self, bps, after_s):
        """Seconds after `after_s` until the target is below `bps`, to stay there for a second."""
        for i, sample in enumerate(self.samples):
            if sample.at_s >= after_s and all(s.target_bps <= bps for s in self.samples[i : i + 20]):
                return sample.at_s - after_s
        return float("inf")


def _mean_bps(received, start_s, stop_s):
    total = sum(size for at, size in received if start_s * S <= at < stop_s * S)
    return total * 8 / (stop_s - start_s)


class Simulation:
    """All parts, and the mail that travels back."""

    def __init__(
        self,
        uplink,
        *,
        seconds,
        changes,
        return_ms,
        feedback_loss,
        rates,
        seed,
        share,
        copies,
        make,
        parity,
        upload_s,
        upload_until_s,
        lateness_ms,
        l4s,
        report_ms,
    ):
        self.now, self.l4s = 0, l4s
        self.end_ns = int(seconds * S)
        self.rng = random.Random(seed)
        self.shape, self.link = uplink, Direction(uplink, random.Random(seed + 1), 0)
        if l4s:
            self.link.mark = mark
        start_bps, min_bps, max_bps = rates
        self.protection = Protection()
        self.protection.is_offered = parity
        self.estimator, self.pacer = make(start_bps, min_bps, max_bps), Pacer(self.protection.repairs)
        limits = Limits(min_bps, max_bps, 30.0, 1280 * 720, can_rescale=False, can_skip=True)
        self.demand = Demand(limits, start_bps)
        self.encoder = Encoder(self.rng, start_bps, max_bps, share=share)
        self.hold = Hold()
        self.viewer = Viewer(return_ms * MS, int(report_ms * MS))
        self.result = Result(self.viewer.played, self.viewer.received_bytes, seconds=seconds)
        self.changes = sorted(changes, key=lambda change: change[0], reverse=True)
        self.return_ns, self.feedback_loss, self.copies = int(return_ms * MS), feedback_loss, copies
        self.rtt_ns = int((return_ms + uplink.delay_ms + 20) * MS)
        self.mail, self.history, self.resent_ns = [], {}, {}
        self.transport_seq = self.media_seq = 0
        self.frame_ns = self.tick_ns = self.sample_ns = 0
        self.picture_lost = False
        self.upload = (
            None if upload_s is None else Upload(int(upload_s * S), self.return_ns, int(upload_until_s * S))
        )
        self.lateness_ms, self.lateness_rng = lateness_ms, random.Random(seed + 2)

    def run(self):
        while self.now < self.end_ns:
            times = [self.frame_ns, self.tick_ns, self.link.next_ns(), self.pacer.next_ns()]
            times += [self.mail[0][0]] if self.mail else []
            times += [self.upload.next_ns()] if self.upload else []
            self.now = max(self.now, min(at for at in times if at is not None))
            self.change_link()
            for at_ns, wire in self.link.pop(self.now):
                if isinstance(wire, Segment):
                    self.upload.arrive(wire, at_ns)
                else:
                    self.viewer.receive(wire, at_ns)
            while self.mail and self.mail[0][0] <= self.now:
                _, kind, what = self.mail.pop(0)
                self.on_mail(kind, what)
            self.on_clock()
            self.pump()
            if self.upload:
                self.upload.pump(self.now, self.link.push)
        if self.upload:
            self.result.rival = self.upload.received
        self.result.waits_ms = [(one.at_ns / S, one.waited_ns / MS) for one in self.link.passages]
        counters = self.link.counters
        self.result.marked_packets = counters.marked_packets
        self.result.lost_packets = counters.lost_packets + counters.overflow_packets
        self.result.dropped_frames = self.pacer.dropped_frames
        return self.result

    def change_link(self):
        while self.changes and self.changes[-1][0] * S <= self.now:
            self.shape = self.shape.changed(**self.changes.pop()[1])
            self.link.reshape(self.shape, self.now)

    def on_mail(self, kind, what):
        if kind == "twcc":
            base_seq, arrivals_us, received, marked = what
            if self.l4s and self.estimator.is_shared:  # as `Lane` has it
                self.l4s, self.link.mark = False, lambda _: None
                self.estimator.forget_marks()
            if self.l4s:
                self.estimator.on_marks(received, marked, self.now)
            self.estimator.on_feedback(base_seq, arrivals_us, self.now)
            self.protection.update(self.estimator.usual_loss, self.estimator.route_s)
            self.follow()
        elif kind == "pli":
            self.picture_lost = True
        else:
            wait_ns = max(RTX_MIN_INTERVAL_NS, RTX_ROUND_TRIPS * self.rtt_ns)
            for seq in what:
                if seq in self.history and self.now - self.resent_ns.get(seq, -S) >= wait_ns:
                    copies = self.copies or count_copies(self.estimator.usual_loss)
                    self.pacer.resend(seq, self.history[seq][2], self.now, copies)

    def is_held_up(self):
        """As `LaneControl` has it."""
        overdue_ns, patience = self.pacer.overdue_ns, patience_ns(self.estimator.noise_ms)
        is_late = overdue_ns is not None and self.now - overdue_ns >= patience
        return is_late or self.estimator.is_stalled(self.now)

    def on_picture(self):
        if self.now < self.frame_ns:
            return
        self.frame_ns += int(FRAME_NS / self.encoder.fps_share)
        self.follow()
        self.hold.update([self.is_held_up()], self.now)
        if self.hold.is_on:
            return
        self.hold.on_picture(self.now)
        frame = self.encoder.encode(self.now)
        self.result.keyframes += frame.is_keyframe
        self.picture_lost = self.picture_lost and not frame.is_keyframe
        self.pacer.push(frame, self.now)

    def on_clock(self):
        self.on_picture()
        if self.now >= self.tick_ns:
            self.tick_ns += 5 * MS
            for kind, what in self.viewer.tick(self.now, self.rtt_ns):
                if self.shape.is_up and self.rng.random() >= self.feedback_loss:
                    self.mail.append((self.now + self.return_ns, kind, what))
        if self.now >= self.sample_ns:
            self.sample_ns += 50 * MS
            queue_ms = self.link._queue_bytes * 8e3 / (self.shape.rate_bps or 1e9)
            sample = Sample(self.now / S, self.estimator.target_bps(self.now), queue_ms)
            self.result.samples.append(sample)

    def follow(self):
        """From the estimate to the pacer and the encoder."""
        estimator, pacer, now = self.estimator, self.pacer, self.now
        target_bps = estimator.target_bps(now)
        pacer.set_rate(
            target_bps,
            estimator.pacing_bps(target_bps),
            now,
            in_bursts=estimator.takes_bursts(now),
            is_fine=estimator.is_marked,
            usual_loss=estimator.usual_loss,
        )
        wants_keyframe = pacer.wants_keyframe or self.picture_lost
        stalled = estimator.is_stalled(now)
        viewer = ViewerState(
            target_bps,
            estimator.loss,
            0 if self.hold.is_on else pacer.queue_ms,  # as `StreamControl` has it
            stalled,
            wants_keyframe,
            pacer.repair_share,
        )
        wanted = self.demand.update([viewer], now)
        self.encoder.bps, self.encoder.fps_share = wanted.bitrate_bps, wanted.fps_share
        if wanted.keyframe:
            self.encoder.gate.request(wanted.keyframe, now / S)

    def pump(self):
        if probe := self.estimator.probe_due(self.now):
            self.pacer.probe(probe)
        is_out = self.estimator.hears_requests(self.now)
        departures = self.pacer.take(self.now, self.estimator.allowance_bytes(self.now), is_out=is_out)
        self.stamp_ns = self.now
        if departures and self.lateness_ms:
            self.now += int(self.lateness_rng.expovariate(1 / self.lateness_ms) * MS)
        for departure in departures:
            if isinstance(departure, Media):
                for index in range(departure.first, departure.first + departure.count):
                    size_bytes = len(departure.frame.payloads[index]) + OVERHEAD_BYTES
                    self.history[self.media_seq] = (departure.frame, index, size_bytes)
                    self.history.pop(self.media_seq - 2000, None)
                    self.leave(departure.probe, self.media_seq)
                    self.media_seq += 1
            elif isinstance(departure, Resend):
                self.result.resent += 1
                self.resent_ns[departure.seq] = self.now
                self.leave(departure.probe, departure.seq)
            elif isinstance(departure, Repair):
                self.send_parity(departure)
            elif isinstance(departure, Padding):
                self.result.padding_bytes += departure.size_bytes
                self.send(
                    Wire(self.transport_seq, departure.size_bytes + OVERHEAD_BYTES, self.now), departure.probe
                )

    def leave(self, probe, seq):
        frame, index, size_bytes = self.history[seq]
        self.send(Wire(self.transport_seq, size_bytes, self.now, seq, frame, index), probe)

    def send_parity(self, repair):
        seqs = range(self.media_seq - repair.count + repair.part, self.media_seq, repair.parts)
        wires = [
            Wire(0, size_bytes, 0, seq, frame, index)
            for seq in seqs
            for frame, index, size_bytes in [self.history[seq]]
        ]
        size_bytes = max(len(wire) for wire in wires) + PARITY_BYTES
        self.result.parity_bytes += size_bytes
        self.send(Wire(self.transport_seq, size_bytes, self.now, repairs=wires), repair.probe)

    def send(self, wire, probe):
        self.estimator.on_sent(wire.transport_seq & 0xFFFF, [wire.size_bytes], self.stamp_ns, probe)
        self.link.push(wire, self.now)
        self.transport_seq += 1
        self.result.sent.append(self.now)


def simulate(
    uplink: Shape,
    seconds: float,
    *,
    changes=(),
    return_ms=RETURN_MS,
    feedback_loss=0.0,
    start_bps=1_000_000,
    min_bps=100_000,
    max_bps=6_000_000,
    seed=1,
    share=1.0,
    copies=None,
    parity=True,
    make=BandwidthEstimator,
    upload_s=None,
    upload_until_s=1e9,
    lateness_ms=0.0,
    l4s=False,
    report_ms=REPORT_NS / MS,
):
    """Run one viewer. `changes` are (at_s, {field of Shape: value}); `share` is what the scene needs.

    `upload_s`: a TCP upload begins beside, and lasts until `upload_until_s`. `lateness_ms`: the mean time
    from a packet's time of departure to its departure, where the sender's CPU is busy. `l4s`: packets carry
    ECT(1), which a link with `mark_ms` answers; `report_ms` is between two reports at least.
    """
    rates = (start_bps, min_bps, max_bps)
    return Simulation(
        uplink,
        seconds=seconds,
        changes=changes,
        return_ms=return_ms,
        feedback_loss=feedback_loss,
        rates=rates,
        seed=seed,
        share=share,
        copies=copies,
        make=make,
        parity=parity,
        upload_s=upload_s,
        upload_until_s=upload_until_s,
        lateness_ms=lateness_ms,
        l4s=l4s,
        report_ms=report_ms,
    ).run()
