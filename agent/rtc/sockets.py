"""The UDP sockets of ICE, on aioice's: open to anybody who finds their port."""

import asyncio
import logging
import socket
from typing import Any

from aioice import ice, turn
from aioice.candidate import Candidate, candidate_foundation

from agent.rtc.edge import Refusals

log = logging.getLogger(__name__)

MAX_DATAGRAM_BYTES = 2048
"""No path carries more unasked. asyncio would have 256 KiB allocated, and given back, for each datagram."""


class IceSocket(ice.StunProtocol):
    """aioice's socket, for what its handlers are safe with: STUN, and data of the viewer's addresses."""

    def __init__(self, receiver: Any) -> None:
        super().__init__(receiver)
        self._connection = receiver
        self._refusals = Refusals("datagram")

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Tell STUN from the rest by the first byte (RFC 7983 section 7)."""
        if not isinstance(data, bytes) or not data:
            return
        if data[0] < 4:
            with self._refusals.guarded():
                super().datagram_received(data, addr)
        elif self._connection.is_known(addr[0], addr[1]):
            self._connection.data_received(data, self.local_candidate.component)
        else:
            self._refusals.note(f"not STUN, and from no candidate: {addr[0]}")


async def open_socket(address: str) -> asyncio.DatagramTransport | None:
    """A socket on one of our addresses, on a free port; None where it cannot be bound."""
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(address, 0))
    except OSError as exc:
        log.info("no socket on %s: %s", address, exc)
        return None
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, turn.UDP_SOCKET_BUFFER_SIZE
    )
    hold_little(transport)
    return transport


def hold_little(transport: Any) -> None:
    """Receive into a small buffer; `max_size` is asyncio's name for its size."""
    transport.max_size = MAX_DATAGRAM_BYTES


def adopt(transport: asyncio.DatagramTransport, connection: Any) -> IceSocket:
    """Make a bound socket the connection's, with the host candidate for it, whose priority is still open."""
    protocol = IceSocket(connection)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    host, port = transport.get_extra_info("sockname")[:2]
    foundation = candidate_foundation("host", "udp", host)
    protocol.local_candidate = Candidate(foundation, 1, "udp", 0, host, port, "host")
    return protocol
