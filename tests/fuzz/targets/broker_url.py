"""Broker URLs, as a person or an enrolment may give them."""

from fuzz.target import Target

from agent.errors import BrokerError
from agent.mqtt.endpoint import parse_endpoint


def check(data: bytes) -> None:
    """An address, or the documented error."""
    url = data.decode(errors="replace")
    try:
        endpoint = parse_endpoint(url)
    except BrokerError:
        return
    assert 0 <= endpoint.port <= 65535
    assert endpoint.host
    assert endpoint.websocket_path is None or endpoint.websocket_path.startswith("/")


def seeds() -> list[bytes]:
    """One of each scheme."""
    return [
        b"mqtt://broker.example:1883",
        b"mqtts://[2001:db8::1]:8883",
        b"wss://broker.example/mqtt",
        b"ws://broker.example:9001/a/b?c#d",
        b"http://broker.example",
        b"mqtt://[",
    ]


TARGET = Target("broker-url", "Broker URLs: settings and enrolment.", check, seeds, max_bytes=512)
