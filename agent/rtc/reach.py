"""Whether one ICE server works for us: a STUN binding (RFC 8489), or a TURN allocation (RFC 8656)."""

import asyncio
import time
from dataclasses import dataclass

from aioice import stun

from agent.errors import PathError
from agent.model.signal import IceServer
from agent.rtc.nat import Address, StunSocket
from agent.rtc.refusal import SERVER_FAULTS, explain, server_fault
from agent.rtc.relay import RelayTransport
from agent.rtc.servers import StunServer, TurnServer, parse_ice_servers

ALLOCATION_LIFETIME_S = 60
"""Should our goodbye to a TURN server be lost, the allocation is gone after this."""


@dataclass(frozen=True, slots=True)
class Target:
    """One URL of the list, and how it is reached."""

    url: str
    host: str
    port: int
    transport: str
    """`udp`, `tcp` or `tls`."""
    is_relay: bool
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that answered."""

    duration_ms: float
    mapped: Address
    """We, as the server sees us."""
    relayed: Address | None = None
    """What it relays for us; None from a STUN server."""
    forbidden: str = ""
    """Why it does not relay to itself, which is where another's relay is; empty where it does."""


def targets(servers: tuple[IceServer, ...]) -> list[Target]:
    """Every URL that the agent would use; what it cannot use is logged and left out."""
    stuns, turns = parse_ice_servers(servers)
    return [_of_stun(server) for server in stuns] + [_of_turn(server) for server in turns]


async def reach(target: Target) -> Reached:
    """Use the server as the agent would, and leave nothing behind on it.

    Does not end by itself before a minute where nothing answers. Raises PathError.
    """
    started_s = time.monotonic()
    try:
        mapped, relayed, forbidden = await (_allocate(target) if target.is_relay else _bind(target))
    except SERVER_FAULTS as exc:
        raise PathError(server_fault(exc)) from exc
    return Reached((time.monotonic() - started_s) * 1000, mapped, relayed, forbidden)


def _of_stun(server: StunServer) -> Target:
    return Target(server.url, server.host, server.port, "udp", is_relay=False)


def _of_turn(server: TurnServer) -> Target:
    transport = "tls" if server.is_tls else server.transport
    return Target(server.url, server.host, server.port, transport, True, server.username, server.password)


async def _bind(target: Target) -> tuple[Address, None, str]:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(target.host, target.port, type=2)
    family, _, _, _, address = addresses[0]
    transport, asker = await loop.create_datagram_endpoint(StunSocket, family=family)
    try:
        answer = await asker.ask((str(address[0]), target.port))
    finally:
        transport.abort()
    if answer is None:
        raise PathError("no answer")
    return answer.mapped, None, ""


async def _allocate(target: Target) -> tuple[Address, Address, str]:
    transport = "udp" if target.transport == "udp" else "tcp"
    is_tls = target.transport == "tls"
    server = TurnServer(
        target.url, target.host, target.port, transport, is_tls, target.username, target.password
    )
    relay = await RelayTransport.open(server, asyncio.DatagramProtocol(), ALLOCATION_LIFETIME_S)
    try:
        relayed = relay.get_extra_info("sockname")
        return relay.get_extra_info("related_address"), relayed, await _why_not_to(relay, relayed)
    finally:
        await relay.delete()


async def _why_not_to(relay: RelayTransport, peer: Address) -> str:
    try:
        await relay.try_peer(peer)
    except stun.TransactionFailed as exc:
        return explain(exc)
    return ""
