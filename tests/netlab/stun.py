"""What NAT is here? A STUN client of our own that asks as RFC 5780 says; it prints a JSON `Behaviour`.

Run in a host of the lab: `python -m netlab.stun SERVER PORT`. Independent of the agent's ICE on purpose.
"""

import ipaddress
import json
import os
import socket
import struct
import sys
from dataclasses import asdict, dataclass

BINDING_REQUEST, BINDING_SUCCESS = 0x0001, 0x0101  # RFC 8489 section 5
MAGIC_COOKIE = 0x2112A442
CHANGE_REQUEST, XOR_MAPPED_ADDRESS, OTHER_ADDRESS = 0x0003, 0x0020, 0x802C  # RFC 5780 section 7
CHANGE_IP, CHANGE_PORT = 4, 2
TRIES, TRY_TIMEOUT_S = 2, 0.25
INDEPENDENT = "endpoint-independent"
ADDRESS_DEPENDENT = "address-dependent"
PORT_DEPENDENT = "address- and port-dependent"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """In RFC 4787's words; None where UDP does not pass."""

    mapping: str | None
    filtering: str | None
    is_translated: bool = False
    mapped: Address | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A binding response."""

    mapped: Address | None
    other: Address | None


def encode_request(transaction: bytes, change: int = 0) -> bytes:
    """Encode a binding request; `change` asks for an answer from elsewhere (RFC 5780 section 7.2)."""
    attribute = struct.pack("!HHI", CHANGE_REQUEST, 4, change) if change else b""
    return struct.pack("!HHI", BINDING_REQUEST, len(attribute), MAGIC_COOKIE) + transaction + attribute


def parse_answer(data: bytes, transaction: bytes) -> Answer | None:
    """Parse a binding response to our request; None for anything else."""
    if len(data) < 20 or struct.unpack_from("!H2xI", data) != (BINDING_SUCCESS, MAGIC_COOKIE):
        return None
    if data[8:20] != transaction:
        return None
    found: dict[int, Address] = {}
    at = 20
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + length]
        if kind in (XOR_MAPPED_ADDRESS, OTHER_ADDRESS) and len(value) in (8, 20):
            found[kind] = _address(value, data[4:20] if kind == XOR_MAPPED_ADDRESS else bytes(16))
        at += 4 + (length + 3 & ~3)
    return Answer(found.get(XOR_MAPPED_ADDRESS), found.get(OTHER_ADDRESS))


def _address(value: bytes, mask: bytes) -> Address:
    port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
    return str(ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=False)))), port


def probe(server: Address) -> Behaviour:
    """Ask a server that has two addresses and two ports (RFC 5780 sections 4.3 and 4.4)."""
    with _socket() as sock:
        first = _ask(sock, server)
    if first is None or first.mapped is None or first.other is None:
        return Behaviour(None, None)
    with _socket() as mapping, _socket() as filtering, _socket() as own:
        own.connect(server)
        return Behaviour(
            _mapping(mapping, server, first.other),
            _filtering(filtering, server),
            own.getsockname()[0] != first.mapped[0],
            first.mapped,
        )


def _mapping(sock: socket.socket, server: Address, other: Address) -> str:
    asked = (server, (other[0], server[1]), other)
    mapped = [answer.mapped if (answer := _ask(sock, address)) else None for address in asked]
    if mapped[0] == mapped[1] == mapped[2]:
        return INDEPENDENT
    return ADDRESS_DEPENDENT if mapped[1] == mapped[2] else PORT_DEPENDENT


def _filtering(sock: socket.socket, server: Address) -> str:
    _ask(sock, server)
    if _ask(sock, server, CHANGE_IP | CHANGE_PORT):
        return INDEPENDENT
    return ADDRESS_DEPENDENT if _ask(sock, server, CHANGE_PORT) else PORT_DEPENDENT


def _ask(sock: socket.socket, server: Address, change: int = 0) -> Answer | None:
    transaction = os.urandom(12)
    for _ in range(TRIES):
        sock.sendto(encode_request(transaction, change), server)
        try:
            while True:
                if answer := parse_answer(sock.recv(2048), transaction):
                    return answer
        except TimeoutError:
            continue
    return None


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    sock.settimeout(TRY_TIMEOUT_S)
    return sock


if __name__ == "__main__":
    print(json.dumps(asdict(probe((sys.argv[1], int(sys.argv[2]))))))
