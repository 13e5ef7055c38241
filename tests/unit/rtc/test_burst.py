"""Several datagrams in one call, over loopback."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rtc.burst import MAX_SEGMENTS, BurstSocket, runs


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


async def test_where_the_kernel_cannot_they_leave_one_by_one(pair, monkeypatch):
    burst, receiver = pair

    class Old:
        calls = 0

        def sendmsg(self, *_):
            self.calls += 1
            raise OSError(22, "Invalid argument")

        def close(self):
            pass

    burst.close()
    old = Old()
    monkeypatch.setattr(burst, "_socket", old)
    burst.send(SENT, receiver.getsockname())
    burst.send(SENT, receiver.getsockname())
    assert [receiver.recv(2000) for _ in SENT * 2] == SENT * 2
    assert old.calls == 1, "it is tried once"
