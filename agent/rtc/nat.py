"""Which NAT is here, asked of STUN servers as RFC 5780 describes, in RFC 4787's words."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from aioice import stun

from agent.errors import PathError
from agent.model.health import NatKind

log = logging.getLogger(__name__)

RETRANSMISSIONS = 2
"""At 0, 0.5 and 1.5 s."""
ANSWER_TIMEOUT_S = 2.5
"""A whole probe asks twice in a row at most."""
MAX_SERVERS = 4
CHANGE_IP, CHANGE_PORT = 4, 2  # RFC 5780 section 7.2

Address = tuple[str, int]
Dependence = Literal["endpoint-independent", "address-dependent", "address- and port-dependent"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A binding response."""

    mapped: Address
    """Where our packet came from, as the server saw it."""
    source: Address
    other: Address | None = None
    """Another address and port of the same server (RFC 5780 section 7.4)."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How UDP is treated between us and the internet; None for what could not be learnt."""

    is_udp_open: bool
    local_ip: str = ""
    mapped: Address | None = None
    mapping: Dependence | None = None
    filtering: Dependence | None = None

    @property
    def is_translated(self) -> bool:
        """Whether the internet sees another address than ours."""
        return self.mapped is not None and self.mapped[0] != self.local_ip

    @property
    def kind(self) -> NatKind:
        """The classic name (RFC 3489 section 5) of this mapping and filtering."""
        if not self.is_udp_open:
            return "udp-blocked"
        if not self.is_translated:
            return "open" if self.filtering == "endpoint-independent" else "firewall"
        if self.mapping is None:
            return "unknown"
        if self.mapping != "endpoint-independent":
            return "symmetric"
        return "cone" if self.filtering is None else _CONES[self.filtering]


_CONES: dict[Dependence, NatKind] = {
    "endpoint-independent": "full-cone",
    "address-dependent": "restricted",
    "address- and port-dependent": "port-restricted",
}


class Asker(Protocol):
    """A UDP socket that asks STUN servers."""

    async def ask(self, server: Address, change: int = 0) -> Answer | None:
        """One binding request; `change` wants the answer from elsewhere. None where none comes in time."""


OpenAsker = Callable[[], AbstractAsyncContextManager[Asker]]


async def probe(servers: Sequence[Address]) -> Behaviour:
    """Ask these STUN servers (IP and port, one family; at most four are used). Takes 5 s at most.

    One server with two addresses (RFC 5780 OTHER-ADDRESS) tells mapping and filtering; two servers with one
    each tell the mapping. Raises PathError where there is no route to any.
    """
    servers = list(dict.fromkeys(servers))[:MAX_SERVERS]
    local_ip = _source_ip(servers[0])
    return await examine(servers, lambda: _open_asker(local_ip), local_ip)


async def examine(servers: Sequence[Address], open_asker: OpenAsker, local_ip: str) -> Behaviour:
    """The same by whatever asks: RFC 5780 sections 4.3 and 4.4."""
    async with open_asker() as asker:
        # All from one socket: the servers' views of it are what the mapping is judged by.
        answers = await asyncio.gather(*(asker.ask(server) for server in servers))
        heard = {s: a for s, a in zip(servers, answers, strict=True) if a}
        if not heard:
            return Behaviour(is_udp_open=False, local_ip=local_ip)
        first = next(iter(heard.values()))
        able = next(((s, a.other) for s, a in heard.items() if a.other and is_other(s, a.other)), None)
        if able is None:
            return Behaviour(True, local_ip, first.mapped, _mapping_of_two(heard))
        server, other = able
        (mapping, is_other_alive), filtering = await asyncio.gather(
            _mapping(asker, server, heard[server], other), _filtering(open_asker, server)
        )
    # Silence from an address that never answers says nothing about a filter.
    return Behaviour(
        True, local_ip, first.mapped, mapping or _mapping_of_two(heard), filtering if is_other_alive else None
    )


async def _mapping(
    asker: Asker, server: Address, first: Answer, other: Address
) -> tuple[Dependence | None, bool]:
    """RFC 5780 section 4.3; and whether the server's other address answers."""
    same_port, other_port = await asyncio.gather(asker.ask((other[0], server[1])), asker.ask(other))
    if same_port is None or other_port is None:
        return None, same_port is not None or other_port is not None
    if first.mapped == same_port.mapped == other_port.mapped:
        return "endpoint-independent", True
    is_by_address = same_port.mapped == other_port.mapped
    return "address-dependent" if is_by_address else "address- and port-dependent", True


def _mapping_of_two(heard: dict[Address, Answer]) -> Dependence | None:
    """What servers at different IP addresses see; None where there is but one."""
    mapped = {server[0]: answer.mapped for server, answer in heard.items()}
    if len(mapped) < 2:
        return None
    return "endpoint-independent" if len(set(mapped.values())) == 1 else "address-dependent"


async def _filtering(open_asker: OpenAsker, server: Address) -> Dependence | None:
    """RFC 5780 section 4.4, from a socket that has sent to this one address alone."""
    async with open_asker() as asker:
        if await asker.ask(server) is None:
            return None
        both, port = await asyncio.gather(
            asker.ask(server, CHANGE_IP | CHANGE_PORT), asker.ask(server, CHANGE_PORT)
        )
    if server in (both and both.source, port and port.source):
        return None  # it ignores what we ask of it
    if both:
        return "endpoint-independent"
    return "address-dependent" if port else "address- and port-dependent"


def is_other(server: Address, other: Address) -> bool:
    """Whether a server's OTHER-ADDRESS may be asked: its own word must not send us into our own network."""
    here, there = ipaddress.ip_address(server[0]), ipaddress.ip_address(other[0])
    if there == here or there.version != here.version or not other[1]:
        return False
    return not here.is_global or there.is_global


class StunSocket(asyncio.DatagramProtocol):
    """See `Asker`."""

    def __init__(self) -> None:
        self._transactions: dict[bytes, stun.Transaction] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def ask(self, server: Address, change: int = 0) -> Answer | None:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        if change:
            request.attributes["CHANGE-REQUEST"] = change
        transaction = stun.Transaction(request, server, self, retransmissions=RETRANSMISSIONS)
        self._transactions[request.transaction_id] = transaction
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                response, source = await transaction.run()
        except (stun.TransactionError, TimeoutError):
            return None
        finally:
            del self._transactions[request.transaction_id]
        mapped = response.attributes.get("XOR-MAPPED-ADDRESS")
        return mapped and Answer(mapped, source[:2], response.attributes.get("OTHER-ADDRESS"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        """Called by aioice's transaction, also for its retransmissions."""
        if self._transport is not None:
            self._transport.sendto(bytes(message), addr)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            message = stun.parse_message(data)
        except (ValueError, struct.error):
            return  # not STUN, or broken
        transaction = self._transactions.get(message.transaction_id)
        if transaction and message.message_class in (stun.Class.RESPONSE, stun.Class.ERROR):
            transaction.response_received(message, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("STUN: %s", exc)  # no route, or refused: the request is not answered, which says enough


@contextlib.asynccontextmanager
async def _open_asker(local_ip: str) -> AsyncIterator[StunSocket]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(StunSocket, local_addr=(local_ip, 0))
    try:
        yield protocol
    finally:
        transport.abort()


def _source_ip(server: Address) -> str:
    """Our address on the way to it; connecting a UDP socket sends nothing."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(server)
        except OSError as exc:
            raise PathError(f"no route to {server[0]}: {exc.strerror}") from exc
        return str(sock.getsockname()[0])
