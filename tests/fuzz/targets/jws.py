"""Signed messages (compact JWS), as whoever holds the broker may forge them."""

import base64
import functools
import json
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fuzz.target import Target, join, steps

from agent.errors import MessageError
from agent.signaling.trust import ALGORITHM, TYPE, UNPROVEN, SigningKey, open_sealed

TOPIC = "pinhole/v1/front/signal/s1/in"


@functools.cache
def _keys() -> tuple[SigningKey, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.from_private_bytes(
        bytes(range(32))
    )  # the same in each run, so that inputs replay
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SigningKey(pem), private


def check(data: bytes) -> None:
    """What comes out was signed by a known key for this very topic; the rest is refused with its code."""
    key, _ = _keys()
    for sealed, signed in _candidates(data):
        try:
            payload = open_sealed(TOPIC, sealed, lambda kid: key.verify_key if kid == key.kid else None)
        except MessageError as exc:
            assert exc.code in UNPROVEN, exc.code
            assert len(str(exc)) < 400
            continue
        assert signed is not None, "nobody signed this"
        header, body = signed
        assert payload == body
        assert json.loads(header)["topic"] == TOPIC


def _candidates(data: bytes) -> Iterator[tuple[bytes, tuple[bytes, bytes] | None]]:
    """The bytes as they are; header and payload under a good signature; the same with one bit changed."""
    yield data, None
    parts = [*steps(data), b"", b""]
    header, body = parts[:2]
    _, private = _keys()
    signed = _b64(header) + b"." + _b64(body)
    signature = private.sign(signed)
    yield signed + b"." + _b64(signature), (header, body)
    at = (len(data) * 7) % len(signature)
    flipped = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
    yield signed + b"." + _b64(flipped), None


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def seeds() -> list[bytes]:
    """The header as it must be, and the ways in which such headers have been abused."""
    key, _ = _keys()
    good = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE, "topic": TOPIC}
    headers = (
        good,
        good | {"alg": "none"},
        good | {"alg": "EdDSA"},
        good | {"alg": "HS256"},
        good | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}},
        good | {"crit": ["b64"], "b64": False},
        good | {"kid": 7},
        good | {"topic": "pinhole/v1/back/signal/s1/in"},
        {"alg": ALGORITHM},
    )
    body = b'{"v":1,"type":"bye","seq":1}'
    forged = [join(json.dumps(header).encode(), body) for header in headers]
    return [*forged, b"a.b.c", b"..", b"e30.e30.", join(b"[" * 300, body), join(b"{}", b"")]


TARGET = Target("jws", "Signed messages: whoever holds the broker.", check, seeds, max_bytes=2048)
