"""What a viewer saw: counts and times, added up as they come. Pure: time is an argument."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_LATENCY_MS = 60_000
"""Above it clocks differ rather than pictures are late."""


@dataclass(slots=True)
class Meter:
    """Adds up one session. Times are `time.monotonic()` in seconds."""

    offered_at_s: float | None = None
    first_at_s: float | None = None
    last_at_s: float | None = None
    frames: int = 0
    width_px: int = 0
    height_px: int = 0
    latencies_ms: Counter[int] = field(default_factory=Counter)
    """How many pictures had which latency; bounded by MAX_LATENCY_MS keys."""
    lost_packets: int = 0
    jitter_ms: float | None = None
    first_bytes: tuple[float, int] | None = None
    last_bytes: tuple[float, int] | None = None

    def on_frame(self, now_s: float, width_px: int, height_px: int, latency_ms: int | None) -> None:
        """Count a decoded picture; `latency_ms` from its stamp, where it carries one."""
        if self.first_at_s is None:
            self.first_at_s = now_s
        self.last_at_s = now_s
        self.frames += 1
        self.width_px, self.height_px = width_px, height_px
        if latency_ms is not None and abs(latency_ms) <= MAX_LATENCY_MS:
            self.latencies_ms[latency_ms] += 1

    def on_received(self, now_s: float, total_bytes: int) -> None:
        """Note how many bytes have come in all; the rate counts from the first note on."""
        if self.first_bytes is None:
            self.first_bytes = (now_s, total_bytes)
        self.last_bytes = (now_s, total_bytes)

    @property
    def first_frame_ms(self) -> float | None:
        """From the offer to the first decoded picture."""
        if self.offered_at_s is None or self.first_at_s is None:
            return None
        return round((self.first_at_s - self.offered_at_s) * 1000, 1)

    @property
    def seconds(self) -> float:
        """From the first decoded picture to the last."""
        if self.first_at_s is None or self.last_at_s is None:
            return 0.0
        return round(self.last_at_s - self.first_at_s, 3)

    @property
    def fps(self) -> float:
        """Pictures after the first, a second."""
        return round((self.frames - 1) / self.seconds, 2) if self.seconds > 0 else 0.0

    @property
    def bitrate_bps(self) -> int | None:
        """Everything that was received, a second."""
        if self.first_bytes is None or self.last_bytes is None:
            return None
        elapsed_s = self.last_bytes[0] - self.first_bytes[0]
        return round((self.last_bytes[1] - self.first_bytes[1]) * 8 / elapsed_s) if elapsed_s > 0 else None

    def latency_ms(self, share: float) -> int | None:
        """The latency that this share of the pictures does not exceed: 0.5 is the median."""
        wanted = share * self.latencies_ms.total()
        seen = 0
        for value in sorted(self.latencies_ms):
            seen += self.latencies_ms[value]
            if seen >= wanted:
                return value
        return None


@dataclass(slots=True)
class Clock:
    """How far the device's clock is ahead of ours, from the ping with the shortest round trip (RFC 5905)."""

    offset_ms: float = 0.0
    rtt_ms: float | None = None

    def on_pong(self, sent_ms: float, received_ms: float, device_ms: float) -> None:
        """Take a pong into account; all three are Unix time in ms."""
        rtt_ms = received_ms - sent_ms
        if rtt_ms < 0 or (self.rtt_ms is not None and rtt_ms > self.rtt_ms):
            return
        offset_ms = device_ms - (sent_ms + received_ms) / 2
        # What lies within the measurement's own error is not a difference: both may be the same clock.
        self.offset_ms = offset_ms if abs(offset_ms) > rtt_ms / 2 + 1 else 0.0
        self.rtt_ms = rtt_ms


def as_json(
    meter: Meter, device: str | None, path: str | None, errors: list[str], now: tuple[float, float]
) -> dict[str, Any]:
    """The object that `--json` prints; what is not known is null. `now` is Unix and monotonic time, in s."""
    unix_s, now_s = now
    median = meter.latency_ms(0.5)
    return {
        "device": device,
        "seconds": meter.seconds,
        "first_frame_ms": meter.first_frame_ms,
        "first_frame_at": None if meter.first_at_s is None else round(unix_s - (now_s - meter.first_at_s), 3),
        "frames": meter.frames,
        "fps": meter.fps,
        "width_px": meter.width_px,
        "height_px": meter.height_px,
        "bitrate_bps": meter.bitrate_bps,
        "latency_ms": None if median is None else {"p50": median, "p95": meter.latency_ms(0.95)},
        "path": path,
        "lost_packets": meter.lost_packets,
        "jitter_ms": meter.jitter_ms,
        "errors": errors,
    }
