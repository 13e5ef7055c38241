"""The keys with which a portal signs, as its devices learn them."""

import base64
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, with_config

from agent.model.signal import STRICT, VERSION, UnixTime, Version

PublicKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
"""An Ed25519 key, 32 bytes in base64url: `x` of its JWK (RFC 8037)."""
MAX_KEYS = 8


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class KeySet:
    """Portal to all devices on `keys/<kid>`, retained, signed by the key of that id."""

    version: Annotated[int, Field(ge=0, le=2**53)]
    """Higher ones replace lower ones."""
    issued_at: UnixTime
    keys: Annotated[tuple[PublicKey, ...], Field(min_length=1, max_length=MAX_KEYS)]
    """All whose offers count; a key that is missing here is retired."""
    type: Literal["keys"] = "keys"
    v: Version = VERSION

    @property
    def publics(self) -> tuple[bytes, ...]:
        """The keys as they are, 32 bytes each."""
        return tuple(map(decode_public, self.keys))


def encode_public(public: bytes) -> str:
    """A public key as text."""
    return base64.urlsafe_b64encode(public).decode().rstrip("=")


def decode_public(text: str) -> bytes:
    """Take a `PublicKey`."""
    return base64.urlsafe_b64decode(text + "=")
