"""A portal's and a device's keys, and messages as either would sign them."""

import base64
import json
import secrets
import time

from agent.model.keys import KeySet, encode_public
from agent.model.signal import OFFER_LIFETIME_S, Offer
from agent.signaling.messages import encode
from agent.signaling.trust import SigningKey, make_signing_key, open_sealed

PORTAL = SigningKey(make_signing_key())
DEVICE = SigningKey(make_signing_key())
BOOT = "boot1"


def key_set(*keys, version=1):
    """What a portal of these keys tells its devices."""
    return KeySet(version, 1_800_000_000.0, tuple(encode_public(key.public) for key in keys or (PORTAL,)))


def make_offer(seq=0, *, now=None, **changes):
    """A good one, but for the changes."""
    now = time.time() if now is None else now
    fields = {
        "nonce": secrets.token_urlsafe(16),
        "issued_at": now,
        "expires_at": now + OFFER_LIFETIME_S,
        "boot_id": BOOT,
        "user": "ann",
        "permissions": ("watch",),
        "sdp": "v=0",
    }
    return Offer(seq, **(fields | changes))


def seal(topic, message, key=PORTAL):
    """As bytes on the wire; bytes are signed as they are."""
    return key.seal(topic, message if isinstance(message, bytes) else encode(message))


def unseal(topic, sealed, key=DEVICE):
    """The JSON inside, where the key is right."""
    return open_sealed(topic, sealed, lambda kid: key.verify_key if kid == key.kid else None)


def peek(sealed):
    """The JSON inside, whoever signed it."""
    payload = sealed.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
