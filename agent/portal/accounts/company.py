"""Sign-in at a company's OpenID provider: the authorization code flow with PKCE, state and nonce.

OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (`iss` in the answer). The only user of Authlib.
"""

import secrets
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from httpx2 import HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.config import OidcSettings, read_secret
from agent.errors import PortalError
from agent.portal.accounts import users
from agent.portal.accounts.tokens import CLOCK_SLACK_S, key_of, new_token
from agent.portal.tables import CompanySignIn, User

TIMEOUT_S = 10.0
METADATA_LIFETIME_S = 3600.0
LEEWAY_S = 60
PENDING_LIFETIME_S = 600.0
MAX_PENDING = 10_000
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Signatures with a public key alone: neither `none` nor a shared secret."""


class CompanyError(PortalError):
    """The provider did not let somebody in, or cannot be reached.

    The dashboard has words for each `code`; the message is for the log.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in at the provider."""

    issuer: str
    subject: str
    name: str
    has_factor: bool = True
    """Whether the provider vouches for more than a password."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send a browser, and what to know when it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


class Company:
    """One provider."""

    def __init__(self, settings: OidcSettings, secret: str | None) -> None:
        self.name = settings.name
        self._settings = settings
        self._secret = secret
        self._tls = ssl.create_default_context()  # for every request: to make one takes tens of milliseconds
        self._metadata: dict[str, Any] = {}
        self._fetched_s = -METADATA_LIFETIME_S

    async def depart(self, redirect_uri: str) -> Departure:
        """Begin a sign-in. Raises CompanyError where the provider cannot be reached."""
        nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        async with self._client(redirect_uri) as client:
            metadata = await self._discover(client)
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"], state=new_token(), code_verifier=verifier, nonce=nonce
            )
        return Departure(url, state, nonce, verifier)

    async def arrive(
        self, redirect_uri: str, code: str, iss: str | None, pending: CompanySignIn, now: float
    ) -> Person:
        """Turn the code that a browser brought back into a person. Raises CompanyError."""
        async with self._client(redirect_uri) as client:
            metadata = await self._discover(client)
            if iss is not None and iss != metadata["issuer"]:
                raise CompanyError("refused", "The answer came from another provider than was asked.")
            try:
                token = await client.fetch_token(
                    metadata["token_endpoint"],
                    code=code,
                    code_verifier=pending.verifier,
                    grant_type="authorization_code",
                )
                answer = await client.request("GET", metadata["jwks_uri"], withhold_token=True)
                answer.raise_for_status()
                keys = KeySet.import_key_set(answer.json())
            except (OAuthError, HTTPError, JoseError, ValueError) as exc:
                raise CompanyError("refused", f"{self.name} did not confirm the sign-in: {exc}") from exc
        return self._person(str(token.get("id_token", "")), keys, pending.nonce, now)

    def _person(self, id_token: str, keys: KeySet, nonce: str, now: float) -> Person:
        registry = jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._metadata["issuer"]},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError) as exc:
            raise CompanyError("refused", f"{self.name} sent an ID token that is not good: {exc}") from exc
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._settings.client_id:
            raise CompanyError("refused", f"{self.name} sent an ID token that is for another program.")
        claim = self._settings.name_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            raise CompanyError(
                "no-name", f"{self.name} does not tell your {claim}: its settings must release it."
            )
        if claim == "email" and claims.get("email_verified") is not True:
            raise CompanyError("unverified", f"{self.name} has not verified your e-mail address.")
        has_factor = _has_factor(claims, self._settings.factor_values)
        return Person(str(claims["iss"]), str(claims["sub"]), name.casefold(), has_factor)

    def _client(self, redirect_uri: str) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._settings.client_id,
            self._secret,
            scope="openid email profile",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            timeout=TIMEOUT_S,
            verify=self._tls,
            follow_redirects=False,
        )

    async def _discover(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        """The provider's own description (OpenID Connect Discovery 1.0), asked for once an hour."""
        if time.monotonic() - self._fetched_s < METADATA_LIFETIME_S:
            return self._metadata
        issuer = self._settings.issuer
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            answer = await client.request("GET", url, withhold_token=True)
            answer.raise_for_status()
            found = answer.json()
            if not isinstance(found, dict):
                raise ValueError("its metadata is no object")  # noqa: TRY004, TRY301 - told below like bad JSON
            endpoints = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if str(found["issuer"]).rstrip("/") != issuer.rstrip("/"):
                raise CompanyError(
                    "unreachable", f"{self.name} calls itself {found['issuer']}: check portal.oidc.issuer."
                )
            if not all(_is_safe(str(found[name])) for name in endpoints):
                raise CompanyError("unreachable", f"{self.name} has an endpoint without https.")
        except (HTTPError, ValueError, KeyError) as exc:
            raise CompanyError("unreachable", f"{self.name} cannot be reached: {exc}") from exc
        self._metadata, self._fetched_s = found, time.monotonic()
        return self._metadata


def remember(db: Session, departure: Departure, browser: str, now: float) -> None:
    """Keep what the return of this browser needs."""
    db.execute(delete(CompanySignIn).where(CompanySignIn.expires_at <= now))
    if (db.scalar(select(func.count()).select_from(CompanySignIn)) or 0) >= MAX_PENDING:
        # The oldest gives way: anybody may begin, and must not keep others from it.
        oldest = select(CompanySignIn.key).order_by(CompanySignIn.expires_at).limit(1)
        db.execute(delete(CompanySignIn).where(CompanySignIn.key.in_(oldest)))
    db.add(
        CompanySignIn(
            key=key_of(departure.state),
            browser=key_of(browser),
            nonce=departure.nonce,
            verifier=departure.verifier,
            expires_at=now + PENDING_LIFETIME_S,
        )
    )


def take(db: Session, state: str, browser: str, now: float) -> CompanySignIn:
    """Give out what was kept, once and to that browser alone. Raises CompanyError."""
    theirs = (CompanySignIn.key == key_of(state), CompanySignIn.browser == key_of(browser))
    # One statement: of two that come back at once, the second finds nothing.
    pending: CompanySignIn | None = db.scalar(delete(CompanySignIn).where(*theirs).returning(CompanySignIn))
    if pending is None or not now < pending.expires_at <= now + PENDING_LIFETIME_S + CLOCK_SLACK_S:
        raise CompanyError("not-begun", "This sign-in was not begun in this browser, or too long ago.")
    return pending


def user_of(db: Session, person: Person, *, allow_new: bool, now: float) -> User:
    """The account of who signed in. Raises CompanyError where there is none.

    One that was added for a company account becomes theirs at the first sign-in, and from then on goes by
    issuer and subject. No other does: a name at the provider is no proof of owning it.
    """
    theirs = (User.issuer == person.issuer, User.subject == person.subject)
    user = db.scalars(select(User).where(*theirs)).one_or_none()
    if user is None:
        user = db.scalars(select(User).where(User.name == person.name)).one_or_none()
        if user is None and not allow_new:
            raise CompanyError("no-account", f"There is no account for {person.name} here.")
        if user is not None and not user.awaits_company:
            raise CompanyError("taken", f"The account {person.name} is another one's.")
        user = user or users.add(db, person.name, None, now)
        user.issuer, user.subject, user.awaits_company = person.issuer, person.subject, False
    if user.disabled:
        raise CompanyError("disabled", "This account is disabled.")
    return user


def _has_factor(claims: Mapping[str, Any], values: Collection[str]) -> bool:
    """Whether `amr` (RFC 8176) or `acr` says one of these; without any, the provider is believed."""
    methods = claims.get("amr")
    said = [*(methods if isinstance(methods, list) else []), claims.get("acr")]
    return not values or any(value in said for value in values)


def _is_safe(url: str) -> bool:
    return url.startswith(("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:"))


def load_company(settings: OidcSettings | None) -> Company | None:
    """The provider of the settings, if there is one. Raises ConfigError."""
    if settings is None:
        return None
    file = settings.client_secret_file
    return Company(settings, read_secret(file) if file else None)
