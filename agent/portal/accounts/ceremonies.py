"""What users do with passkeys: make one, sign in by one, show again who they are."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from agent.portal.accounts import attempts, challenges, factors, passkeys, sessions, users
from agent.portal.accounts.access import Identity
from agent.portal.accounts.relying_party import (
    Answer,
    AnswerError,
    RelyingParty,
    handle_of,
    parse_answer,
    relying_party,
)
from agent.portal.accounts.service import Accounts, SignedIn, SignInError, Visitor
from agent.portal.accounts.users import AccountError, UnknownError
from agent.portal.tables import Passkey, User

STRANGER = "nobody known"
"""In the audit log, who tried a passkey that is nobody's; no user name holds a space."""
_WRONG = ("wrong-passkey", "That passkey does not let anybody in.")
_UNKNOWN = ("unknown-passkey", "That passkey is not known here: it was removed, or is another portal's.")
_TOO_LATE = ("passkey-too-late", "That took too long. Try again.")
_COPIED = (
    "passkey-copied",
    (
        "That passkey has signed less often than it had before: it may have been copied. Sign in another "
        "way, and remove it."
    ),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """An attempt that is counted, and the passkey that it names, where there is one."""

    keys: attempts.Keys
    passkey_id: int | None = None
    passkey_name: str = ""
    public_key: bytes = b""
    user_name: str = ""
    handle: bytes = b""


class Ceremonies:
    """All but `remove` raise PasskeyAddressError where browsers have no passkeys for the portal's address."""

    def __init__(self, accounts: Accounts, public_url: str | None) -> None:
        self._accounts = accounts
        self._public_url = public_url

    async def begin_adding(self, who: Identity) -> dict[str, Any]:
        """What this user's browser needs to have a passkey made. Raises AccountError."""
        site = self._site()

        def work(db: Session) -> dict[str, Any]:
            user = users.find(db, who.name)
            if user.password_hash is None:
                raise AccountError("You sign in with your company account: passkeys for it are made there.")
            factors.check_shown(db, user, who)
            challenge = challenges.make(db, "add", challenges.of_session(who.session), self._accounts.now())
            return site.creation_options(user.id, user.name, challenge, passkeys.known(db, user.id))

        return await self._accounts.store.run(work)

    async def add(self, who: Identity, name: str, text: str, visitor: Visitor) -> None:
        """Keep what was made. Raises AccountError or SignInError."""
        accounts, site, answer = self._accounts, self._site(), _parsed(text)
        now, owner = accounts.now(), challenges.of_session(who.session)
        if not await accounts.store.run(lambda db: challenges.take(db, answer.challenge, "add", now, owner)):
            raise SignInError(*_TOO_LATE)
        try:
            new = site.verify_new(answer)
        except AnswerError as exc:
            log.warning("%s cannot add a passkey: %s", who.name, exc)
            raise AccountError(
                "That passkey cannot be used here. Try again, or with another device."
            ) from exc

        def work(db: Session) -> str:
            user = accounts.owner_of(db, who)
            factors.check_shown(db, user, who)
            factors.gain_factor(db, who.session)
            return passkeys.add(db, user, name, new, now).name

        made = await accounts.store.run(work)
        accounts.audit.add(who.name, "passkey-added", address=visitor.address, detail=made)

    async def remove(self, who: Identity, passkey_id: int, visitor: Visitor) -> None:
        """Forget one of this user's. Raises UnknownError, or AccountError: it may be needed."""
        accounts = self._accounts

        def work(db: Session) -> str:
            user = accounts.owner_of(db, who)
            factors.check_shown(db, user, who)
            name = passkeys.remove(db, user, passkey_id)
            factors.check_kept(db, user, accounts.rule)
            return name

        name = await accounts.store.run(work)
        accounts.audit.add(who.name, "passkey-removed", address=visitor.address, detail=name)

    async def begin_sign_in(self, visitor: Visitor) -> dict[str, Any]:
        """What a browser needs to sign in by a passkey; nobody is named, so nothing is told."""
        site = self._site()

        def work(db: Session) -> dict[str, Any]:
            browser = users.browser_key(db, visitor.known)
            owner = challenges.of_known(browser) if browser else challenges.of_stranger(visitor.address)
            return site.request_options(challenges.make(db, "sign-in", owner, self._accounts.now()))

        return await self._accounts.store.run(work)

    async def sign_in(self, text: str, visitor: Visitor) -> SignedIn:
        """Let in whose passkey has signed. It counts as both factors, for its holder was verified by it.

        Raises SignInError. Wrong answers count for the browser or address alone, apart from passwords.
        """
        accounts, site, answer = self._accounts, self._site(), _parsed(text)

        def keys_of(db: Session, name: str) -> attempts.Keys:
            return attempts.keys_of_passkey(users.known_browser(db, name, visitor.known), visitor.address)

        begun = await self._begin(answer, "sign-in", None, keys_of)

        def finish(db: Session) -> SignedIn:
            user = self._use(db, begun, count)
            return accounts.begin_session(db, user, visitor, has_factor=True)

        try:
            # Of an authenticator that found its user by itself (section 7.2, step 6).
            count = _verified(site, answer, begun, is_theirs=answer.user_handle == begun.handle)
            signed_in = await accounts.store.run(finish)
        except SignInError as exc:
            self._refused(exc, begun.user_name or STRANGER, visitor)
            raise
        accounts.note_sign_in(signed_in, visitor, f"with passkey {begun.passkey_name}")
        return signed_in

    async def begin_confirming(self, who: Identity) -> dict[str, Any]:
        """What this user's browser needs to have one of their passkeys sign. Raises UnknownError."""
        site = self._site()

        def work(db: Session) -> dict[str, Any]:
            theirs = passkeys.known(db, _id(who))
            if not theirs:
                raise UnknownError("You have no passkey.")
            owner = challenges.of_session(who.session)
            return site.request_options(challenges.make(db, "confirm", owner, self._accounts.now()), theirs)

        return await self._accounts.store.run(work)

    async def confirm(self, who: Identity, text: str, visitor: Visitor) -> None:
        """Take a passkey in place of a signed-in user's password. Raises SignInError."""
        accounts, site, answer = self._accounts, self._site(), _parsed(text)
        keys = attempts.keys_of_known(who.session)  # of this session alone, as for the password
        owner = challenges.of_session(who.session)
        begun = await self._begin(answer, "confirm", owner, lambda _db, _name: keys)

        def finish(db: Session) -> None:
            self._use(db, begun, count)
            sessions.confirm(db, who.session, accounts.now())
            factors.gain_factor(db, who.session)

        try:
            count = _verified(site, answer, begun, is_theirs=begun.user_name == who.name)
            await accounts.store.run(finish)
        except SignInError as exc:
            self._refused(exc, who.name, visitor)
            raise

    async def _begin(
        self,
        answer: Answer,
        purpose: challenges.Purpose,
        owner: str | None,
        keys_of: Callable[[Session, str], attempts.Keys],
    ) -> _Begun:
        """Count an attempt, and take the challenge, for good: whatever the answer is worth, it works once."""

        def work(db: Session) -> tuple[float, bool, _Begun]:
            passkey = passkeys.find(db, answer.credential_id)
            user = db.get(User, passkey.user_id) if passkey else None
            keys = keys_of(db, user.name if user else "")
            begun = _Begun(keys)
            if passkey and user:
                begun = _Begun(
                    keys, passkey.id, passkey.name, passkey.public_key, user.name, handle_of(user.id)
                )
            now = self._accounts.now()
            wait_s = attempts.begin(db, keys, now)
            is_fresh = wait_s <= 0 and challenges.take(db, answer.challenge, purpose, now, owner)
            if wait_s <= 0 and not is_fresh:
                attempts.take_back(db, keys)  # no wrong secret
            return wait_s, is_fresh, begun

        wait_s, is_fresh, begun = await self._accounts.store.run(work)
        if wait_s > 0:
            message = "Too many passkeys that were not right. Wait a little before you try again."
            raise SignInError("too-many-attempts", message, wait_s)
        if not is_fresh:
            raise SignInError(*_TOO_LATE)
        return begun

    def _use(self, db: Session, begun: _Begun, count: int) -> User:
        """Raises SignInError."""
        passkey = db.get(Passkey, begun.passkey_id)
        user = db.get(User, passkey.user_id) if passkey else None
        if passkey is None or user is None or user.disabled:  # removed or shut out, maybe meanwhile
            raise SignInError(*_WRONG)
        if not passkeys.use(db, passkey.id, count, self._accounts.now()):
            raise SignInError(*_COPIED)
        attempts.succeed(db, begun.keys)
        return user

    def _refused(self, exc: SignInError, name: str, visitor: Visitor) -> None:
        log.warning("%s from %s: %s", ascii(name), visitor.address, exc.code)
        note = self._accounts.audit.add_refusal
        if exc.code == _COPIED[0]:
            note(name, "passkey-copied", address=visitor.address, detail="its count went back")
        else:
            note(name, "sign-in-failed", address=visitor.address, detail=exc.code)

    def _site(self) -> RelyingParty:
        return relying_party(self._public_url)


def _verified(site: RelyingParty, answer: Answer, begun: _Begun, *, is_theirs: bool) -> int:
    """The count of an answer that is good. Raises SignInError."""
    if begun.passkey_id is None:
        raise SignInError(*_UNKNOWN)
    if not is_theirs:
        raise SignInError(*_WRONG)
    try:
        return site.verify(answer, begun.public_key)
    except AnswerError as exc:
        log.warning("%s", exc)
        raise SignInError(*_WRONG) from None


def _parsed(text: str) -> Answer:
    try:
        return parse_answer(text)
    except AnswerError as exc:
        log.debug("%s", exc)
        raise AccountError("That is no answer of a passkey.") from exc


def _id(who: Identity) -> int:
    assert who.user_id is not None, "a share link's visitor has no passkeys"
    return who.user_id
