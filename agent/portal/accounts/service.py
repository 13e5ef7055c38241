"""Signing in and out, as the portal's routes and its gateway use it."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

from agent.errors import PortalError
from agent.portal.accounts import attempts, company, factors, recovery, sessions, shares, users
from agent.portal.accounts.access import CodeRule, Identity
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.codes import accepted_step
from agent.portal.accounts.company import Company
from agent.portal.accounts.passwords import Passwords
from agent.portal.accounts.seal import Seal, SealError
from agent.portal.accounts.tokens import MAX_TOKEN_CHARS, key_of
from agent.portal.outsiders import OUTSIDER
from agent.portal.store import Store, StoreError
from agent.portal.tables import User

CONFIRMED_S = 600.0
"""So long ago may it be that somebody who changes what others may do showed who they are."""
MAX_OPEN = 4096
"""Sessions that are remembered as open."""

log = logging.getLogger(__name__)


class SignInError(PortalError):
    """Nobody comes in; `code` is stable, as in wrong-password, code-needed or too-many-attempts."""

    def __init__(self, code: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Visitor:
    """From where somebody speaks to us."""

    address: str = ""
    browser: str = ""
    known: str = ""
    """The cookie of a browser where somebody was signed in before."""


SignedIn = tuple[str, Identity]
"""The cookie's value, and whose it is."""

_SET_UP_ONLY = "without a second factor: may set one up, and nothing else"
_WRONG = ("wrong-password", "That is not the right user name and password.")


class Accounts:
    """The store, and what must not wait for it or flood it."""

    def __init__(
        self,
        store: Store,
        audit: Audit,
        passwords: Passwords,
        seal: Seal,
        provider: Company | None = None,
        clock: Callable[[], float] = time.time,
        require_code_for: CodeRule = "nobody",
    ) -> None:
        self.store = store
        self.audit = audit
        self.passwords = passwords
        self.seal = seal
        self.company = provider
        self.now = clock
        self.rule = require_code_for
        self._open: OrderedDict[str, None] = OrderedDict()
        """Sessions that were good when they were last asked for: no outsiders'."""

    @property
    def disk_is_full(self) -> bool:
        """Whether something cannot be noted for good."""
        return self.store.disk_is_full or self.audit.is_incomplete

    async def identity(self, token: str) -> Identity | None:
        """Whose cookie this is; None where its session is over, expired or made up."""
        if not 0 < len(token) <= MAX_TOKEN_CHARS:
            return None
        key = key_of(token)
        if key in self._open:
            OUTSIDER.set("")
        who = (await self._find([key])).get(key)
        self._open.pop(key, None)
        if who is not None:
            self._open[key] = None
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        if who is not None and not 0 <= self.now() - who.seen_at < sessions.SEEN_EVERY_S:
            await self.note_seen([key])
        return who

    async def note_seen(self, keys: Collection[str]) -> None:
        """These sessions are in use: they are not over soon."""
        if self.store.disk_is_full or not keys:
            return
        try:
            await self.store.run(lambda db: sessions.note_seen(db, keys, self.now()))
        except StoreError as exc:
            log.debug("that somebody was here is not noted: %s", exc)

    async def identities(self, keys: Collection[str]) -> dict[str, Identity]:
        """The same for the keys of many sessions: of those who may do what their role allows."""
        if not keys:
            return {}
        found = await self._find(keys)
        return {key: who for key, who in found.items() if not who.needs_factor}

    async def _find(self, keys: Collection[str]) -> dict[str, Identity]:
        return await self.store.run(lambda db: sessions.identities(db, keys, self.now(), self.rule))

    async def revision(self) -> int:
        """Grows with every change of who may do what, on any portal of this store."""
        return await self.store.run(users.revision)

    async def sign_in(self, name: str, password: str, code: str, visitor: Visitor) -> SignedIn:
        """Check name, password and, where the user has one, the authenticator's code.

        Raises SignInError or BusyError. A name that nobody has takes as long and says the same.
        """
        name = name.strip().casefold()
        keys, wait_s = await self.store.run(lambda db: self._begin(db, name, visitor))
        if wait_s > 0:
            message = "Too many wrong passwords. Wait a little before you try again."
            raise SignInError("too-many-attempts", message, wait_s)
        stored = await self.store.run(lambda db: _password_of(db, name))
        if not await self.passwords.verify(stored, password):
            self.audit.add(name, "sign-in-failed", address=visitor.address)
            log.warning("wrong password for %s from %s", ascii(name), visitor.address)
            raise SignInError(*_WRONG)
        try:
            signed_in, left = await self.store.run(
                lambda db: self._finish_sign_in(db, name, stored, code, visitor, keys)
            )
        except SignInError as exc:
            await self._note_refusal(exc, name, keys, visitor)
            raise
        self.note_sign_in(signed_in, visitor)
        self._note_recovery(name, left, visitor)
        return signed_in

    def _begin(self, db: Session, name: str, visitor: Visitor) -> tuple[attempts.Keys, float]:
        known = users.known_browser(db, name, visitor.known)
        keys = attempts.keys_of_known(known) if known else attempts.keys_of(name, visitor.address)
        return keys, attempts.begin(db, keys, self.now())

    def _finish_sign_in(
        self, db: Session, name: str, stored: str | None, code: str, visitor: Visitor, keys: attempts.Keys
    ) -> tuple[SignedIn, int | None]:
        user = users.find(db, name)
        if user.disabled or user.password_hash != stored:  # changed while it was hashed
            raise SignInError(*_WRONG)
        left = self._check_code(db, user, code)
        attempts.succeed(db, keys)
        return self.begin_session(db, user, visitor, has_factor=factors.has_factor(user)), left

    def begin_session(self, db: Session, user: User, visitor: Visitor, *, has_factor: bool) -> SignedIn:
        """Let somebody in who has shown who they are, by whatever way."""
        return sessions.open_session(
            db,
            user,
            self.now(),
            address=visitor.address,
            browser=visitor.browser,
            has_factor=has_factor,
            rule=self.rule,
        )

    def note_sign_in(self, signed_in: SignedIn, visitor: Visitor, *details: str) -> None:
        """Have the audit log say that somebody came in, and how."""
        who = signed_in[1]
        words = [*details, _SET_UP_ONLY] if who.needs_factor else details
        self.audit.add(who.name, "sign-in", address=visitor.address, detail=", ".join(words))

    def _check_code(self, db: Session, user: User, code: str) -> int | None:
        """Raises SignInError. Where it was a recovery code: how many are left."""
        if user.totp_secret is None:
            return None
        if not code:
            raise SignInError("code-needed", "Enter the code that your authenticator app shows.")
        if recovery.take(db, user, code):
            return recovery.left(db, user)
        # The row is locked, so that one code is not taken twice at once.
        db.refresh(user, with_for_update=True)
        step = accepted_step(self._secret_of(user), code, user.totp_step, self.now())
        if step is None:
            raise SignInError("wrong-code", "That code is not right, or was used already.")
        user.totp_step = step
        return None

    def _secret_of(self, user: User) -> str:
        try:
            return self.seal.open(user)
        except SealError as exc:
            log.error("%s: it must be set up anew", exc)  # noqa: TRY400  its words say it all
            words = "Your authenticator cannot be checked any more: ask an administrator for a new link."
            raise SignInError("wrong-code", words) from exc

    def _note_recovery(self, name: str, left: int | None, visitor: Visitor) -> None:
        if left is not None:
            log.warning("%s used a recovery code, %d are left", name, left)
            self.audit.add(name, "recovery-used", address=visitor.address, detail=f"{left} left")

    async def _note_refusal(self, exc: SignInError, name: str, keys: attempts.Keys, visitor: Visitor) -> None:
        """Wrong secrets alone count: a right password that needs a code is none."""
        if exc.code == "code-needed":
            await self.store.run(lambda db: attempts.take_back(db, keys))
        if exc.code == "wrong-code":
            self.audit.add(name, "sign-in-failed", address=visitor.address, detail="wrong code")

    async def remember_browser(self, who: Identity, visitor: Visitor) -> str:
        """The cookie by which this browser is known from now on: the one it has, or a new one."""

        def work(db: Session) -> str:
            if users.known_browser(db, who.name, visitor.known):
                return visitor.known
            return users.remember_browser(db, users.find(db, who.name), self.now())

        return await self.store.run(work)

    async def sign_out(self, who: Identity, visitor: Visitor) -> None:
        """End this session, here and on every portal."""
        await self.store.run(lambda db: sessions.end_session(db, who.session))
        self.audit.add(who.name, "sign-out", address=visitor.address)

    async def end_former(self, token: str) -> None:
        """End the session that a browser had before it signed in anew, so that none is left behind."""
        if 0 < len(token) <= MAX_TOKEN_CHARS:
            await self.store.run(lambda db: sessions.end_session(db, key_of(token)))

    async def welcome(self, token: str, password: str, code: str, visitor: Visitor) -> SignedIn:
        """Take the password that somebody chose with a one-time link, and sign them in.

        The link stands for the password alone: who has an authenticator is asked for its code, too. Raises
        UnknownError, PasswordError, SignInError or BusyError.
        """
        user = await self.store.run(lambda db: users.user_of_link(db, token, self.now()))
        name = user.name
        password_hash = await self.passwords.hash_new(password, name)

        keys = attempts.keys_of_known(key_of(token))  # of this link alone: nobody else holds its owner out
        if user.totp_secret is not None:  # else there is nothing to guess
            wait_s = await self.store.run(lambda db: attempts.begin(db, keys, self.now()))
            if wait_s > 0:
                raise SignInError("too-many-attempts", "Too many wrong codes. Wait a little.", wait_s)

        def take(db: Session) -> tuple[SignedIn, int | None]:
            user = users.take_link(db, token, self.now())
            left = self._check_code(db, user, code)
            users.set_password(db, user, password_hash)
            attempts.succeed(db, keys)
            return self.begin_session(db, user, visitor, has_factor=factors.has_factor(user)), left

        try:
            signed_in, left = await self.store.run(take)
        except SignInError as exc:
            await self._note_refusal(exc, name, keys, visitor)
            raise
        self.audit.add(name, "password-set", address=visitor.address, detail="with a one-time link")
        self._note_recovery(name, left, visitor)
        return signed_in

    async def enter(self, token: str, visitor: Visitor) -> SignedIn:
        """Sign in who has a link for that; it is used up.

        It stands for the password alone: who has an authenticator cannot come in by it. Raises
        UnknownError or SignInError.
        """

        def work(db: Session) -> SignedIn:
            user = users.take_entry(db, token, self.now())
            self._check_code(db, user, "")
            return self.begin_session(db, user, visitor, has_factor=False)

        signed_in = await self.store.run(work)
        self.note_sign_in(signed_in, visitor, "with a one-time link")
        return signed_in

    async def check_again(self, who: Identity, password: str) -> None:
        """Ask a signed-in user for the password before something weighty. Raises SignInError."""
        keys = attempts.keys_of_known(who.session)  # of this session alone: nobody else holds its user out
        wait_s = await self.store.run(lambda db: attempts.begin(db, keys, self.now()))
        if wait_s > 0:
            raise SignInError("too-many-attempts", "Too many wrong passwords. Wait a little.", wait_s)
        stored = await self.store.run(lambda db: users.find(db, who.name).password_hash)
        if not await self.passwords.verify(stored, password):
            raise SignInError("wrong-password", "That is not your password.")
        await self.store.run(lambda db: attempts.succeed(db, keys))

    def owner_of(self, db: Session, who: Identity) -> User:
        """Whose session this is, if it is open still: it may have ended while a password was checked.

        The row is locked, so that it does not end before what is done with it. Raises SignInError.
        """
        user = sessions.locked_owner(db, who.session)
        if user is None or user.disabled:
            raise SignInError("signed-out", "Sign in first.")
        return user

    def is_confirmed(self, who: Identity) -> bool:
        """Whether this user showed who they are a moment ago, by the clock of any portal."""
        return abs(self.now() - who.confirmed_at) <= CONFIRMED_S

    async def confirm(self, who: Identity, password: str, visitor: Visitor) -> None:
        """Take a signed-in user's password again. Raises SignInError."""
        try:
            await self.check_again(who, password)
        except SignInError:
            self.audit.add_refusal(who.name, "sign-in-failed", address=visitor.address, detail="asked again")
            raise
        await self.store.run(lambda db: sessions.confirm(db, who.session, self.now()))

    async def open_share(self, token: str, visitor: Visitor) -> tuple[str, Identity, str]:
        """Let in whoever has a share link; returns the camera's id too. Raises UnknownError."""

        def work(db: Session) -> tuple[str, Identity, str]:
            share = shares.opened(db, token, self.now())
            opened = sessions.open_session(
                db, share, self.now(), address=visitor.address, browser=visitor.browser
            )
            return *opened, share.device

        cookie, who, device = await self.store.run(work)
        self.audit.add(who.name, "link-opened", device=device, address=visitor.address)
        return cookie, who, device

    async def depart_to_company(self, redirect_uri: str, browser_token: str) -> str:
        """The address at the provider to send this browser to. Raises CompanyError."""
        provider = self._provider()
        departure = await provider.depart(redirect_uri)
        await self.store.run(lambda db: company.remember(db, departure, browser_token, self.now()))
        return departure.url

    async def arrive_from_company(
        self,
        redirect_uri: str,
        browser_token: str,
        visitor: Visitor,
        *,
        state: str,
        code: str,
        error: str,
        iss: str | None,
        allow_new: bool,
    ) -> SignedIn:
        """Sign in who comes back from the provider. Raises CompanyError."""
        pending = await self.store.run(lambda db: company.take(db, state, browser_token, self.now()))
        if error:
            raise company.CompanyError("refused", f"the provider says {error!a}")
        person = await self._provider().arrive(redirect_uri, code, iss, pending, self.now())

        def work(db: Session) -> SignedIn:
            user = company.user_of(db, person, allow_new=allow_new, now=self.now())
            db.flush()
            if not person.has_factor and users.access_of(db, user).must_have_factor(self.rule):
                raise company.CompanyError(
                    "no-factor", f"{person.name} signed in at {person.issuer} without a second factor."
                )
            return self.begin_session(db, user, visitor, has_factor=person.has_factor)

        try:
            signed_in = await self.store.run(work)
        except company.CompanyError as exc:
            self.audit.add_refusal(
                person.name, "sign-in-failed", address=visitor.address, detail=f"company account: {exc.code}"
            )
            raise
        self.note_sign_in(signed_in, visitor, person.issuer)
        return signed_in

    def _provider(self) -> Company:
        if self.company is None:
            raise company.CompanyError("refused", "This portal has no company sign-in.")
        return self.company


def _password_of(db: Session, name: str) -> str | None:
    try:
        user = users.find(db, name)
    except users.UnknownError:
        return None
    return None if user.disabled else user.password_hash
