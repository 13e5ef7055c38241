"""The key by which push services know this portal (VAPID, RFC 8292): made once, and sealed in the store."""

import base64
import logging
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.portal.accounts.seal import Seal, SealError
from agent.portal.notify.tables import NotifyState
from agent.portal.store import Store

_BOUND_TO = b"push key"
_CURVE = ec.SECP256R1()
TOKEN_LIFETIME_S = 12 * 3600
"""At most a day (RFC 8292 section 2)."""

log = logging.getLogger(__name__)


class PushKey:
    """A key on P-256, as all browsers ask for."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._signing = ECKey.import_key(pem)
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = base64.urlsafe_b64encode(point).decode().rstrip("=")
        """What browsers subscribe with (`applicationServerKey`)."""

    @property
    def scalar(self) -> str:
        """The private half, for the store."""
        return format(self._private.private_numbers().private_value, "x")

    def header(self, origin: str, contact: str, now: float) -> Mapping[str, str]:
        """Who we are to the push service of this origin (RFC 8292 section 3)."""
        claims = {"aud": origin, "exp": int(now) + TOKEN_LIFETIME_S, "sub": contact}
        token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._signing)
        return {"Authorization": f"vapid t={token}, k={self.public}"}


class PushKeys:
    """The portal's key, from the store."""

    def __init__(self, store: Store, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self._key: PushKey | None = None

    async def get(self) -> PushKey:
        """Raises StoreError."""
        if self._key is None:
            self._key = await self._store.run(self._load)
        return self._key

    def _load(self, db: Session) -> PushKey:
        # The row is locked, so that of several portals one makes the key.
        row = db.scalars(select(NotifyState).with_for_update()).one()
        if row.push_key is not None:
            try:
                scalar = self._seal.open_text(row.push_key, _BOUND_TO, "the push key")
                return PushKey(ec.derive_private_key(int(scalar, 16), _CURVE))
            except SealError as exc:
                log.error("%s: browsers must be added anew", exc)  # noqa: TRY400  its words say it all
        key = PushKey(ec.generate_private_key(_CURVE))
        row.push_key = self._seal.close_text(key.scalar, _BOUND_TO)
        return key
