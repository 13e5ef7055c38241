"""The site that passkeys sign in to (Web Authentication level 3): the portal's public address.

The only module that imports webauthn.

A passkey is a key pair in somebody's phone, computer or security key. It signs a challenge for this one site,
after its holder has shown by finger, face or PIN who they are.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    options_to_json_dict,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from agent.errors import PortalError

SITE_NAME = "Pinhole"
TIMEOUT_MS = 240_000
"""So long the browser lets its user look for a phone or a key; the challenge lives a little longer."""
MAX_ID_BYTES = 1023
"""Of a credential (Web Authentication level 3, section 4)."""
MAX_KEY_BYTES = 1024
"""Of a public key: RSA with 4096 bits takes half of it."""

_DEFAULT_PORTS = {"https": 443, "http": 80}


class AnswerError(PortalError):
    """What a browser sent is no good answer of an authenticator; the message is for the log."""


class PasskeyAddressError(PortalError):
    """Browsers have no passkeys for the portal's address."""


class Known(NamedTuple):
    """A passkey that a browser is to find, or not to make again."""

    credential_id: bytes
    transports: str


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What an authenticator has just made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: str
    """Ways to reach it, in the words of Web Authentication, separated by commas."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser says that an authenticator said; nothing of it is proven before it is verified."""

    text: str
    """JSON, as of `PublicKeyCredential.toJSON`."""
    credential_id: bytes
    challenge: bytes
    user_handle: bytes | None = None
    """Whose passkey it is, where the authenticator found it by itself."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The site as authenticators know it."""

    id: str
    """The host's name."""
    origin: str

    def creation_options(
        self, user_id: int, user_name: str, challenge: bytes, known: Iterable[Known]
    ) -> dict[str, Any]:
        """What a browser needs to have a passkey made, one that finds its user by itself."""
        options = generate_registration_options(
            rp_id=self.id,
            rp_name=SITE_NAME,
            user_id=handle_of(user_id),
            user_name=user_name,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(known),
        )
        return options_to_json_dict(options)

    def request_options(self, challenge: bytes, known: Iterable[Known] = ()) -> dict[str, Any]:
        """What a browser needs to have a challenge signed, by any passkey of this site or by one of these."""
        options = generate_authentication_options(
            rp_id=self.id,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            allow_credentials=_descriptors(known),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def verify_new(self, answer: Answer) -> NewPasskey:
        """The passkey that was made for this challenge. Raises AnswerError."""
        try:
            made = verify_registration_response(
                credential=answer.text,
                expected_challenge=answer.challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                require_user_verification=True,
            )
            given = parse_registration_credential_json(answer.text).response.transports or ()
        except Exception as exc:  # the library's parsers raise whatever hostile bytes bring about
            raise AnswerError(f"no good new passkey: {_words(exc)}") from exc
        if len(made.credential_id) > MAX_ID_BYTES or len(made.credential_public_key) > MAX_KEY_BYTES:
            raise AnswerError("no good new passkey: its id or its key is too long")
        transports = ",".join(sorted({one.value for one in given}))
        return NewPasskey(made.credential_id, made.credential_public_key, made.sign_count, transports)

    def verify(self, answer: Answer, public_key: bytes) -> int:
        """The authenticator's count of signatures, where this key has signed for us. Raises AnswerError.

        The count is for the caller to compare with what the store holds at that moment.
        """
        try:
            verified = verify_authentication_response(
                credential=answer.text,
                expected_challenge=answer.challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                credential_public_key=public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except Exception as exc:
            raise AnswerError(f"no good answer of a passkey: {_words(exc)}") from exc
        return verified.new_sign_count


def parse_answer(text: str) -> Answer:
    """Raises AnswerError."""
    try:
        credential = json.loads(text)
        response = credential["response"]
        handle = response.get("userHandle")
        return Answer(
            text,
            base64url_to_bytes(credential["id"]),
            parse_client_data_json(base64url_to_bytes(response["clientDataJSON"])).challenge,
            None if handle is None else base64url_to_bytes(handle),
        )
    except Exception as exc:
        raise AnswerError(f"no answer of a passkey: {_words(exc)}") from exc


def relying_party(public_url: str | None) -> RelyingParty:
    """The site at this address. Raises PasskeyAddressError, which says why it has no passkeys."""
    if public_url is None:
        raise PasskeyAddressError(
            "Passkeys need an address with https and a name. Whoever runs this portal has to set it: "
            "portal.public_url."
        )
    parts = urlsplit(public_url)
    host = (parts.hostname or "").removesuffix(".")
    is_local = host == "localhost" or host.endswith(".localhost")
    if parts.scheme != "https" and not is_local:  # the only places where browsers trust plain http
        raise PasskeyAddressError(f"Passkeys need https, and the address of this portal is {public_url}.")
    if _is_address(host):
        raise PasskeyAddressError(
            f"Passkeys need a name in place of an IP address, and the address of this portal is {public_url}."
        )
    try:
        host = host.encode("idna").decode()
        port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    except ValueError as exc:
        raise PasskeyAddressError(f"No browser takes the address of this portal, {public_url}.") from exc
    return RelyingParty(host, f"{parts.scheme}://{host}{port}")


def passkey_site(public_url: str | None) -> tuple[str | None, str]:
    """The origin where passkeys work, or None and why there is none."""
    try:
        return relying_party(public_url).origin, ""
    except PasskeyAddressError as exc:
        return None, str(exc)


def handle_of(user_id: int) -> bytes:
    """A user as authenticators know one: no name that a lost phone would tell, the same for each passkey."""
    return hashlib.sha256(f"passkey user {user_id}".encode()).digest()


def _descriptors(known: Iterable[Known]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=one.credential_id,
            transports=[AuthenticatorTransport(way) for way in one.transports.split(",") if way],
        )
        for one in known
    ]


def _words(exc: Exception) -> str:
    """For a line of the log: what it quotes is a stranger's."""
    return ascii(exc)[:200]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
