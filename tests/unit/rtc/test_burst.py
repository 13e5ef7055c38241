"""Several datagrams in one call, over loopback."""

import asyncio
import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rtc.burst import MAX_SEGMENTS, BurstSocket, runs
from agent.rtc.ccfb import Ecn


@given(st.lists(st.integers(1, 4), max_size=100))
def test_runs_hold_all_in_order_and_only_their_last_is_shorter(sizes):
    datagrams = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    found = list(runs(datagrams))
    assert [datagram for run in found for datagram in run] == datagrams
    for run in found:
        assert len(run) <= MAX_SEGMENTS
        assert {len(datagram) for datagram in run[:-1]} <= {len(run[0])}
        assert len(run[-1]) <= len(run[0])


def test_a_frame_of_equal_fragments_is_one_run():
    frame = [bytes(1200)] * 13 + [bytes(700)]
    assert [len(run) for run in runs(frame)] == [14]
    assert [len(run) for run in runs([bytes(1204), *frame])] == [2, 13]


@pytest.fixture
async def pair():
    """A burst socket, and what receives from it."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(5)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    burst = BurstSocket(transport)
    yield burst, receiver
    burst.close()
    transport.close()
    receiver.close()


SENT = [b"a" * 500, *[bytes([number]) * 100 for number in range(60)], b"end"]


async def test_datagrams_arrive_as_they_were_sent(pair):
    burst, receiver = pair
    burst.send(SENT, receiver.getsockname())
    assert [receiver.recv(2000) for _ in SENT] == SENT


@pytest.mark.parametrize(
    ("family", "host", "level", "wanted", "kind"),
    [
        (socket.AF_INET, "127.0.0.1", socket.IPPROTO_IP, socket.IP_RECVTOS, socket.IP_TOS),
        (socket.AF_INET6, "::1", socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, socket.IPV6_TCLASS),
    ],
    ids=["IPv4", "IPv6"],
)
async def test_the_ecn_field_is_of_each_call(family, host, level, wanted, kind):
    """Read off what arrives: in a burst, of one by itself, and none where none was asked for."""
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind((host, 0))
        receiver.settimeout(5)
        receiver.setsockopt(level, wanted, 1)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, 0))
        burst = BurstSocket(transport)
        burst.send(SENT, receiver.getsockname(), Ecn.ECT_1)
        burst.send(SENT, receiver.getsockname())
        found = []
        for _ in SENT * 2:
            data, ancillary, _, _ = receiver.recvmsg(2000, 100)
            ((_, found_kind, field),) = ancillary
            assert found_kind == kind
            found.append((data, field[0]))
        burst.close()
        transport.close()
    assert found == [(data, 1) for data in SENT] + [(data, 0) for data in SENT]


class Old:
    """A socket whose kernel refuses a burst."""

    def __init__(self, number):
        self.calls, self._number = 0, number

    def sendmsg(self, *_):
        self.calls += 1
        raise OSError(self._number, os.strerror(self._number))

    def close(self):
        pass


async def test_a_moment_without_a_route_ends_no_bursts(pair, monkeypatch, caplog):
    burst, receiver = pair
    burst.close()
    old = Old(errno.ENETUNREACH)
    monkeypatch.setattr(burst, "_socket", old)
    for _ in range(3):
        burst.send([b"a" * 100] * 2, receiver.getsockname())
    assert [receiver.recv(2000) for _ in range(6)] == [b"a" * 100] * 6
    assert old.calls == 3
    assert caplog.messages == []


async def test_where_the_kernel_cannot_they_leave_one_by_one(pair, monkeypatch):
    burst, receiver = pair
    burst.close()
    old = Old(errno.EINVAL)
    monkeypatch.setattr(burst, "_socket", old)
    burst.send(SENT, receiver.getsockname())
    burst.send(SENT, receiver.getsockname())
    assert [receiver.recv(2000) for _ in SENT * 2] == SENT * 2
    assert old.calls == 1, "it is tried once"
    monkeypatch.setattr(old, "family", socket.AF_INET, raising=False)
    burst.send(SENT, receiver.getsockname(), Ecn.ECT_1)
    assert [receiver.recv(2000) for _ in SENT] == SENT, "rather without a mark than not at all"
