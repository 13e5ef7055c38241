"""What a hostile portal or device may send to `pinhole watch`."""

from fuzz.target import Target

from agent.client import peer, session
from agent.client.panel import draw
from agent.client.report import Meter
from agent.errors import PortalError


def check(data: bytes) -> None:
    """A message, an unknown one, or the documented error; replies of the device or nothing."""
    text = data.decode(errors="replace")
    try:
        message = session._parse(text)
    except PortalError as exc:
        assert len(str(exc)) < 500
        message = None
    if isinstance(message, session.DeviceChanged):
        draw(message.device, "connected", None, Meter())
    viewer = object.__new__(peer.Peer)
    viewer.path, viewer._pings, viewer._clock = None, (7, 1000.0), peer.Clock()
    for answer in (data, text):
        viewer._on_control(answer)
    assert viewer.path is None or len(viewer.path) <= 64


def seeds() -> list[bytes]:
    """One of each."""
    device = '{"id":"front","online":true,"streams":[]}'
    return [
        f'{{"type":"hello","ice_servers":[{{"urls":["stun:s"]}}],"devices":[{device}]}}'.encode(),
        f'{{"type":"device","device":{device}}}'.encode(),
        b'{"type":"device","device":{"id":"a","sections":{"portal":{"online":true},"modem":{"dbm":-7}}}}',
        b'{"type":"answer","session":"' + b"a" * 32 + b'","sdp":"v=0"}',
        b'{"type":"reject","session":"' + b"a" * 32 + b'","code":"no"}',
        b'{"type":"pong","id":7,"unix_ms":1e300}',
        b'{"type":"stats","path":"relay","rtt_ms":3.5,"more":[1]}',
        b'{"type":"news"}',
    ]


TARGET = Target("watch-messages", "What `pinhole watch` reads: portal and device.", check, seeds)
