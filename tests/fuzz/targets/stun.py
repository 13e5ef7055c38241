"""Datagrams at an ICE socket: of anybody who knows its port, and of the viewer, who knows its password."""

import struct

from aioice import stun
from fuzz.loop import run
from fuzz.sockets import STRANGER, VIEWER, Wire, connection_on
from fuzz.target import Target, join, steps

from agent.rtc.ice import MAX_REMOTE_CANDIDATES, MAX_WAITING_DATAGRAMS, IceConnection

MAX_ANSWER_BYTES = 128


def check(data: bytes) -> None:
    """Nothing is raised, what is kept has a bound, a stranger gets at most one small answer and no say."""
    run(_check(data))


async def _check(data: bytes) -> None:
    wire = Wire()
    connection = connection_on(wire)
    connection._early_checks_done = True
    [protocol] = connection._protocols
    for step in steps(data):
        kind, body = step[:1] or b"\0", step[1:]
        before, known = len(wire.sent), len(connection._remote_candidates)
        if kind[0] & 1:  # the viewer, who may sign what it likes, from any port
            address = (VIEWER[0], 1024 + kind[0])
            protocol.datagram_received(_signed(connection, body) if kind[0] & 2 else body, address)
        else:
            protocol.datagram_received(body, STRANGER)
            assert len(connection._remote_candidates) == known, "a stranger became a candidate"
            assert len(wire.sent) <= before + 1
            assert all(len(sent) <= MAX_ANSWER_BYTES for sent, _ in wire.sent[before:])
            assert all(to == STRANGER for _, to in wire.sent[before:])
    assert len(connection._remote_candidates) <= MAX_REMOTE_CANDIDATES
    assert connection._queue.qsize() <= MAX_WAITING_DATAGRAMS
    assert not connection._closing


def _signed(connection: IceConnection, body: bytes) -> bytes:
    """A message of this type with these attributes, made valid: length, user name, integrity, fingerprint."""
    kind, rest = body[:2].ljust(2, b"\0"), body[2:]
    rest = rest[: len(rest) & ~3]
    user = f"{connection.local_username}:{connection.remote_username}".encode()
    user = struct.pack("!HH", 6, len(user)) + user + bytes(-len(user) % 4)
    data = kind + struct.pack("!HI", 0, stun.COOKIE) + b"t" * 12 + user + rest
    data = stun.set_body_length(data, len(data) - 20)
    mac = stun.message_integrity(data, connection.local_password.encode())
    data = stun.set_body_length(data + struct.pack("!HH", 8, 20) + mac, len(data) + 4)
    crc = stun.message_fingerprint(data)
    return stun.set_body_length(data + struct.pack("!HHI", 0x8028, 4, crc), len(data) - 12)


def seeds() -> list[bytes]:
    """Checks, answers and noise."""
    attributes = (
        struct.pack("!HHI", 0x24, 4, 1) + struct.pack("!HHQ", 0x802A, 8, 1) + struct.pack("!HH", 0x25, 0)
    )
    check_in = b"\0\1" + attributes
    plain = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"x" * 12)
    plain.attributes["USERNAME"] = "a:b"
    plain.attributes["PRIORITY"] = 1
    unsigned = bytes(plain)
    plain.add_message_integrity(b"wrong")
    short = struct.pack("!HHI12sHHH", 1, 6, stun.COOKIE, b"y" * 12, 0x24, 1, 0)
    return [
        join(b"\3" + check_in, b"\7" + check_in, b"\3\1\1" + attributes),
        join(b"\0" + unsigned, b"\0" + bytes(plain), b"\0" + short, b"\0"),
        join(b"\1\x80\xc8\0\1", b"\1", b"\3\0\1", b"\3\0\3" + attributes, b"\3\1\x11" + attributes),
        join(*(bytes([3 + 4 * n]) + check_in for n in range(40))),
    ]


TARGET = Target("stun", "Datagrams at an ICE socket: anybody who knows its port.", check, seeds)
