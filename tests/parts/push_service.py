"""A browser with a push service of its own, on loopback: it reads what it gets by RFC 8291 and RFC 8292.

Written by the RFCs with HMAC by hand, so that a fault of ours is not made twice.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_of(private):
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def expand(salt, key, info, length):
    """HKDF (RFC 5869) of one block."""
    prk = hmac.new(salt, key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:length]


@dataclass
class Browser:
    """One subscription's keys."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = b"0123456789abcdef"

    @property
    def keys(self):
        return {"p256dh": b64(public_of(self.private)), "auth": b64(self.auth)}

    def read(self, body):
        """The plain text of one record."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, cipher = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4096, "more than a push service has to take"
        assert len(cipher) <= size
        shared = self.private.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        )
        info = b"WebPush: info\0" + public_of(self.private) + sender
        secret = expand(self.auth, shared, info, 32)
        key = expand(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = expand(salt, secret, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, cipher, None)
        text, mark, padding = plain.rpartition(b"\x02")
        assert mark
        assert not padding.strip(b"\0")
        return text


def claims_of(header, application_key):
    """Who sent it, by a signature that is checked."""
    scheme, _, rest = header.partition(" ")
    assert scheme == "vapid"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert parts["k"] == application_key
    signed, _, signature = parts["t"].rpartition(".")
    r, s = (int.from_bytes(half, "big") for half in (unb64(signature)[:32], unb64(signature)[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(application_key))
    key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
    head, claims = (json.loads(unb64(part)) for part in signed.split("."))
    assert head["alg"] == "ES256"
    return claims
