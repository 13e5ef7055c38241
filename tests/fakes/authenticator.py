"""An authenticator in software (Web Authentication level 3): it makes a passkey, and signs with it."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

UP, UV, AT = 0x01, 0x04, 0x40
"""Flags of authenticator data (section 6.1): the user is there, was verified; there is a new credential."""
ORIGIN = "https://cams.example.org"


def encode(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode(text):
    return urlsafe_b64decode(f"{text}===")


@dataclass
class SoftAuthenticator:
    """One passkey. Tests change its fields to have it err or lie."""

    origin: str = ORIGIN
    flags: int = UP | UV
    count: int = 0
    """Of its signatures; None where it keeps no count."""
    rp_id: str = ""
    """Where it is another than it was asked for."""
    transports: tuple = ("internal", "hybrid")
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""

    def make(self, options):
        """The answer to `navigator.credentials.create`, as JSON."""
        self.handle = decode(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        credential = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        data = self._data(self.rp_id or options["rp"]["id"], AT) + credential
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            clientDataJSON=self._client_data("webauthn.create", options["challenge"]),
            attestationObject=attestation,
            transports=list(self.transports),
        )

    def sign(self, options):
        """The answer to `navigator.credentials.get`, as JSON."""
        if self.count is not None:
            self.count += 1
        client_data = self._client_data("webauthn.get", options["challenge"])
        data = self._data(self.rp_id or options["rpId"], 0)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=client_data, authenticatorData=data, signature=signature, userHandle=self.handle
        )

    def _client_data(self, kind, challenge):
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _data(self, rp_id, more_flags):
        count = (self.count or 0).to_bytes(4, "big")
        return hashlib.sha256(rp_id.encode()).digest() + bytes([self.flags | more_flags]) + count

    def _answer(self, **response):
        name = encode(self.id)
        encoded = {
            key: encode(value) if isinstance(value, bytes) else value for key, value in response.items()
        }
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": encoded})
