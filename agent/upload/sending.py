"""Puts one part of a file to a URL, in a thread: paced, and cut off at once when somebody watches.

By the standard library alone. An HTTP client for asyncio hands its last bytes to the kernel even as it closes
a connection, and takes 7 MB more of memory; here what waits in the socket is dropped by a reset.
"""

import contextlib
import fcntl
import http.client
import os
import re
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from agent.errors import PinholeError
from agent.model.inside import open_inside
from agent.upload.parcel import Part

CONNECT_S, STALL_S, ANSWER_S = 15.0, 30.0, 60.0
"""For TCP, and for TLS; without a byte that left; until the store has answered."""
LIMIT_S = 1800.0
"""Of a whole part: at less than 25 kb/s it is given up, and begun anew when the link is better."""
LOOK_S = 0.05
"""Between two looks whether it is to end: so it gives way within 200 ms, whatever the link does."""
STEP_S = 0.1
"""Between two looks at the link."""
CHUNK_S, MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 0.02, 2048, 16 * 1024
"""Of the rate, at once: 16 KiB would by themselves make the queue of a thin link long."""
SOCKET_BYTES = 64 * 1024
"""What may wait in the kernel: more would only make the link's own queue longer."""
MAX_ANSWER_BYTES = 4096
_RTT = struct.Struct("@68xI")
"""`tcpi_rtt` of struct tcp_info (linux/tcp.h), in µs."""
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")


class Pace(Protocol):
    """How fast the link may be used."""

    def look(self, rtt_s: float | None) -> float:
        """Once every `STEP_S`; the rate until the next look, in bits a second."""


class HaltedError(PinholeError):
    """It was to end."""


class FileGoneError(PinholeError):
    """The file cannot be read, or is not what it was."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said."""

    status: int
    code: str = ""
    """S3's word for what is wrong, as `NoSuchUpload`."""


def parse_url(url: str) -> SplitResult:
    """Raises ValueError, whose words hold nothing of it."""
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or parts.scheme not in ("http", "https"):
        raise ValueError("no URL of a store")
    return parts


class Sending:
    """One part. Its errors' words hold no URL."""

    def __init__(
        self, file: Path, file_bytes: int, part: Part, pace: Pace, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        """`file_bytes` is what the whole file has; `tls` is asked where the URL wants it."""
        self.sent_bytes = 0
        self._file, self._file_bytes, self._part, self._pace, self._tls = file, file_bytes, part, pace, tls
        self._is_halted = threading.Event()
        self._due_s = self._looked_s = 0.0
        self._rate_bps = 1.0
        self._connection: _Connection | None = None

    def halt(self) -> None:
        """End it, from any thread."""
        self._is_halted.set()

    def abandon(self) -> None:
        """End it where it does not end: an answer that comes byte by byte would keep its thread for good."""
        self.halt()
        sock: socket.socket | None = self._connection.sock if self._connection else None
        if sock:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # TLS's own looks at what the thread uses

    def run(self) -> Answer:
        """Blocks. Raises HaltedError, FileGoneError, and OSError where the network fails."""
        descriptor = self._open()
        connection = self._connection = _Connection(parse_url(self._part.url), self._tls)
        try:
            connection.begin(self._part.size_bytes)
            try:
                self._send(connection.sock, descriptor)
                self._drain(connection.sock)
            except (ConnectionError, ssl.SSLError):  # a store that refuses need not wait for the end
                if not connection.has_answer():
                    raise
            return connection.answer()
        except http.client.HTTPException as exc:
            raise ConnectionError(f"no answer of a store: {type(exc).__name__}") from None
        except UnicodeError:  # of a name that can be none
            raise ConnectionError("no host has this name") from None
        finally:
            connection.cut()
            os.close(descriptor)

    def _open(self) -> int:
        try:
            descriptor = open_inside(self._file)
        except OSError as exc:
            raise FileGoneError(str(exc.strerror)) from exc
        if os.fstat(descriptor).st_size != self._file_bytes:
            os.close(descriptor)
            raise FileGoneError("it has another size than it had")
        return descriptor

    def _send(self, sock: socket.socket, descriptor: int) -> None:
        sock.settimeout(LOOK_S)
        at, end = self._part.offset, self._part.offset + self._part.size_bytes
        while at < end:
            self._look(sock, time.monotonic())
            wanted_bytes = min(MAX_CHUNK_BYTES, max(MIN_CHUNK_BYTES, int(self._rate_bps * CHUNK_S / 8)))
            chunk = _read(descriptor, min(wanted_bytes, end - at), at)
            at += len(chunk)
            self._wait_for_turn(sock, len(chunk))
            left, moved_s = memoryview(chunk), time.monotonic()
            while left:
                self._check()
                try:
                    count = sock.send(left)
                except TimeoutError:
                    if time.monotonic() - moved_s > STALL_S:
                        raise TimeoutError(f"the store took nothing for {STALL_S:g} s") from None
                    continue
                left, moved_s = left[count:], time.monotonic()
                self.sent_bytes += count

    def _wait_for_turn(self, sock: socket.socket, size_bytes: int) -> None:
        now_s = time.monotonic()
        self._due_s = max(self._due_s, now_s - STEP_S)
        while (left_s := self._due_s - now_s) > 0:
            self._look(sock, now_s)
            self._is_halted.wait(min(left_s, LOOK_S))
            self._check()
            now_s = time.monotonic()
        self._due_s += size_bytes * 8 / self._rate_bps

    def _look(self, sock: socket.socket, now_s: float) -> None:
        if now_s - self._looked_s >= STEP_S:
            self._looked_s = now_s
            (rtt_us,) = _RTT.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT.size))
            self._rate_bps = max(1.0, self._pace.look(rtt_us / 1e6 if rtt_us else None))

    def _drain(self, sock: socket.socket) -> None:
        """Until the store's machine has it all: from then on waiting takes nothing from who watches."""
        queued_bytes, moved_s = _queued(sock), time.monotonic()
        while queued_bytes:
            self._is_halted.wait(LOOK_S)
            self._check()
            before, queued_bytes = queued_bytes, _queued(sock)
            if queued_bytes < before:
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > STALL_S:
                raise TimeoutError(f"the store took nothing for {STALL_S:g} s")

    def _check(self) -> None:
        if self._is_halted.is_set():
            raise HaltedError("somebody watches, or it may not be sent any more")


class _Connection(http.client.HTTPConnection):
    """For one request. It follows no redirect, knows no proxy, and resets what is not done."""

    sock: socket.socket

    def __init__(self, url: SplitResult, tls: Callable[[], ssl.SSLContext]) -> None:
        super().__init__(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
        self._url, self._tls, self._is_done = url, tls, False

    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), CONNECT_S)
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            is_tls = self._url.scheme == "https"
            self.sock = self._tls().wrap_socket(raw, server_hostname=self.host) if is_tls else raw
        except BaseException:
            raw.close()
            raise

    def begin(self, size_bytes: int) -> None:
        """The request's head: no header beside those that a store signs."""
        target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        self.putrequest("PUT", target, skip_host=True, skip_accept_encoding=True)
        self.putheader("Host", self._url.netloc)
        self.putheader("Content-Length", str(size_bytes))
        self.endheaders()

    def has_answer(self) -> bool:
        """Whether there is something to read."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(LOOK_S * 1000))

    def answer(self) -> Answer:
        """What the store says of it."""
        self.sock.settimeout(ANSWER_S)
        response = self.getresponse()
        body = response.read(MAX_ANSWER_BYTES)
        code = _CODE.search(body)
        self._is_done = True
        return Answer(response.status, code[1].decode() if code else "")

    def cut(self) -> None:
        """Close it; what still waits in the kernel is dropped."""
        sock: socket.socket | None = self.sock  # None until it is connected
        if sock and not self._is_done:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def _read(descriptor: int, size_bytes: int, at: int) -> bytes:
    try:
        chunk = os.pread(descriptor, size_bytes, at)
    except OSError as exc:
        raise FileGoneError(str(exc.strerror)) from exc
    if not chunk:
        raise FileGoneError("it has become shorter")
    return chunk


def _queued(sock: socket.socket) -> int:
    """What the other machine has not confirmed, in bytes (tcp(7), SIOCOUTQ)."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return int(count)
