"""Who said it, to whom, and is it new: signatures over every message, and what an offer must prove.

Each message is a compact JWS (RFC 7515) by its writer's Ed25519 key (RFC 8037, RFC 9864). The protected
header is exactly `alg`, `kid`, `typ` and `topic`: the signature holds for one topic, so for one device, one
session and one direction. Pure: keys, bytes and time come in; every refusal is a `MessageError`.
"""

import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.registry import HeaderParameter

from agent.errors import ConfigError, MessageError
from agent.model.grant import Grant, grant_of
from agent.model.signal import MAX_COMMAND_S, MAX_MESSAGE_BYTES, OFFER_LIFETIME_S, Command, Offer

ALGORITHM = "Ed25519"
"""RFC 9864: the same signatures as `EdDSA` with this curve, under the name that leaves nothing open."""
TYPE = "pinhole+jws"
MAX_SEALED_BYTES = MAX_MESSAGE_BYTES * 4 // 3 + 1024
"""A message of the largest size in base64, its header and its signature."""
SKEW_S = 5.0
"""How far our clock and the portal's may be apart."""
MAX_OFFERS, MAX_OFFERS_PER_USER = 240, 120
"""In 45 s, as long as their nonces are kept: a lost link has all viewers ask again, some of them twice."""
MAX_OFFERS_BY_GRANT = {Grant.LINK: MAX_OFFERS // 2, Grant.USER: MAX_OFFERS * 3 // 4, Grant.MANAGE: MAX_OFFERS}
"""Of all that count together: however many links and users ask, who manages the camera still can."""
MAX_CHALLENGES = 32
CHALLENGE_S = 10.0
"""How long a portal may take to answer a challenge."""
_HEADER = {"alg", "kid", "typ", "topic"}
_REGISTRY = jws.JWSRegistry({"topic": HeaderParameter("MQTT topic", "str", required=True)}, [ALGORITHM])

UNPROVEN = frozenset(
    {"too-large", "unsigned", "bad-algorithm", "unknown-key", "bad-signature", "wrong-topic"}
)
"""Codes of what was not said by who may say it: never answered."""


class VerifyKey:
    """A public key under its id, the RFC 7638 thumbprint."""

    def __init__(self, public: bytes) -> None:
        """Take the 32 bytes of RFC 8032; raises ConfigError for any other."""
        try:
            key = Ed25519PublicKey.from_public_bytes(public)
        except ValueError as exc:
            raise ConfigError("an Ed25519 public key is 32 bytes") from exc
        self._jwk = OKPKey.import_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self.public = public
        self.kid = self._jwk.thumbprint()

    def verifies(self, sealed: jws.CompactSignature) -> bool:
        """Whether the signature is this key's."""
        try:
            return jws.validate_compact(sealed, self._jwk, registry=_REGISTRY)
        except JoseError:
            return False

    def verifies_bytes(self, signed: bytes, signature: bytes) -> bool:
        """Whether a bare signature (RFC 8032) over these bytes is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key, and how it signs."""

    def __init__(self, pem: bytes) -> None:
        """From PKCS #8; raises ConfigError where it is no Ed25519 key."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as exc:
            raise ConfigError("not a private key in PEM, or one with a passphrase") from exc
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError("not an Ed25519 key")
        self._private = private
        self._jwk = OKPKey.import_key(pem)
        self.verify_key = VerifyKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @property
    def kid(self) -> str:
        """The id under which others know it."""
        return self.verify_key.kid

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self.verify_key.public

    def make_request(self, name: str) -> str:
        """A signing request (RFC 2986) in PEM for a certificate of this key under this name."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._private, None)
        return request.public_bytes(Encoding.PEM).decode()

    def sign_bytes(self, words: bytes) -> bytes:
        """A bare signature, 64 bytes (RFC 8032); the words must begin as no JWS does."""
        return self._private.sign(words)

    def seal(self, topic: str, payload: bytes) -> bytes:
        """A signed message for one topic."""
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": TYPE, "topic": topic}
        return jws.serialize_compact(header, payload, self._jwk, registry=_REGISTRY).encode()


def make_signing_key() -> bytes:
    """A new private key, as PKCS #8 PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def open_sealed(topic: str, sealed: bytes, find_key: Callable[[str], VerifyKey | None]) -> bytes:
    """The message inside, once it is proven that a known key signed it for this topic. Raises MessageError.

    Codes: `too-large`, `unsigned` (no such JWS), `bad-algorithm`, `unknown-key`, `bad-signature`,
    `wrong-topic`.
    """
    if len(sealed) > MAX_SEALED_BYTES:
        raise MessageError("too-large", f"{len(sealed)} bytes; at most {MAX_SEALED_BYTES} are read")
    try:
        taken_apart = jws.extract_compact(sealed, registry=_REGISTRY)
        header = dict(taken_apart.headers())
    except Exception as exc:  # hostile text meets the parser with any error at all
        raise MessageError("unsigned", "not a compact JWS") from exc
    if header.get("alg") != ALGORITHM:
        raise MessageError("bad-algorithm", f"signed with {ascii(header.get('alg'))[:40]}, not {ALGORITHM}")
    if set(header) != _HEADER or header["typ"] != TYPE or not all(map(_is_text, header.values())):
        raise MessageError("unsigned", f"the header is not {', '.join(sorted(_HEADER))} of {TYPE}")
    key = find_key(header["kid"])
    if key is None:
        raise MessageError("unknown-key", f"signed by {ascii(header['kid'])[:60]}, which may not speak here")
    if not key.verifies(taken_apart):
        raise MessageError("bad-signature", f"not signed by {key.kid}")
    if header["topic"] != topic:
        raise MessageError("wrong-topic", f"it was signed for {ascii(header['topic'])[:200]}")
    return bytes(taken_apart.payload)


class OfferJudge:
    """Whether an offer or a command of the portal is for this life of the device, allowed, timely, and new.

    A device whose clock is behind the portal's cannot tell how old an offer is. It takes the newest time
    that the portal has signed, and what has passed since, for the least that the time can be; and every
    offer names `boot_id`, which nobody knew before this start. So even without a clock an offer counts once,
    and none from before the start does.

    A clock that is ahead finds every offer expired. Where it has stepped since an offer was timely, the time
    that has passed is believed instead. Else the portal is challenged: an offer that names what we made up a
    moment ago was signed since.
    """

    def __init__(self, boot_id: str) -> None:
        self._boot_id = boot_id
        self._nonces: OrderedDict[str, tuple[float, str]] = OrderedDict()
        """Until when each is kept, and whose it was."""
        self._challenges: OrderedDict[str, float] = OrderedDict()
        self._least_s, self._least_at_mono_s = 0.0, 0.0
        self._most_s, self._most_at_mono_s = math.inf, 0.0
        self.behind_s = 0.0
        """How far our clock was behind the portal's at the newest offer; 0 where they agree."""
        self.ahead_s = 0.0
        """How far it was ahead."""

    def challenge(self, now_mono_s: float) -> str:
        """Make something up for the portal to sign."""
        made = secrets.token_urlsafe(16)
        self._challenges[made] = now_mono_s
        if len(self._challenges) > MAX_CHALLENGES:
            self._challenges.popitem(last=False)
        return made

    def check(self, offer: Offer, now_unix_s: float, now_mono_s: float) -> None:
        """Take the offer in, once. Raises MessageError.

        Codes: `not-allowed`, `expired`, `wrong-boot`, `replayed`, `too-many-offers`.
        """
        if "watch" not in offer.permissions:
            raise MessageError("not-allowed", f"{ascii(offer.user)[:60]} may not watch this camera")
        self._check_time(offer, OFFER_LIFETIME_S, now_unix_s, now_mono_s)
        self._check_start(offer)
        self._check_nonce(offer, now_mono_s)

    def check_command(self, command: Command, now_unix_s: float, now_mono_s: float) -> None:
        """Whether it is for now; what its user may do, and that it is new, whoever does it looks at.

        Raises MessageError. Codes: `expired`, `wrong-boot`.
        """
        self._check_time(command, MAX_COMMAND_S, now_unix_s, now_mono_s)
        self._check_start(command)

    def _check_start(self, message: Offer | Command) -> None:
        if message.boot_id != self._boot_id:
            words = f"the {message.type} is for another start of this camera: try again"
            raise MessageError("wrong-boot", words)

    def _check_time(
        self, offer: Offer | Command, life_s: float, now_unix_s: float, now_mono_s: float
    ) -> None:
        if not 0 <= offer.expires_at - offer.issued_at <= life_s:
            kind = "an offer" if isinstance(offer, Offer) else "a command"
            raise MessageError("expired", f"{kind} lives {life_s:g} s at most")
        least_s = self._least_s + now_mono_s - self._least_at_mono_s
        most_s = self._most_s + now_mono_s - self._most_at_mono_s
        is_behind = offer.issued_at - SKEW_S > now_unix_s
        challenged_s = now_mono_s - self._challenges.pop(offer.challenge or "", -math.inf)
        is_proven = challenged_s <= CHALLENGE_S
        now_s = least_s if is_behind or now_unix_s > most_s else now_unix_s
        if is_proven:
            now_s = offer.issued_at
        if now_s > offer.expires_at + SKEW_S:
            raise MessageError(
                "expired",
                f"the {offer.type} expired at {_clock(offer.expires_at)} and it is {_clock(now_s)} here: "
                "it was under way too long, or a clock is wrong",
            )
        self.behind_s = offer.issued_at - now_unix_s if is_behind else 0.0
        is_ahead = now_unix_s > offer.expires_at + SKEW_S
        self.ahead_s = now_unix_s - offer.issued_at if is_ahead else 0.0
        if is_proven:
            self._most_s, self._most_at_mono_s = offer.issued_at + challenged_s, now_mono_s
        elif isinstance(offer, Offer) and not (is_behind or is_ahead):  # a command's life bounds it less
            self._most_s, self._most_at_mono_s = offer.expires_at + SKEW_S, now_mono_s
        if offer.issued_at > least_s:
            self._least_s, self._least_at_mono_s = offer.issued_at, now_mono_s

    def _check_nonce(self, offer: Offer, now_mono_s: float) -> None:
        # By then even a device without a clock finds it expired.
        while self._nonces and next(iter(self._nonces.values()))[0] < now_mono_s:
            self._nonces.popitem(last=False)
        if offer.nonce in self._nonces:
            raise MessageError("replayed", "this offer was taken already")
        own = sum(user == offer.user for _, user in self._nonces.values())
        room = MAX_OFFERS_BY_GRANT[grant_of(offer.user, offer.permissions)]
        if len(self._nonces) >= room or own >= MAX_OFFERS_PER_USER:
            raise MessageError("too-many-offers", "too many offers of late: wait a minute")
        self._nonces[offer.nonce] = now_mono_s + OFFER_LIFETIME_S + 3 * SKEW_S, offer.user


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that may speak for a portal, by id."""

    keys: Mapping[str, VerifyKey]

    @classmethod
    def of(cls, publics: Iterable[bytes]) -> "KeyRing":
        """From public keys, 32 bytes each. Raises ConfigError."""
        return cls({key.kid: key for key in map(VerifyKey, publics)})

    def find(self, kid: str) -> VerifyKey | None:
        """The key of this id."""
        return self.keys.get(kid)

    def verifies_bytes(self, signed: bytes, signature: bytes) -> bool:
        """Whether one of them made a bare signature over these bytes."""
        return any(key.verifies_bytes(signed, signature) for key in self.keys.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
