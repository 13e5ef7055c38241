"""Where each message goes: one table of topics, and what follows from it. Pure.

Subscriptions, QoS and expiry of what is published, and the brokers' access rules are all made from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from agent.errors import MessageError
from agent.model.ids import is_id
from agent.model.signal import OFFER_LIFETIME_S, VERSION, BareEventKind

Channel = Literal["keys", "state", "sections", "health", "event", "confirm", "in", "look", "events", "out"]
End = Literal["device", "portal"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of topic. What one end writes the other one subscribes to."""

    levels: str
    """Below `<prefix>/v1/`; `{device}` and `{name}` stand for an id each."""
    writer: End
    qos: Literal[0, 1] = 1
    is_retained: bool = False
    expiry_s: float | None = None
    """MQTT 5 message expiry; None where a message counts however late it comes."""
    names: tuple[str, ...] = ()
    """All that `{name}` can be; empty where it is free."""
    within: Channel | None = None
    """Another row's topics hold this one, whose rules and subscriptions do for both: so a broker that was set
    up before there was this row lets it through."""

    def at(self, prefix: str, device: str = "+", name: str = "+") -> str:
        """Its topic, or with a wildcard the filter for several."""
        return f"{prefix}/v{VERSION}/{self.levels.format(device=device, name=name)}"

    def narrowest(self, prefix: str, device: str) -> Iterator[str]:
        """Whole topics wherever the names are known; else the filter for them."""
        return (self.at(prefix, device, name) for name in self.names or ("+",))


TABLE: Final[Mapping[Channel, Row]] = {
    # The first that a device subscribes to, since it judges offers by them.
    "keys": Row("keys/{name}", "portal", is_retained=True),
    "state": Row("{device}/state", "device", is_retained=True),
    # What `state` has no key for.
    "sections": Row("{device}/sections", "device", is_retained=True),
    # The next one comes soon.
    "health": Row("{device}/health", "device", qos=0, expiry_s=60.0),
    "event": Row("{device}/event/{name}", "device", names=get_args(BareEventKind)),
    # A device that has not heard it by then tells its events again, and is answered anew.
    "confirm": Row("{device}/signal/events/in", "portal", expiry_s=60.0, within="in"),
    "in": Row("{device}/signal/{name}/in", "portal", expiry_s=OFFER_LIFETIME_S),
    # A device that is away for longer looks by itself when it is back.
    "look": Row("{device}/command/look/in", "portal", expiry_s=300.0),
    # By then it is told again.
    "events": Row("{device}/signal/events/out", "device", expiry_s=120.0, within="out"),
    "out": Row("{device}/signal/{name}/out", "device", expiry_s=OFFER_LIFETIME_S),
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours, taken apart."""

    device: str
    """Empty for `keys`, which is for all."""
    channel: Channel
    name: str = ""
    """The session of `in` and `out`, the kind of `event`, the key's id of `keys`."""


def encode_topic(prefix: str, topic: Topic) -> str:
    """Raises MessageError `unknown-topic` where one of its names cannot be a level."""
    row = TABLE[topic.channel]
    device = _level(topic.device) if "{device}" in row.levels else ""
    return row.at(prefix, device, _level(topic.name) if "{name}" in row.levels else "")


def parse_topic(prefix: str, topic: str) -> Topic:
    """Take a topic apart. Raises MessageError `unknown-topic` where it is none of ours."""
    start = f"{prefix}/v{VERSION}/"
    levels = topic.removeprefix(start).split("/") if topic.startswith(start) else []
    if all(map(is_id, levels)):
        for channel, row in TABLE.items():
            wanted = row.levels.split("/")
            ids = dict(zip(wanted, levels, strict=False))
            found = Topic(ids.get("{device}", ""), channel, ids.get("{name}", ""))
            if row.at(prefix, found.device, found.name) == topic:
                return found
    raise MessageError("unknown-topic", f"{ascii(topic)[:200]} is no topic of version {VERSION}")


def written_by(end: End) -> tuple[Row, ...]:
    """What this end publishes, and the other one subscribes to; no row that is within another."""
    return tuple(row for row in TABLE.values() if row.writer == end and row.within is None)


def device_filters(prefix: str, device: str) -> tuple[str, ...]:
    """What a device subscribes to. Raises MessageError where `device` cannot be a level."""
    own = _level(device)
    return tuple(row.at(prefix, own) for row in written_by("portal"))


def portal_filters(prefix: str) -> tuple[str, ...]:
    """What a portal subscribes to: what every device says."""
    return tuple(row.at(prefix) for row in written_by("device"))


def unkept_filters(prefix: str) -> tuple[str, ...]:
    """Those of them on which the broker should keep nothing."""
    return tuple(row.at(prefix) for row in written_by("device") if not row.is_retained)


def optional_filters(prefix: str) -> tuple[str, ...]:
    """Those of them that a broker with older access rules may refuse: there is less to show, no more."""
    return (TABLE["sections"].at(prefix),)


def kept_topics(prefix: str, device: str) -> tuple[str, ...]:
    """Where the broker may keep something of a device: what it says so, and what a hostile one left."""
    own = _level(device)
    topics = (topic for row in written_by("device") for topic in row.narrowest(prefix, own))
    return tuple(topic for topic in topics if "+" not in topic)


def _level(name: str) -> str:
    if not is_id(name):
        raise MessageError("unknown-topic", f"{ascii(name)[:80]} cannot be a level of a topic")
    return name
