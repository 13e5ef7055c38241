"""A candidate pool (W3C WebRTC `iceCandidatePoolSize`): sockets whose public address is known beforehand.

An answer that holds it saves a round trip to the STUN server: on a mobile link a tenth of a second. One
socket for each address is kept; its NAT is reminded of it about as often as the broker is of us.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.model.signal import IceServer
from agent.rtc.nat import Address, StunSocket, is_other
from agent.rtc.refusal import SERVER_FAULTS
from agent.rtc.servers import StunServer, reflexive_servers

log = logging.getLogger(__name__)

REFRESH_S = 25.0
"""NATs keep a UDP mapping for 30 s at least (RFC 4787 REQ-5 says 2 minutes; carriers do not)."""
RECEIVE_BUFFER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class PooledSocket:
    """A bound UDP socket, free to use by whoever sets its protocol."""

    transport: asyncio.DatagramTransport
    mapped: Address
    """Where the internet sees it."""


Take = Callable[[str], PooledSocket | None]


class CandidatePool:
    """One socket for each IPv4 address of ours. Empty until `learn` has named a STUN server."""

    def __init__(self, addresses: Callable[[], Sequence[str]]) -> None:
        self._addresses = addresses
        self._servers: list[StunServer] = []
        self._spares: dict[str, _Spare] = {}
        self._is_symmetric: bool | None = None
        self._wake = asyncio.Event()

    def learn(self, servers: Sequence[IceServer]) -> None:
        """Those of the newest offer: a device has none of its own."""
        found = reflexive_servers(servers)
        if found != self._servers:
            self._servers, self._is_symmetric = found, None
            self._wake.set()

    def take(self, address: str) -> PooledSocket | None:
        """The socket on this address, the caller's from now on; None where none is ready.

        Behind a symmetric NAT none ever is: viewers see another address than the STUN server does.
        """
        spare = self._spares.get(address)
        if spare is None or spare.mapped is None or self._is_symmetric:
            return None
        del self._spares[address]
        self._wake.set()
        return PooledSocket(spare.transport, spare.mapped)

    def reset(self) -> None:
        """Our network changed: what was learnt is of another one."""
        for spare in self._spares.values():
            spare.transport.abort()
        self._spares.clear()
        self._is_symmetric = None
        self._wake.set()

    async def run(self) -> None:
        """Keep it full until cancelled."""
        try:
            while True:
                self._wake.clear()
                await self._fill()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_S):
                        await self._wake.wait()
        finally:
            self.reset()

    async def _fill(self) -> None:
        server = await self._resolve()
        if server is None:
            return
        wanted = [address for address in self._addresses() if "." in address]
        for address in set(self._spares).difference(wanted):
            self._spares.pop(address).transport.abort()
        for address in wanted:
            if address not in self._spares and (spare := await _open(address)):
                self._spares[address] = spare
        await asyncio.gather(*(spare.ask(server) for spare in self._spares.values()))
        for spare in list(self._spares.values()):  # one may be taken while we ask
            if self._is_symmetric is None:
                self._is_symmetric = await spare.is_symmetric(server)

    async def _resolve(self) -> Address | None:
        loop = asyncio.get_running_loop()
        for server in self._servers:
            with contextlib.suppress(*SERVER_FAULTS):
                found = await loop.getaddrinfo(
                    server.host, server.port, family=socket.AF_INET, type=socket.SOCK_DGRAM
                )
                return str(found[0][4][0]), server.port
        return None


@dataclass(slots=True)
class _Spare:
    transport: asyncio.DatagramTransport
    asker: StunSocket
    mapped: Address | None = None
    other: Address | None = None
    """Another address of the server that told it (RFC 5780 section 7.4)."""

    async def ask(self, server: Address) -> None:
        answer = await self.asker.ask(server)
        self.mapped, self.other = (answer.mapped, answer.other) if answer else (None, None)

    async def is_symmetric(self, server: Address) -> bool | None:
        """Whether the NAT gives us another address for each we send to; None where nobody can tell."""
        if self.other is None or not is_other(server, self.other):
            return None
        answer = await self.asker.ask(self.other)
        return answer.mapped != self.mapped if answer else None


async def _open(address: str) -> _Spare | None:
    loop = asyncio.get_running_loop()
    try:
        transport, asker = await loop.create_datagram_endpoint(StunSocket, local_addr=(address, 0))
    except OSError as exc:  # the address has just gone
        log.debug("no socket on %s: %s", address, exc)
        return None
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return _Spare(transport, asker)
