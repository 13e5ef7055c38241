"""Several datagrams to one peer in one system call: UDP segmentation offload (udp(7), UDP_SEGMENT).

The kernel cuts one large write into datagrams of equal size, so the way through its layers is paid once a
burst. Where it cannot (an old kernel, a path MTU below our packets), they leave one by one.

An ECN field goes with each call and not with the socket: checks, DTLS and data leave by that too, and
answer no mark.
"""

import errno
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agent.rtc.ccfb import Ecn

log = logging.getLogger(__name__)

SendBurst = Callable[[Sequence[bytes]], None]
"""Sends datagrams to one peer, in order, now."""
UDP_SEGMENT = 103  # linux/udp.h
_FIELDS = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
}
"""Where the kernel takes the field from (ip(7), ipv6(7)); the six bits beside it stay 0, as without it."""
_CANNOT = {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
"""What a kernel, a card without checksums or a small path MTU says. Anything else passes."""
MAX_SEGMENTS = 40
"""The kernel takes 64; of 1356 bytes 48 fit into one datagram's 65 507."""


class BurstSocket:
    """Beside an asyncio datagram transport, on its socket."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        # asyncio lends its socket without `sendmsg`: a descriptor of our own for the same socket.
        lent = transport.get_extra_info("socket")
        self._socket = socket.socket(lent.family, lent.type, lent.proto, os.dup(lent.fileno()))
        self._has_segments = True

    def send(self, datagrams: Sequence[bytes], peer: Any = None, ecn: Ecn = Ecn.NOT_ECT) -> None:
        """Send now; `peer` is None on a connected socket. What the kernel has no room for, asyncio keeps.

        That leaves later and unmarked, as does what the kernel does not take with an ECN field.
        """
        for run in runs(datagrams):
            if len(run) == 1 or not self._has_segments or not self._send_segments(run, peer, ecn):
                for datagram in run:
                    if not ecn or not self._send_marked(datagram, peer, ecn):
                        self.transport.sendto(datagram, peer)

    def close(self) -> None:
        """Close our descriptor; the transport's stays."""
        self._socket.close()

    def _send_segments(self, run: Sequence[bytes], peer: Any, ecn: Ecn) -> bool:
        segments = (socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", len(run[0])))
        try:
            self._socket.sendmsg(run, [segments, *self._field(ecn)], 0, peer)
        except OSError as exc:
            if exc.errno in _CANNOT:
                log.info("no segmentation offload on this path: %s", exc)
                self._has_segments = False
            return False
        return True

    def _send_marked(self, datagram: bytes, peer: Any, ecn: Ecn) -> bool:
        try:
            self._socket.sendmsg((datagram,), self._field(ecn), 0, peer)
        except OSError:
            return False
        return True

    def _field(self, ecn: Ecn) -> list[tuple[int, int, bytes]]:
        return [(*_FIELDS[self._socket.family], struct.pack("i", ecn))] if ecn else []


def runs(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """What may leave together, in order: equal sizes, the last one perhaps shorter."""
    sizes = list(map(len, datagrams))
    start, count = 0, len(sizes)
    while start < count:
        size, end = sizes[start], start + 1
        most = min(count, start + MAX_SEGMENTS)
        while end < most and sizes[end] == size:
            end += 1
        if end < most and sizes[end] < size:
            end += 1
        yield datagrams[start:end]
        start = end
