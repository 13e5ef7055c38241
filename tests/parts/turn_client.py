"""A TURN client that asks for what ours never asks, and tells what it is answered (RFC 8656, RFC 6062)."""

import hashlib
import hmac
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Self

COOKIE = 0x2112A442
ALLOCATE, SEND, CREATE_PERMISSION, CHANNEL_BIND, CONNECT = 0x3, 0x16, 0x8, 0x9, 0xA
USERNAME, INTEGRITY, ERROR, CHANNEL, PEER, DATA, REALM, NONCE, RELAYED = (
    6,
    8,
    9,
    0xC,
    0x12,
    0x13,
    0x14,
    0x15,
    0x16,
)
REQUESTED_FAMILY, REQUESTED_TRANSPORT = 0x17, 0x19
UDP, TCP = 17, 6
TIMEOUT_S = 5.0


@dataclass
class TurnClient:
    """One connection to a server; `stream` for TCP, as RFC 6062 wants it."""

    server: tuple[str, int]
    username: str
    password: str
    stream: bool = False
    relayed: tuple[str, int] | None = None
    _socket: socket.socket = field(init=False)
    _realm: bytes = b""
    _nonce: bytes = b""
    _channels: Iterator[int] = field(default_factory=lambda: count(0x4000))

    def __enter__(self) -> Self:
        if self.stream:
            self._socket = socket.create_connection(self.server, TIMEOUT_S)
        else:
            family = socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.connect(self.server)
        self._socket.settimeout(TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def allocate(self, transport: int = UDP, family: int | None = None) -> int:
        """Ask for a relay; 0, or the error's code."""
        wanted = {REQUESTED_TRANSPORT: struct.pack("!Bxxx", transport)}
        if family is not None:
            wanted[REQUESTED_FAMILY] = struct.pack("!Bxxx", family)
        code, found = self._ask(ALLOCATE, wanted)
        if code == 401:
            self._realm, self._nonce = found[REALM], found[NONCE]
            code, found = self._ask(ALLOCATE, wanted)
        return code

    def permit(self, peer: str) -> int:
        """Ask for a permission; 0, or the error's code."""
        return self._ask(CREATE_PERMISSION, {}, (peer, 9))[0]

    def bind(self, peer: str) -> int:
        """Ask for a channel; 0, or the error's code."""
        return self._ask(CHANNEL_BIND, {CHANNEL: struct.pack("!Hxx", next(self._channels))}, (peer, 9))[0]

    def connect(self, peer: str, port: int) -> int:
        """Ask for a TCP connection (RFC 6062 section 4.3); 0, or the error's code."""
        return self._ask(CONNECT, {}, (peer, port))[0]

    def send(self, peer: str, port: int, data: bytes) -> None:
        """Have something sent, without an answer."""
        transaction = os.urandom(12)
        body = _attribute(PEER, _address(peer, port, transaction)) + _attribute(DATA, data)
        self._socket.send(struct.pack("!HHI", SEND, len(body), COOKIE) + transaction + body)

    def receive(self, timeout_s: float) -> bytes:
        """What the server sends by itself; empty where nothing comes."""
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(2048)
        except TimeoutError:
            return b""

    def _ask(
        self, method: int, attributes: dict[int, bytes], peer: tuple[str, int] | None = None
    ) -> tuple[int, dict[int, bytes]]:
        transaction = os.urandom(12)
        if peer is not None:
            attributes = {**attributes, PEER: _address(*peer, transaction)}
        body = b"".join(_attribute(kind, value) for kind, value in attributes.items())
        if self._nonce:
            for kind, value in (
                (USERNAME, self.username.encode()),
                (REALM, self._realm),
                (NONCE, self._nonce),
            ):
                body += _attribute(kind, value)
            head = struct.pack("!HHI", method, len(body) + 24, COOKIE) + transaction
            key = hashlib.md5(f"{self.username}:{self._realm.decode()}:{self.password}".encode()).digest()
            body += _attribute(INTEGRITY, hmac.new(key, head + body, "sha1").digest())
        self._socket.send(struct.pack("!HHI", method, len(body), COOKIE) + transaction + body)
        while True:
            answer = self._socket.recv(2048)
            if answer[8:20] == transaction:
                break
        found = _parse_attributes(answer[20:])
        if RELAYED in found:
            self.relayed = _parse_address(found[RELAYED], transaction)
        code = found[ERROR][2] * 100 + found[ERROR][3] if ERROR in found else 0
        return code, found


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _address(ip: str, port: int, transaction: bytes) -> bytes:
    """XOR-PEER-ADDRESS (RFC 8489 section 14.2)."""
    packed = ipaddress.ip_address(ip).packed
    pad = struct.pack("!I", COOKIE) + transaction
    family = 1 if len(packed) == 4 else 2
    return struct.pack("!xBH", family, port ^ (COOKIE >> 16)) + bytes(map(int.__xor__, packed, pad))


def _parse_address(value: bytes, transaction: bytes) -> tuple[str, int]:
    port = int.from_bytes(value[2:4]) ^ (COOKIE >> 16)
    pad = struct.pack("!I", COOKIE) + transaction
    return str(ipaddress.ip_address(bytes(map(int.__xor__, value[4:], pad)))), port


def _parse_attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        found.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length + (-length % 4)
    return found
