"""URLs of ICE servers, as an offer may name them."""

from fuzz.target import Target

from agent.model.signal import IceServer
from agent.rtc.servers import parse_ice_servers


def check(data: bytes) -> None:
    """Each URL becomes a server that can be asked, or is left out."""
    urls = tuple(data.decode(errors="replace").split("\n"))
    stuns, turns = parse_ice_servers((IceServer(urls, "user", "secret"),))
    assert len(stuns) + len(turns) <= len(urls)
    for server in (*stuns, *turns):
        assert server.host
        assert 0 < server.port < 65536
    assert all(turn.transport in ("udp", "tcp") and turn.rank in (0, 1, 2) for turn in turns)


def seeds() -> list[bytes]:
    """One of each scheme."""
    return [
        b"stun:stun.example.org\nstuns:stun.example.org:5349",
        b"turn:192.0.2.1:3478?transport=tcp\nturns:turn.example.org:5349?transport=tcp\nturn:t:99999",
        b"turn:[2001:db8::1]:3478?transport=udp\nhttp://x\nturn:",
    ]


TARGET = Target("ice-servers", "URLs of STUN and TURN servers in an offer.", check, seeds, max_bytes=1024)
