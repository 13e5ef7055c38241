"""ICE candidates, as a hostile viewer may trickle them."""

import asyncio

from aioice import ice as aioice_ice
from aioice.candidate import Candidate
from aioice.mdns import is_mdns_hostname
from fuzz.loop import run
from fuzz.sockets import Wire, connection_on
from fuzz.target import Target

from agent.rtc.ice import MAX_REMOTE_CANDIDATES


class _Mdns:
    """Names on the link: every other one is known."""

    async def resolve(self, name: str) -> str | None:
        await asyncio.sleep(0)
        return "192.0.2.9" if len(name) % 2 else None


async def _mdns(_subscriber: object) -> _Mdns:
    return _Mdns()


def check(data: bytes) -> None:
    """A line is used or passed over; nothing is raised, also not later, and what is kept has a bound."""
    run(_check(data.decode(errors="replace").split("\n")))


async def _check(lines: list[str]) -> None:
    wire = Wire()
    connection = connection_on(wire)
    original = aioice_ice.get_or_create_mdns_protocol
    aioice_ice.get_or_create_mdns_protocol = _mdns  # type: ignore[assignment]
    try:
        for line in lines:
            connection.add_remote(line)
        await asyncio.gather(*connection._tasks)
    finally:
        aioice_ice.get_or_create_mdns_protocol = original
    kept = connection._remote_candidates
    assert len(kept) <= MAX_REMOTE_CANDIDATES
    assert len(connection._check_list) <= MAX_REMOTE_CANDIDATES
    for candidate in kept:
        assert candidate.transport.lower() == "udp"
        assert 0 < candidate.port < 65536
        assert is_mdns_hostname(candidate.host) or candidate.host
        assert Candidate.from_sdp(candidate.to_sdp()).to_sdp() == candidate.to_sdp()
    assert not wire.sent, "adding a candidate sends nothing yet"


def seeds() -> list[bytes]:
    """Every kind of candidate."""
    lines = (
        "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host generation 0 ufrag a network-cost 10",
        "candidate:2 1 UDP 1686052607 203.0.113.4 6000 typ srflx raddr 192.0.2.1 rport 5000",
        "candidate:3 1 udp 1677729535 2001:db8::1 6000 typ relay raddr :: rport 9",
        "candidate:4 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "candidate:5 1 udp 2113937151 7f0e1c3a-1d2b-4c5d-8e9f-0a1b2c3d4e5f.local 5000 typ host",
        "candidate:6 1 udp 2113937151 ..local 5000 typ host",
        "candidate:7 2 udp 1 192.0.2.1 70000 typ prflx",
        "candidate:",
    )
    return [line.encode() for line in lines] + ["\n".join(lines).encode()]


TARGET = Target("candidate", "ICE candidates: a viewer, through the portal.", check, seeds)
