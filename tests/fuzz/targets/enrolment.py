"""Enrolment: what anybody may post to the portal, and what a false portal may answer."""

import base64
import functools
import json
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fuzz.target import Target
from pydantic import ValidationError

from agent.errors import PortalError
from agent.portal.api.enroll import _REQUEST
from agent.portal.authority import read_request
from agent.signaling.enrolment import _ENROLMENT, _words
from agent.signaling.trust import SigningKey, make_signing_key

PEM = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----\n(.*?)-----END", re.DOTALL)


@functools.cache
def _key() -> SigningKey:
    return SigningKey(make_signing_key())


def check(data: bytes) -> None:
    """A device's name and the key that signed it, or PortalError; words that a terminal bears."""
    body = base64.b64encode(data)
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"\n-----END CERTIFICATE REQUEST-----\n"
    for request in (data, pem, _request_in(data)):
        try:
            device, public = read_request(request)
        except PortalError:
            continue
        assert device
        Ed25519PublicKey.from_public_bytes(public)
    try:
        _ENROLMENT.validate_json(data)
    except ValidationError:
        words = _words(data)
        assert len(words) <= 400
        assert words.replace("\n", "").replace("\t", "").isprintable()


def _request_in(data: bytes) -> bytes:
    try:
        return _REQUEST.validate_json(data).request.encode(errors="replace")
    except ValidationError:
        return b""


def seeds() -> list[bytes]:
    """A request in all its shapes, and answers that are none."""
    pem = _key().make_request("front-door")
    text = pem.decode() if isinstance(pem, bytes) else pem
    found = PEM.search(text.encode())
    return [
        json.dumps({"request": text, "code": "ABCDE-FGHJK-MNPQR-STUVW"}).encode(),
        text.encode(),
        base64.b64decode(found.group(1)) if found else b"",
        b'{"code":"used","message":"the code was used \\u001b[31m"}',
        b"[" * 3000,
    ]


TARGET = Target("enrolment", "Enrolment: anybody who reaches the portal; a false portal.", check, seeds)
