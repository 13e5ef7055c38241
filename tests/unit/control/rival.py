"""A file that goes up on the same link: one TCP connection with CUBIC (RFC 9438), in simulated time."""

S = 1_000_000_000
SEGMENT_BYTES = 1500
BETA, CUBIC = 0.7, 0.4
DUPLICATES = 3
MIN_TIMEOUT_NS = 200_000_000
PACE_NS = 1_000_000
"""Between segments, so that a window does not leave as one burst."""


class Segment:
    """The link only asks for its length."""

    __slots__ = ("number", "sent_ns")

    def __init__(self, number, sent_ns):
        self.number, self.sent_ns = number, sent_ns

    def __len__(self):
        return SEGMENT_BYTES


class Upload:
    """The sender's side; what is lost counts as sent again with the next number."""

    def __init__(self, start_ns, return_ns, stop_ns=1 << 63):
        self.due_ns, self.return_ns, self.stop_ns = start_ns, return_ns, stop_ns
        self.window, self.threshold = 10.0, float("inf")
        self.most, self.since_ns = 0.0, start_ns
        self.flying = {}
        self.acks = []  # (due_ns, segment)
        self.number = self.recover = 0
        self.rtt_ns = 200_000_000
        self.heard_ns = start_ns
        self.received = []  # (at_ns, size_bytes)

    def next_ns(self):
        times = [self.acks[0][0]] if self.acks else []
        if self.due_ns >= self.stop_ns:
            return times[0] if times else None
        if len(self.flying) < int(self.window):
            times.append(self.due_ns)
        elif self.flying:
            times.append(self.heard_ns + self.timeout_ns)
        return min(times)

    @property
    def timeout_ns(self):
        return max(MIN_TIMEOUT_NS, 2 * self.rtt_ns)

    def arrive(self, segment, at_ns):
        self.received.append((at_ns, SEGMENT_BYTES))
        self.acks.append((at_ns + self.return_ns, segment))

    def pump(self, now_ns, push):
        while self.acks and self.acks[0][0] <= now_ns:
            self._on_ack(self.acks.pop(0)[1], now_ns)
        if now_ns >= self.stop_ns:
            self.flying.clear()
            self.due_ns = self.stop_ns
            return
        if self.flying and now_ns - self.heard_ns >= self.timeout_ns:
            self.flying.clear()
            self.threshold, self.window = max(2.0, self.window * BETA), 1.0
            self.heard_ns = self.since_ns = now_ns
        if now_ns >= self.due_ns and len(self.flying) < int(self.window):
            segment = Segment(self.number, now_ns)
            if not self.flying:
                self.heard_ns = now_ns
            self.flying[self.number] = segment
            self.number += 1
            push(segment, now_ns)
            self.due_ns = now_ns + PACE_NS

    def _on_ack(self, segment, now_ns):
        self.heard_ns = now_ns
        if self.flying.pop(segment.number, None) is None:
            return
        self.rtt_ns += (now_ns - segment.sent_ns - self.rtt_ns) // 8
        lost = [number for number in self.flying if number + DUPLICATES <= segment.number]
        for number in lost:
            del self.flying[number]
        if lost and lost[-1] >= self.recover:
            self.recover = self.number
            self.most = self.window
            self.window = self.threshold = max(2.0, self.window * BETA)
            self.since_ns = now_ns
        elif self.window < self.threshold:
            self.window += 1
        else:
            self._climb(now_ns)

    def _climb(self, now_ns):
        seconds = (now_ns - self.since_ns + self.rtt_ns) / S
        knee = (self.most * (1 - BETA) / CUBIC) ** (1 / 3)
        cubic = CUBIC * (seconds - knee) ** 3 + self.most
        # Its growth where a Reno of the same losses would be faster (RFC 9438 section 4.3).
        alpha = 3 * (1 - BETA) / (1 + BETA)
        reno = self.most * BETA + alpha * (now_ns - self.since_ns) / self.rtt_ns
        wanted = min(max(cubic, reno), 1.5 * self.window)
        self.window += max(0.0, wanted - self.window) / self.window
