"""From what a viewer and the link noted to the figures of `scripts/bench link`. Pure."""

import bisect
import statistics
from dataclasses import dataclass, field
from itertools import pairwise

import av.filter
from bench.scenarios import SETTLE_S, Scenario
from bench.scene import FPS, video_frame

from agent.model import stamp

UP_S, DOWN_S = 5.0, 1.0
"""After a step up and a step down the rate has so long to settle."""
LEAST_S = 1.0
"""A phase that has less than this once settled says nothing."""
SETTLED = 0.85
MIN_BPS = 20_000
"""Less than the least that any of the senders aims at: what is below has not sent."""
MADE = 0.8
"""Of the pictures that are due: where a camera makes less, the machine is measured and not the link."""
WIRE_BYTES = 28 + 10
"""Of each packet beyond what Chromium counts: IPv4, UDP and the SRTP tag."""


@dataclass
class Viewing:
    """What one viewer noted. Times are seconds since the first picture."""

    frames: list[tuple[float, float | None]] = field(default_factory=list)
    """(shown, delay in ms or None where the stamp could not be read)."""
    stats: list[dict] = field(default_factory=list)
    """`inbound-rtp` every quarter of a second, with `at_s`."""
    ssim: list[float] = field(default_factory=list)


@dataclass
class Recording:
    """One run of one sender in one scenario."""

    scenario: Scenario
    sender: str
    viewings: list[Viewing]
    waits: list[tuple[float, int, float]] = field(default_factory=list)
    """Packets that passed the bottleneck: (when, bytes, ms in the queue)."""
    targets: list[tuple[float, int]] = field(default_factory=list)
    made: list[tuple[float, int]] = field(default_factory=list)
    """Pictures that the sender's camera has made until then, sent or not."""
    upload: list[tuple[float, int]] = field(default_factory=list)
    """What came of the TCP upload beside: (when, bytes since the one before)."""
    overflow_packets: int = 0
    came_packets: int = 0
    """To the uplink, from whomever, once settled."""
    lost_packets: int = 0
    """Of them: by chance, or for want of room."""
    receive_errors: int = 0
    """Datagrams that coturn's host dropped because a socket's buffer was full."""
    fault: str = ""


def ssim(width: int, height: int, picture: bytes, source_size: tuple[int, int], source: bytes) -> float:
    """Structural similarity of two luma planes (Wang 2004, by FFmpeg); a smaller one is scaled up first."""
    graph = av.filter.Graph()
    inputs = []
    for w, h in ((width, height), source_size):
        inputs.append(graph.add_buffer(width=w, height=h, format="gray", time_base="1/30"))
    scaled = graph.add("scale", f"{source_size[0]}:{source_size[1]}:flags=bicubic")
    compare, sink = graph.add("ssim"), graph.add("buffersink")
    inputs[0].link_to(scaled)
    scaled.link_to(compare, 0, 0)
    inputs[1].link_to(compare, 0, 1)
    compare.link_to(sink)
    graph.configure()
    for one, (w, h), data in zip(inputs, ((width, height), source_size), (picture, source), strict=True):
        frame = video_frame(data, w, h, "gray")
        frame.pts = 0
        one.push(frame)
        one.push(None)
    return float(sink.pull().metadata["lavfi.ssim.Y"])


def share(values: list[float], part: float) -> float | None:
    """A percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


def wire_bits(one: dict) -> float:
    """All that has arrived until then, as the link counts it."""
    return 8 * (one["bytesReceived"] + one["headerBytesReceived"] + WIRE_BYTES * one["packetsReceived"])


def arrived_bits(viewing: Viewing, start_s: float, stop_s: float) -> float:
    """Between two times, by interpolation."""
    return _at(viewing, stop_s) - _at(viewing, start_s)


def _at(viewing: Viewing, at_s: float) -> float:
    times = [one["at_s"] for one in viewing.stats]
    if not times:
        return 0.0
    place = min(len(times) - 1, bisect.bisect_left(times, at_s))
    if place == 0 or times[place] < at_s:
        return wire_bits(viewing.stats[place])
    a, b = viewing.stats[place - 1], viewing.stats[place]
    part = (at_s - a["at_s"]) / (b["at_s"] - a["at_s"])
    return wire_bits(a) + part * (wire_bits(b) - wire_bits(a))


def figures(recording: Recording) -> dict:
    """The figures of a run; `viewers` holds those of each viewer."""
    scenario = recording.scenario
    start_s, stop_s = SETTLE_S, scenario.seconds
    capacity = scenario.capacity_bits(start_s, stop_s)
    received = sum(arrived_bits(one, start_s, stop_s) for one in recording.viewings)
    waits = [wait_ms for at_s, _, wait_ms in recording.waits if start_s <= at_s < stop_s]
    viewers = [_viewer(one, start_s, stop_s) for one in recording.viewings]
    upload_bps = (
        8 * sum(size for at_s, size in recording.upload if start_s <= at_s < stop_s) / (stop_s - start_s)
    )
    made = _made(recording.made, start_s, stop_s)
    return {
        "scenario": scenario.name,
        "sender": recording.sender,
        "fault": recording.fault or _fault(scenario, viewers, upload_bps, made),
        "made": _rounded(made, 3),
        "capacity_bps": round(capacity / (stop_s - start_s)),
        "utilisation": round(received / capacity, 3),
        "queue_p50_ms": _rounded(share(waits, 0.5)),
        "queue_p95_ms": _rounded(share(waits, 0.95)),
        "lost": round(recording.lost_packets / max(1, recording.came_packets), 4),
        "upload_bps": None if scenario.upload_s is None else round(upload_bps),
        "overflow_packets": recording.overflow_packets,
        "receive_errors": recording.receive_errors,
        "phases": _phases(recording) if scenario.changes and recording.viewings else [],
        "viewers": viewers,
    }


def _made(notes: list[tuple[float, int]], start_s: float, stop_s: float) -> float | None:
    """Of the pictures that were due; None where the sender does not tell."""
    inside = [one for one in notes if start_s <= one[0] < stop_s]
    if not notes:
        return None
    if len(inside) < 2:
        return 0.0
    (first_s, first), (last_s, last) = inside[0], inside[-1]
    return (last - first) / (last_s - first_s) / FPS


def _fault(scenario: Scenario, viewers: list[dict], upload_bps: float, made: float | None) -> str:
    """Why there is nothing to measure; empty where there is."""
    for number, one in enumerate(viewers, 1):
        if "fault" in one:
            return f"viewer {number}: {one['fault']}"
        if one["received_bps"] < MIN_BPS or not one["fps"]:
            return (
                f"viewer {number} got {one['received_bps'] / 1e3:.0f} kb/s and {one['fps']} pictures a second"
            )
    if scenario.upload_s is not None and upload_bps < MIN_BPS:
        return f"the upload beside got {upload_bps / 1e3:.0f} kb/s"
    if made is not None and made < MADE:
        return f"the camera made {100 * made:.0f} % of its pictures: the machine is too busy"
    return ""


def _viewer(viewing: Viewing, start_s: float, stop_s: float) -> dict:
    inside = [one for one in viewing.stats if start_s <= one["at_s"] <= stop_s + 1]
    if len(inside) < 2:
        return {"fault": "no statistics"}
    first, last = inside[0], inside[-1]
    gone = {key: last[key] - first[key] for key in last}
    seconds = gone["at_s"]
    delays = [delay for at_s, delay in viewing.frames if delay is not None and start_s <= at_s < stop_s]
    repair = gone["retransmittedBytesReceived"] + gone["fecBytesReceived"]
    return {
        "delay_p50_ms": _rounded(share(delays, 0.5)),
        "delay_p95_ms": _rounded(share(delays, 0.95)),
        "freezes": int(gone["freezeCount"]),
        "frozen_s": round(gone["totalFreezesDuration"], 2),
        "longest_gap_s": round(_longest_gap(viewing, start_s, stop_s), 2),
        "fps": round(gone["framesDecoded"] / seconds, 1),
        "received_bps": round(arrived_bits(viewing, start_s, stop_s) / (stop_s - start_s)),
        "media_bps": round(8 * (gone["bytesReceived"] - repair) / seconds),
        "resent_bps": round(8 * gone["retransmittedBytesReceived"] / seconds),
        "fec_bps": round(8 * gone["fecBytesReceived"] / seconds),
        "lost": round(max(0, gone["packetsLost"]) / max(1, gone["packetsReceived"] + gone["packetsLost"]), 4),
        "keyframes": int(gone["keyFramesDecoded"]),
        "nacks": int(gone["nackCount"]),
        "plis": int(gone["pliCount"]),
        "height_px": int(last["frameHeight"]),
        "ssim": _rounded(sum(viewing.ssim) / len(viewing.ssim) if viewing.ssim else None, 4),
        "ssim_p5": _rounded(share(viewing.ssim, 0.05), 4),
    }


def _longest_gap(viewing: Viewing, start_s: float, stop_s: float) -> float:
    times = [start_s, *(at_s for at_s, _ in viewing.frames if start_s <= at_s < stop_s), stop_s]
    return max(b - a for a, b in pairwise(times))


def _phases(recording: Recording) -> list[dict]:
    """What of each rate arrived once it had settled, and when the mean of half a second first reached it."""
    viewing, phases, before = recording.viewings[0], [], 0.0
    for since_s, until_s, shape in recording.scenario.phases:
        rate = shape.rate_bps if shape.is_up else 0.0
        settle_s = UP_S if rate and rate > before else DOWN_S
        if rate and until_s - since_s >= settle_s + LEAST_S:
            bits = arrived_bits(viewing, since_s + settle_s, until_s)
            waits = [w for at_s, _, w in recording.waits if since_s + settle_s <= at_s < until_s]
            phases.append(
                {
                    "from_s": since_s,
                    "rate_bps": rate,
                    "settled": round(bits / (rate * (until_s - since_s - settle_s)), 3),
                    "reached_s": _reached(viewing, since_s, until_s, SETTLED * rate),
                    "queue_p95_ms": _rounded(share(waits, 0.95)),
                }
            )
        before = rate or 0.0
    return phases


def _reached(viewing: Viewing, since_s: float, until_s: float, bps: float) -> float | None:
    at_s = since_s
    while at_s + 0.5 <= until_s:
        if arrived_bits(viewing, at_s, at_s + 0.5) >= bps * 0.5:
            return round(at_s + 0.5 - since_s, 1)
        at_s += 0.1
    return None


def columns(row: dict, index: int) -> dict[str, float | None]:
    """What the table shows of one viewer of a run, in the units of its head."""
    one = row["viewers"][index]
    link = {
        "used\n%": 100 * row["utilisation"],
        "queue p95\nms": row["queue_p95_ms"],
        "lost\n%": 100 * row["lost"],
        "made\n%": None if row["made"] is None else 100 * row["made"],
        "TCP\nkb/s": None if row["upload_bps"] is None else row["upload_bps"] / 1e3,
    }
    viewer = {
        "delay p50\nms": one["delay_p50_ms"],
        "p95\nms": one["delay_p95_ms"],
        "freezes\n": one["freezes"],
        "frozen\ns": one["frozen_s"],
        "longest\ns": one["longest_gap_s"],
        "fps\n": one["fps"],
        "media\nkb/s": one["media_bps"] / 1e3,
        "repair\nkb/s": (one["resent_bps"] + one["fec_bps"]) / 1e3,
        "SSIM\n": one["ssim"],
        "p5\n": one["ssim_p5"],
        "height\npx": one["height_px"],
    }
    return (link if index == 0 else dict.fromkeys(link)) | viewer


def middle(runs: list[dict[str, float | None]]) -> dict[str, tuple[float, float, float] | None]:
    """Of each figure the median, the least and the greatest; None where no run has it."""
    found: dict[str, tuple[float, float, float] | None] = {}
    for name in runs[0]:
        values = [value for run in runs if (value := run[name]) is not None]
        found[name] = (statistics.median(values), min(values), max(values)) if values else None
    return found


def delay_ms(shown_ms: float, stamp_ms: int | None) -> float | None:
    """How old a picture is, with the fraction of the clock that reads it."""
    if stamp_ms is None:
        return None
    return stamp.age_ms(stamp_ms, int(shown_ms)) + shown_ms % 1


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
