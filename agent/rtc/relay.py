"""A TURN allocation (RFC 8656) as the datagram transport that aioice's ICE sends by.

In place of aioice's `TurnTransport`: no task for each datagram, channels bound by the monotonic clock, no
queue on a stalled TCP connection, servers that relay IPv6 alone, and an end that waits for nobody.
"""

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

from aioice import ice, stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.turn import TurnClientTcpProtocol, TurnClientUdpProtocol

from agent.rtc import seams as _seams  # noqa: F401  checks, at import, every private name used below
from agent.rtc.burst import BurstSocket, SendBurst
from agent.rtc.edge import Refusals
from agent.rtc.nat import is_other
from agent.rtc.refusal import (
    ALLOCATION_MISMATCH,
    FAMILY_NOT_SUPPORTED,
    FORBIDDEN,
    TRY_ALTERNATE,
    explain,
)
from agent.rtc.servers import TurnServer
from agent.rtc.sockets import hold_little

log = logging.getLogger(__name__)

Address = tuple[str, int]

LIFETIME_S = 600
"""Of an allocation; aioice refreshes it after five sixths (RFC 8656 section 3.2)."""
MAX_UNSENT_BYTES = 64 * 1024
"""More than this in a socket's own buffer, and the path counts as stalled."""
MAX_WAITING = 32
"""Datagrams kept for one peer while its channel is being bound; the oldest go first."""
ALLOCATE_TRIES = 3
"""From another port each: the first may be that of a client who left without a goodbye."""
HAPPY_EYEBALLS_S = 0.25  # RFC 8305 section 5
DELETE_TIMEOUT_S = 0.5
"""How long to wait for the server to confirm that an allocation is gone."""
_TCP_UNSENT_BYTES = 32 * 1024
"""In the kernel, beyond what is under way: left to itself it would hide seconds of video there."""
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)  # linux/tcp.h; in Python's socket since 3.12
_UDP_RECEIVE_BUFFER_BYTES = 256 * 1024
_REFRESH_S = 240.0  # a binding lives 600 s, its permission 300 s (RFC 8656 sections 12 and 9)
_RETRY_S = 5.0
_IPV6 = 0x02 << 24  # REQUESTED-ADDRESS-FAMILY (RFC 8656 section 18.6)
_HEADER = struct.Struct("!HH")  # ChannelData (RFC 8656 section 12.4)

# aioice knows no other family than the server's own choice, and no other server.
for _attribute in (
    (0x0017, "REQUESTED-ADDRESS-FAMILY", stun.pack_unsigned, stun.unpack_unsigned),
    (0x8023, "ALTERNATE-SERVER", stun.pack_address, stun.unpack_address),
):
    stun.ATTRIBUTES_BY_TYPE[_attribute[0]] = stun.ATTRIBUTES_BY_NAME[_attribute[1]] = _attribute


class RelayTransport(asyncio.DatagramTransport):
    """Sends through one allocation; what arrives goes to the protocol that it was opened with."""

    def __init__(self, client: "_Client", on_forbidden: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self._client = client
        self._on_forbidden = on_forbidden
        is_udp = isinstance(client, UdpClient)
        self._burst = BurstSocket(client.transport) if is_udp else None
        self._due_s: dict[Address, float] = {}
        self._waiting: dict[Address, list[bytes]] = {}
        self._binding: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        server: TurnServer,
        receiver: asyncio.DatagramProtocol,
        lifetime_s: int = LIFETIME_S,
        on_forbidden: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Allocate. Does not end by itself where nobody answers; raises OSError, stun.TransactionError.

        `on_forbidden` is told, in words, of each peer that the server does not relay to.
        """
        client = await _open_client(server, lifetime_s)
        relay = cls(client, on_forbidden)
        client.receiver = receiver
        receiver.connection_made(relay)
        return relay

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`sockname` is the relayed address, `related_address` ours as the server sees it."""
        known = {"sockname": self._client.relayed_address, "related_address": self._client.mapped_address}
        return known.get(name, default)

    @property
    def is_stalled(self) -> bool:
        """Whether the server takes nothing at present, or is gone: what is sent now would be late or lost."""
        transport: Any = self._client.transport  # typeshed gives a datagram transport no buffer size
        return bool(transport.is_closing() or transport.get_write_buffer_size() > MAX_UNSENT_BYTES)

    def route(self, peer: Address) -> SendBurst:
        """A function that sends to this peer, for a burst of datagrams: the channel is looked up once."""
        channel = self._client.peer_to_channel.get(peer)
        if channel is None:  # cannot happen after a check went this way
            return partial(self._send_each, peer)
        self._keep_bound(channel, peer)
        pack, send = _HEADER.pack, self._send_burst
        return lambda burst: send([pack(channel, len(data)) + data for data in burst])

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send, or keep it until the peer has a channel; dropped, as any datagram may be, while stalled."""
        if self.is_stalled:
            return
        channel = self._client.peer_to_channel.get(addr)
        if channel is not None:
            self._keep_bound(channel, addr)
            self._client._send(_HEADER.pack(channel, len(data)) + data)  # noqa: SLF001
            return
        waiting = self._waiting.get(addr)
        if waiting is None:
            self._waiting[addr] = [data]
            self._spawn(self._bind(addr), "channel")
        else:
            waiting.append(data)
            del waiting[:-MAX_WAITING]

    def is_closing(self) -> bool:
        """Whether nothing is sent any more."""
        return self._client.transport.is_closing()

    def close(self) -> None:
        """Abort: see `delete` for a goodbye."""
        self.abort()

    def abort(self) -> None:
        """Leave at once; a stalled server or a TLS goodbye is not waited for."""
        for task in self._binding:
            task.cancel()
        if self._client.refresh_task:
            self._client.refresh_task.cancel()
        self._client.transport.abort()
        if self._burst is not None:
            self._burst.close()

    async def delete(self) -> None:
        """Delete the allocation on the server, within half a second, and leave. Never raises."""
        for task in self._binding:
            task.cancel()
        with contextlib.suppress(TimeoutError, ConnectionError, stun.TransactionError):
            async with asyncio.timeout(DELETE_TIMEOUT_S):
                await self._client.delete()
        self.abort()

    async def try_peer(self, peer: Address) -> None:
        """Have it relay to this peer, once. Raises stun.TransactionError where the server does not."""
        await self._client.channel_bind(self._client.channel_number, peer)

    def _send_each(self, peer: Address, burst: Sequence[bytes]) -> None:
        for data in burst:
            self.sendto(data, peer)

    def _send_burst(self, burst: Sequence[bytes]) -> None:
        """ChannelData to the server."""
        if self._burst is not None:
            self._burst.send(burst)
            return
        for data in burst:
            self._client._send(data)  # noqa: SLF001

    def _keep_bound(self, channel: int, peer: Address) -> None:
        now_s = time.monotonic()
        if now_s >= self._due_s.get(peer, 0.0):
            # Marked as done first, so that one request goes out and not one a packet.
            self._due_s[peer] = now_s + _REFRESH_S
            self._spawn(self._refresh(channel, peer), "channel refresh")

    async def _bind(self, peer: Address) -> None:
        client = self._client
        # A failed binding is tried again with its number: always allowed (RFC 8656 section 12).
        channel = client.peer_to_failed_channel.pop(peer, None)
        if channel is None:
            channel, client.channel_number = client.channel_number, client.channel_number + 1
        try:
            await client.channel_bind(channel, peer)
        except (stun.TransactionError, ConnectionError) as exc:
            client.peer_to_failed_channel[peer] = channel
            log.info("no TURN channel to %s: %s", peer[0], exc)
            if isinstance(exc, stun.TransactionFailed) and exc.response.error_code == FORBIDDEN:
                self._on_forbidden(f"to {peer[0]} {explain(exc)}")
            del self._waiting[peer]
            return
        client.channel_to_peer[channel], client.peer_to_channel[peer] = peer, channel
        self._due_s[peer] = time.monotonic() + _REFRESH_S
        for data in self._waiting.pop(peer):
            self.sendto(data, peer)

    async def _refresh(self, channel: int, peer: Address) -> None:
        try:
            await self._client.channel_bind(channel, peer)
        except (stun.TransactionError, ConnectionError) as exc:
            self._due_s[peer] = time.monotonic() + _RETRY_S
            log.info("TURN channel could not be refreshed: %s", exc)

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._binding.add(task)
        task.add_done_callback(self._binding.discard)


async def relayed_candidate(
    server: TurnServer,
    receiver: ice.StunProtocol,
    *,
    rank: int,
    hide_related: bool,
    on_forbidden: Callable[[str], None],
) -> Candidate:
    """Allocate, and make `receiver` the ICE protocol of this relay. Raises as `RelayTransport.open` does."""
    relay = await RelayTransport.open(server, receiver, on_forbidden=on_forbidden)
    host, port = relay.get_extra_info("sockname")
    related: Address = relay.get_extra_info("related_address")
    if hide_related:  # RFC 9429 section 3.5.3, in the form of RFC 8839 section 5.1
        related = ("::" if ":" in host else "0.0.0.0", 9)  # noqa: S104  an address that says nothing
    receiver.local_candidate = Candidate(
        # A foundation for each way to the server (RFC 8445 section 5.1.1.3).
        foundation=candidate_foundation("relay", f"udp{server.rank}", host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "relay", 65535 - rank),
        host=host,
        port=port,
        type="relay",
        related_address=related[0],
        related_port=related[1],
    )
    return receiver.local_candidate


class UdpClient(TurnClientUdpProtocol):
    """What aioice's cannot read of a server's is dropped."""

    family: int | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refusals = Refusals("datagram of a TURN server")

    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        with self.refusals.guarded():
            super().datagram_received(data, addr)

    async def request(self, request: stun.Message) -> tuple[stun.Message, Address]:
        _name_family(self.family, request)
        return await super().request(request)


class TcpClient(TurnClientTcpProtocol):
    """The same over TCP or TLS; a burst of small messages costs what it is long, not its square."""

    family: int | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refusals = Refusals("message of a TURN server")
        self.waiting = bytearray()

    def data_received(self, data: bytes) -> None:
        """Cut the stream into messages (RFC 8656 section 12.5); at most one, of 64 KiB, waits for its end."""
        self.waiting += data
        at, peer = 0, self.transport.get_extra_info("peername")
        while len(self.waiting) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self.waiting, at)
            end = at + (_HEADER.size if kind >> 14 == 1 else 20) + length + stun.padding_length(length)
            if end > len(self.waiting):
                break
            with self.refusals.guarded():
                super().datagram_received(bytes(self.waiting[at:end]), peer)
            at = end
        del self.waiting[:at]

    async def request(self, request: stun.Message) -> tuple[stun.Message, Address]:
        _name_family(self.family, request)
        return await super().request(request)


_Client = UdpClient | TcpClient


def _name_family(family: int | None, request: stun.Message) -> None:
    if family is not None and request.message_method == stun.Method.ALLOCATE:
        request.attributes["REQUESTED-ADDRESS-FAMILY"] = family


async def _open_client(server: TurnServer, lifetime_s: int) -> _Client:
    address, tries_left = (server.host, server.port), ALLOCATE_TRIES
    is_alternate = False
    while True:
        client = await _connect(server, address, lifetime_s)
        tries_left -= 1
        try:
            await _allocate(client)
        except BaseException as exc:
            asked = client.transport.get_extra_info("peername")
            client.transport.abort()
            code = exc.response.error_code if isinstance(exc, stun.TransactionFailed) else None
            if code == TRY_ALTERNATE and not is_alternate:  # followed once, or two could send us to and fro
                address, is_alternate = _alternate(exc, asked[:2]), True
                log.info("TURN server %s sends us on to %s", server.url, address[0])
            elif code != ALLOCATION_MISMATCH or not tries_left:
                raise
        else:
            return client


def _alternate(refusal: Any, asked: Address) -> Address:
    """The server that a 300 names (RFC 8489 section 10): none inside our own network, if the first is not."""
    found: Address | None = refusal.response.attributes.get("ALTERNATE-SERVER")
    if not found or found == asked or not (found[0] == asked[0] or is_other(asked, found)):
        raise refusal
    return found


async def _connect(server: TurnServer, address: Address, lifetime_s: int) -> _Client:
    loop = asyncio.get_running_loop()
    arguments = (address, server.username, server.password, lifetime_s, lifetime_s)
    client: _Client
    if server.transport == "udp":
        _, client = await loop.create_datagram_endpoint(lambda: UdpClient(*arguments), remote_addr=address)
        option = (socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_RECEIVE_BUFFER_BYTES)
        hold_little(client.transport)
    else:
        _, client = await loop.create_connection(
            lambda: TcpClient(*arguments),
            *address,
            ssl=server.is_tls or None,
            # Of an alternate too: it is the first one's word that leads there (RFC 8489 section 10).
            server_hostname=server.host if server.is_tls else None,
            happy_eyeballs_delay=HAPPY_EYEBALLS_S,
        )
        option = (socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _TCP_UNSENT_BYTES)
    client.transport.get_extra_info("socket").setsockopt(*option)
    return client


async def _allocate(client: _Client) -> None:
    try:
        await client.connect()
    except stun.TransactionFailed as exc:
        if exc.response.error_code != FAMILY_NOT_SUPPORTED:
            raise
        client.family = _IPV6  # it relays no IPv4: the default, where a request names no family
        await client.connect()
