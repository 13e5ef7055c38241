"""Web Push (RFC 8030): a message to one browser, encrypted for it alone (RFC 8291, RFC 8188).

Our own in place of pywebpush: what that would be used for are these forty lines, and its http-ece comes as a
source package alone, which releases of wheels cannot take along.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.portal.notify.outside import ChannelError, Outside, refused
from agent.portal.notify.push_key import PushKey
from agent.portal.notify.words import Message

RECORD_BYTES = 4096
MAX_PLAIN_BYTES = 3990
"""Of 4096 that every push service takes (RFC 8030 section 7.2), the header takes 86, tag and padding 17."""
_CURVE = ec.SECP256R1()
_PUBLIC_BYTES, _AUTH_BYTES, _SALT_BYTES = 65, 16, 16
_LAST_RECORD = b"\x02"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser's, as `PushSubscription.toJSON` says it."""

    endpoint: str
    p256dh: str
    auth: str


def check_keys(p256dh: str, auth: str) -> None:
    """Whether a browser's keys are some. Raises ChannelError."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, _unbase64(p256dh))
        is_good = len(_unbase64(p256dh)) == _PUBLIC_BYTES and len(_unbase64(auth)) == _AUTH_BYTES
    except (ValueError, binascii.Error):
        is_good = False
    if not is_good:
        raise ChannelError("These are no keys of a browser's.", is_final=True)


def encrypt(
    plain: bytes,
    to: Subscription,
    salt: bytes | None = None,
    sender: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """One record of `aes128gcm`; salt and sender are new each time, but for the RFC's own example."""
    salt, sender = salt or os.urandom(_SALT_BYTES), sender or ec.generate_private_key(_CURVE)
    public = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    theirs = _unbase64(to.p256dh)
    shared = sender.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, theirs))
    secret = _derive(shared, _unbase64(to.auth), b"WebPush: info\0" + theirs + public, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + len(public).to_bytes(1, "big") + public
    return header + AESGCM(key).encrypt(nonce, plain + _LAST_RECORD, None)


def payload_of(message: Message) -> bytes:
    """What the service worker reads; words that are too long are cut."""
    fields: dict[str, Any] = {
        "title": message.title[:200],
        "body": message.body,
        "tag": f"pinhole-{message.delivery}",
        "path": message.path,
        "severity": message.severity,
        "at": message.at,
    }
    while (
        len(text := json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_PLAIN_BYTES
    ):
        fields["body"] = fields["body"][: int(len(fields["body"]) * 0.9) - 1].rstrip() + "…"
    return text


async def send(
    outside: Outside, key: PushKey, contact: str, to: Subscription, message: Message, ttl_s: float, now: float
) -> None:
    """Raises ChannelError."""
    parts = urlsplit(to.endpoint)
    headers = {
        "TTL": str(max(0, int(ttl_s))),
        "Urgency": "normal" if message.kind == "digest" else "high",
        "Topic": f"pinhole-{message.delivery}",  # a double takes the place of the first
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        **key.header(f"{parts.scheme}://{parts.netloc}", contact, now),
    }
    answer = await outside.post(to.endpoint, encrypt(payload_of(message), to), headers)
    if answer.status in (404, 410):  # RFC 8030 section 7.3
        raise ChannelError("The browser is told nothing any more.", is_final=True, is_gone=True)
    if not 200 <= answer.status < 300:
        raise refused(answer, "The push service")


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
