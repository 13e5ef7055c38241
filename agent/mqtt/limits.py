"""What the broker lets us publish (MQTT 5 section 3.2.2.3), and what becomes of a message under it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.model.publication import Publication

MAX_INFLIGHT = 20
"""QoS 1 messages under way unconfirmed, each way (MQTT 5 section 3.1.2.11.3: receive maximum)."""
RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED = 0x9A, 0x9B  # MQTT 5 section 2.4
EXPIRY_BYTES = 5
"""Message expiry interval: its identifier and four bytes (section 3.3.2.3.3)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What CONNACK says; the defaults are what its silence means. MQTT 3.1.1 has no words for any of it."""

    max_packet_bytes: int | None = None
    inflight: int = MAX_INFLIGHT
    has_retain: bool = True
    max_qos: int = 1
    """We ask for no more."""


def read_limits(properties: Mapping[str, object]) -> Limits:
    """From CONNACK's properties, by paho's names."""
    size, receive = properties.get("MaximumPacketSize"), properties.get("ReceiveMaximum")
    return Limits(
        max_packet_bytes=size if isinstance(size, int) else None,
        inflight=min(MAX_INFLIGHT, receive) if isinstance(receive, int) and receive else MAX_INFLIGHT,
        has_retain=properties.get("RetainAvailable", 1) != 0,
        max_qos=0 if properties.get("MaximumQoS", 2) == 0 else 1,
    )


def learn(limits: Limits, code: int) -> Limits:
    """A refused CONNECT, whose will went beyond a limit, says no more than its reason code."""
    if code == RETAIN_NOT_SUPPORTED:
        return replace(limits, has_retain=False)
    if code == QOS_NOT_SUPPORTED:
        return replace(limits, max_qos=0)
    return limits


def fit(publication: Publication, limits: Limits) -> tuple[int, bool]:
    """QoS and retain flag that the broker takes."""
    return min(publication.qos, limits.max_qos), publication.retain and limits.has_retain


def packet_bytes(publication: Publication, version: str) -> int:
    """The size of its PUBLISH, as the broker counts it (section 2.1.4: with the fixed header)."""
    body = 2 + len(publication.topic.encode()) + (2 if publication.qos else 0) + len(publication.payload)
    if version == "5":
        body += 1 + (EXPIRY_BYTES if publication.expires_s is not None else 0)
    length = 1
    while body >= 1 << 7 * length:
        length += 1
    return 1 + length + body


def too_large(publication: Publication, limits: Limits, version: str) -> str:
    """Why the broker would end the connection for it; empty where it has room."""
    size, limit = packet_bytes(publication, version), limits.max_packet_bytes
    if limit is None or size <= limit:
        return ""
    return (
        f"the MQTT broker takes {limit} bytes a message, and this one has {size}: raise its max_packet_size"
    )


def lacks(limits: Limits) -> list[str]:
    """What a person should change at the broker, in words."""
    found = []
    if not limits.has_retain:
        found.append(
            "it keeps no retained messages, so who starts later misses cameras until they speak again:"
            " allow them (Mosquitto: retain_available true)"
        )
    if limits.max_qos < 1:
        found.append("it takes QoS 0 alone, so messages may be lost: allow QoS 1 (Mosquitto: max_qos 2)")
    return found
