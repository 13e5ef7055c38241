"""What Prometheus reads of this portal: one table, filled from cameras' sections and the portal's counters.

Names are by its convention (prometheus.io/docs/practices/naming): base units, `_total` for what only grows.
The only labels are `device` and `stream`: of both there are few.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from agent.model.media import STREAMS
from agent.portal.messages import Device

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class PortalCounters:
    """The portal's own."""

    broker_connected: bool
    disk_full: bool
    has_problem: bool
    websockets: int
    sessions: int
    refused_messages: int
    dropped_messages: int
    notifications_sent: int = 0
    notifications_failed: int = 0
    notifications_waiting: int = 0


@dataclass(frozen=True, slots=True)
class Scrape:
    """All that is known at one moment."""

    counters: PortalCounters
    devices: tuple[Device, ...]


def _plain(said: float) -> float:
    if not isinstance(said, int | float):
        raise TypeError
    return said


@dataclass(frozen=True, slots=True)
class Row:
    """One metric."""

    subject: str
    unit: str
    """Behind it in the name; empty for plain numbers, and for 1 and 0 as yes and no."""
    kind: Literal["gauge", "counter"]
    source: str
    """`SECTION.FIELD` of each camera, `streams.*.FIELD` of each stream, or `counters.FIELD` of the portal."""
    help: str
    number: Callable[[Any], float] = _plain
    """Of what the source says; where it cannot be had there is no sample."""

    @property
    def name(self) -> str:
        """As Prometheus has it."""
        parts = ("pinhole", self.subject, self.unit, "total" if self.kind == "counter" else "")
        return "_".join(filter(None, parts))

    @property
    def labels(self) -> tuple[str, ...]:
        """Of its samples."""
        if self.source.startswith("counters."):
            return ()
        return ("device", "stream") if ".*." in self.source else ("device",)


def _sum(counts: dict[str, int]) -> float:
    return sum(counts.values())


def _byte(bits: float) -> float:
    return bits / 8


def _is(state: str) -> Callable[[str], float]:
    return lambda said: float(said == state)


TABLE: tuple[Row, ...] = (
    Row("portal_broker_connected", "", "gauge", "counters.broker_connected", "It reaches the broker."),
    Row("portal_disk_full", "", "gauge", "counters.disk_full", "The portal's disk is full."),
    Row("portal_problem", "", "gauge", "counters.has_problem", "Something is wrong; see /healthz."),
    Row(
        "portal_websockets",
        "",
        "gauge",
        "counters.websockets",
        "Dashboards that are connected to it.",
    ),
    Row("portal_sessions", "", "gauge", "counters.sessions", "Streams that were opened over this portal."),
    Row(
        "portal_refused_messages", "", "counter", "counters.refused_messages", "Those that it would not take."
    ),
    Row(
        "portal_dropped_messages",
        "",
        "counter",
        "counters.dropped_messages",
        "Those that never left.",
    ),
    Row("portal_notifications_sent", "", "counter", "counters.notifications_sent", "Told by this portal."),
    Row(
        "portal_notifications_failed",
        "",
        "counter",
        "counters.notifications_failed",
        "Tries that a channel did not take.",
    ),
    Row(
        "portal_notifications_waiting",
        "",
        "gauge",
        "counters.notifications_waiting",
        "Messages that are to be told yet, by any portal.",
    ),
    Row("device_online", "", "gauge", "portal.online", "Else all else is the last that was known."),
    Row("device_viewers", "", "gauge", "viewers.count", "Streams that viewers have open at the camera."),
    Row("camera_failed", "", "gauge", "camera.state", "The camera cannot deliver pictures.", _is("failed")),
    Row("camera_live", "", "gauge", "camera.state", "The camera runs, since somebody watches.", _is("live")),
    Row("stream_width", "pixels", "gauge", "streams.*.width_px", "Width of the stream's pictures."),
    Row("stream_height", "pixels", "gauge", "streams.*.height_px", "Height of the stream's pictures."),
    Row("stream_frame_rate", "hertz", "gauge", "streams.*.fps", "Pictures a second that it is set to."),
    Row("stream_ceiling", "bytes_per_second", "gauge", "streams.*.bitrate_bps", "Its encoder's most.", _byte),
    Row("health_checked_timestamp", "seconds", "gauge", "health.at", "When the camera's doctor looked last."),
    Row("health_faults", "", "gauge", "health.faults", "What keeps the camera from serving.", len),
    Row("health_refused_messages", "", "counter", "health.refused", "Refused by the camera.", _sum),
    Row("release_on_trial", "", "gauge", "release.on_trial", "Its release has yet to prove itself."),
    Row("release_since_timestamp", "seconds", "gauge", "release.since", "Since when it runs; 0 for unknown."),
    Row("release_rollback_timestamp", "seconds", "gauge", "release.given_back_at", "The last; 0 for never."),
    Row("plan_used", "bytes", "gauge", "plan.used_bytes", "Sent to viewers in this month of the data plan."),
    Row("plan_cap", "bytes", "gauge", "plan.cap_bytes", "What the data plan allows in a month."),
    Row("plan_exceeded", "", "gauge", "plan.is_exceeded", "The cap is reached, and streams are held down."),
    Row("modem_connected", "", "gauge", "modem.state", "The modem carries data.", _is("connected")),
    Row("modem_signal_bars", "", "gauge", "modem.signal_bars", "What its signal is worth, 0 to 5."),
    Row(
        "modem_rsrp", "dbm", "gauge", "modem.rsrp_dbm", "Power of its cell; below -115 it is as good as gone."
    ),
    Row("modem_rsrq", "decibels", "gauge", "modem.rsrq_db", "How much of what it hears is its cell."),
    Row("modem_sinr", "decibels", "gauge", "modem.sinr_db", "Its signal above noise."),
    Row("modem_temperature", "celsius", "gauge", "modem.temperature_c", "Of the modem."),
    Row("modem_received", "bytes", "counter", "modem.received_bytes", "This month, of all programs."),
    Row("modem_sent", "bytes", "counter", "modem.sent_bytes", "This month, of all programs."),
    Row("modem_resets", "", "counter", "modem.resets", "Steps of recovery that were taken."),
    Row("modem_sms_done", "", "counter", "modem.sms_done", "Commands by SMS that were done."),
    Row("modem_sms_refused", "", "counter", "modem.sms_refused", "Commands by SMS that were not."),
    Row("settings_version", "", "gauge", "settings.version", "Of what was set from afar; 0 for nothing."),
    Row("settings_on_trial", "", "gauge", "settings.on_trial", "The newest change has yet to prove itself."),
    Row("settings_rollback_timestamp", "seconds", "gauge", "settings.went_back_at", "The last; 0 for never."),
)


def render(scrape: Scrape, table: Iterable[Row] = TABLE) -> bytes:
    """The text format, version 0.0.4. Pure, and for thousands of cameras a second's work."""
    return generate_latest(_Families(tuple(_family(row, scrape) for row in table)))


@dataclass(frozen=True, slots=True)
class _Families:
    """What the library calls a collector."""

    metrics: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _family(row: Row, scrape: Scrape) -> Metric:
    make = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = make(row.name, row.help, labels=row.labels)
    for labels, said in _samples(row, scrape):
        number = _number(row, said)
        if number is not None:
            family.add_metric(labels, number)
    return family


def _samples(row: Row, scrape: Scrape) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The labels' values, and what is said under them, of whatever type."""
    section, *_, field = row.source.split(".")
    if not row.labels:
        yield (), asdict(scrape.counters)[field]
        return
    for device in scrape.devices:
        said = device.sections.get(section, {})
        if "stream" not in row.labels:
            yield (device.id,), said.get(field)
            continue
        for stream in STREAMS:
            of_stream = said.get(stream)
            yield (device.id, stream), of_stream.get(field) if isinstance(of_stream, dict) else None


def _number(row: Row, said: Any) -> float | None:
    """A section that nobody here knows may hold anything."""
    try:
        number = float(row.number(said))
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None
    return number if math.isfinite(number) else None
