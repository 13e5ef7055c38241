"""What a hostile TURN server may send, over UDP and over TCP."""

import struct

from aioice import stun
from fuzz.loop import run
from fuzz.sockets import VIEWER, Wire, connection_on
from fuzz.target import Target, join, steps

from agent.rtc.ice import MAX_REMOTE_CANDIDATES, MAX_WAITING_DATAGRAMS
from agent.rtc.relay import TcpClient, UdpClient

CHANNEL = 0x4000


def check(data: bytes) -> None:
    """Nothing is raised, what is kept has a bound, and no more comes in than was sent."""
    run(_check(data))


async def _check(data: bytes) -> None:
    kinds = (UdpClient, TcpClient)
    connection = connection_on(Wire())
    [receiver] = connection._protocols
    for kind in kinds:
        client = kind(("192.0.2.99", 3478), "user", "secret", 600, 500)
        client.connection_made(Wire())
        client.receiver = receiver
        client.channel_to_peer[CHANNEL], client.peer_to_channel[VIEWER] = VIEWER, CHANNEL
        for step in steps(data):
            if kind is TcpClient:
                client.data_received(step)
            else:
                client.datagram_received(step, ("192.0.2.99", 3478))
        assert len(getattr(client, "waiting", b"")) <= 2 * 65536 + 24
    assert connection._queue.qsize() <= MAX_WAITING_DATAGRAMS
    assert len(connection._remote_candidates) <= MAX_REMOTE_CANDIDATES


def seeds() -> list[bytes]:
    """Channel data, indications, answers to nothing."""
    payload = b"\x80\xc9\0\1abcd"
    indication = stun.Message(stun.Method.DATA, stun.Class.INDICATION, b"i" * 12)
    indication.attributes |= {"XOR-PEER-ADDRESS": VIEWER, "DATA": payload}
    answer = stun.Message(stun.Method.ALLOCATE, stun.Class.ERROR, b"a" * 12)
    answer.attributes |= {"ERROR-CODE": (401, "no"), "REALM": "r", "NONCE": b"n"}
    channel = struct.pack("!HH", CHANNEL, len(payload)) + payload
    short = struct.pack("!HHI12sHHH", 0x17, 8, stun.COOKIE, b"s" * 12, 0x0D, 1, 0) + bytes(2)
    return [
        join(channel, bytes(indication), bytes(answer)),
        join(channel[:5], channel[5:] + bytes(indication)[:9], bytes(indication)[9:]),
        join(short, b"", b"\0", struct.pack("!HH", CHANNEL, 0) * 50),
    ]


TARGET = Target("turn", "Answers and relayed data of a TURN server.", check, seeds)
