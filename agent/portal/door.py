"""Who is connected to the portal's port: the silent give way, and what is no HTTP is logged once a second.

Time-outs for the header and between requests are aiohttp's own (`KEEPALIVE_S`), those for bodies the routes'.
"""

import asyncio
import logging
import resource
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from agent.model.log_limit import LogLimit
from agent.portal.guard import refusal

MAX_CONNECTIONS = 4096
"""Dashboards and cameras that enrol; about 20 KB each, with TLS 80 KB."""
TLS_BUFFER_BYTES = 16 * 1024
"""One record (RFC 8446 section 5.1). asyncio takes 256 KB for each connection, silent ones too."""
KEEPALIVE_S = 20.0
"""How long a connection may take to ask something, from its start or from its last answer."""
HANDSHAKE_S = 10
BACKLOG = 1024
WANTED_FILES = 65_536
_SPARE_FILES = 256
"""For the database, the log, the broker."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Counts connections; when there are too many, the one that has been silent for longest gives way.

    It counts sockets, so that whoever never ends a TLS handshake counts, too.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._silent: OrderedDict[object, asyncio.Transport] = OrderedDict()
        """By their sockets, which a TLS transport shares with the one below it."""
        self._busy: set[object] = set()

    def guard(
        self, make: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> Callable[[], asyncio.BaseProtocol]:
        """The same protocols, counted; with `tls`, behind it."""
        if tls is None:
            return lambda: _Guarded(self, make())
        loop = asyncio.get_running_loop()

        def secure() -> asyncio.BaseProtocol:
            nobody_waits: Any = None
            inner = _Tls(loop, make(), tls, nobody_waits, server_side=True, ssl_handshake_timeout=HANDSHAKE_S)
            return _GuardedTls(self, inner)

        return secure

    def came(self, transport: asyncio.Transport) -> None:
        """One more connection; it, or the longest silent one, is ended where there is no room."""
        self._silent[_socket(transport)] = transport
        if len(self._silent) + len(self._busy) > self._most:
            _, oldest = self._silent.popitem(last=False)
            oldest.abort()

    def went(self, transport: asyncio.Transport) -> None:
        """A connection has ended."""
        self._silent.pop(_socket(transport), None)
        self._busy.discard(_socket(transport))

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """As long as a request is served, a WebSocket for example, its connection is not silent.

        Who has not sent the whole of it yet is.
        """
        key = _socket(request.transport) if request.transport else None
        transport = self._silent.get(key)
        if transport is None:
            return await handler(request)
        is_over = False

        def on_whole() -> None:
            if not is_over and key in self._silent:
                del self._silent[key]
                self._busy.add(key)

        request.content.on_eof(on_whole)
        try:
            return await handler(request)
        finally:
            is_over = True
            if key in self._busy:  # it has not gone
                self._busy.discard(key)
                self._silent[key] = transport


class _Counted(asyncio.BaseProtocol):
    """Tells the door, and hands everything on."""

    def __init__(self, door: Door, inner: asyncio.Protocol | SSLProtocol) -> None:
        self._door, self._inner = door, inner
        self.eof_received = inner.eof_received
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        self._door.came(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.went(self._transport)
        self._inner.connection_lost(exc)


class _Guarded(_Counted, asyncio.Protocol):
    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        super().__init__(door, inner)
        self.data_received = inner.data_received  # type: ignore[method-assign]  # every byte comes by here


class _GuardedTls(_Counted, asyncio.BufferedProtocol):
    def __init__(self, door: Door, inner: SSLProtocol) -> None:
        super().__init__(door, inner)
        self.get_buffer = inner.get_buffer  # type: ignore[assignment, method-assign]
        self.buffer_updated = inner.buffer_updated  # type: ignore[method-assign]


class _Tls(SSLProtocol):
    """As `create_server(ssl=…)` makes it, but small."""

    max_size = TLS_BUFFER_BYTES


def _socket(transport: asyncio.BaseTransport) -> object:
    return transport.get_extra_info("socket")


def make_door() -> Door:
    """As many connections as this process may have files, within bounds; it takes what the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return Door(min(MAX_CONNECTIONS, max(_SPARE_FILES, most - _SPARE_FILES)))


@web.middleware
async def refuse_compressed_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nobody of ours compresses what it sends, and a small body could become a large one."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return refusal(415, "compressed", "Send the body without Content-Encoding.")
    return await handler(request)


class _OnceASecond(logging.Filter):
    """What a client sent that is no HTTP is no fault of ours: one line a second, without a traceback."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._limit = LogLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        if not self._limit.note(self._clock()):
            return False
        record.msg = f"{record.getMessage()} ({self._limit.count} so far): {str(error.message)[:200]}"
        record.args, record.exc_info, record.levelno, record.levelname = (), None, logging.WARNING, "WARNING"
        return True


http_log = logging.getLogger("agent.portal.http")
"""For aiohttp's server."""
http_log.addFilter(_OnceASecond())
