"""What users do with their own account: password, authenticator, other browsers."""

from dataclasses import asdict

from aiohttp import web
from pydantic import Field
from sqlalchemy.orm import Session

from agent.portal.accounts import codes, factors, passkeys, recovery, sessions, users
from agent.portal.accounts.access import Identity
from agent.portal.accounts.passwords import MAX_CHARS
from agent.portal.accounts.relying_party import passkey_site
from agent.portal.accounts.service import Accounts, SignInError
from agent.portal.accounts.users import AccountError
from agent.portal.api.route import Body, Need, add, read, visitor


class NewPassword(Body):
    """A change of password."""

    old: str = Field(max_length=MAX_CHARS)
    new: str = Field(max_length=MAX_CHARS)


class OnePassword(Body):
    """The password, asked for again."""

    password: str = Field(max_length=MAX_CHARS)


class NewCode(OnePassword):
    """A new authenticator: its secret, and the code that shows that it was read."""

    secret: str = Field(pattern=r"^[A-Z2-7]{32}$")
    code: str = Field(max_length=16)


class SessionId(Body):
    """One of the user's own sessions."""

    id: str = Field(max_length=64)


class Account:
    """The handlers."""

    def __init__(self, accounts: Accounts, public_url: str | None) -> None:
        self._accounts = accounts
        self._passkey_origin, self._passkey_problem = passkey_site(public_url)

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for method, path, need, serve in (
            ("GET", "/api/account", Need.OWN, self.show),
            ("POST", "/api/confirm", Need.OWN, self.confirm),
            ("POST", "/api/account/password", Need.USER, self.change_password),
            ("POST", "/api/account/code/new", Need.OWN, self.new_code),
            ("POST", "/api/account/code", Need.OWN, self.set_code),
            ("POST", "/api/account/code/remove", Need.USER, self.remove_code),
            ("POST", "/api/account/code/recovery", Need.USER, self.renew_recovery),
            ("POST", "/api/account/sign-out-others", Need.USER, self.sign_out_others),
            ("POST", "/api/account/sessions/end", Need.USER, self.end_session),
        ):
            add(app, self._accounts, method, path, need, serve)

    async def show(self, _request: web.Request, who: Identity) -> web.Response:
        now, own = self._accounts.now(), sessions.id_of(who.session)

        def work(db: Session) -> dict[str, object]:
            user = users.find(db, who.name)
            keys = passkeys.of_user(db, user)
            must_have_factor = users.access_of(db, user).must_have_factor(self._accounts.rule)
            return {
                "user": user.name,
                "role": user.role,
                "has_password": user.password_hash is not None,
                "has_code": user.totp_secret is not None,
                "must_have_code": must_have_factor and not keys,
                "recovery_codes": recovery.left(db, user),
                "is_company": user.subject is not None,
                "passkeys": [asdict(one) for one in keys],
                "passkey_origin": self._passkey_origin,
                "passkey_problem": self._passkey_problem,
                "sessions": [asdict(one) | {"own": one.id == own} for one in sessions.of_user(db, user, now)],
            }

        return web.json_response(await self._accounts.store.run(work))

    async def confirm(self, request: web.Request, who: Identity) -> web.Response:
        again = await read(request, OnePassword)
        await self._accounts.confirm(who, again.password, visitor(request))
        return web.json_response({})

    async def change_password(self, request: web.Request, who: Identity) -> web.Response:
        change = await read(request, NewPassword)
        await self._accounts.check_again(who, change.old)
        password_hash = await self._accounts.passwords.hash_new(change.new, who.name)
        await self._accounts.store.run(
            lambda db: users.set_password(db, self._accounts.owner_of(db, who), password_hash, who.session)
        )
        return self._done(request, who, "password-set")

    async def new_code(self, _request: web.Request, who: Identity) -> web.Response:
        secret = codes.new_secret()
        uri = codes.enrolment_uri(secret, who.name)
        return web.json_response({"secret": secret, "uri": uri, "svg": codes.qr_code(uri)})

    async def set_code(self, request: web.Request, who: Identity) -> web.Response:
        new = await read(request, NewCode)
        await self._accounts.check_again(who, new.password)
        step = codes.accepted_step(new.secret, new.code, 0, self._accounts.now())
        if step is None:
            raise SignInError("wrong-code", "That code is not right. Check that your phone's clock is.")

        def work(db: Session) -> list[str]:
            user = self._accounts.owner_of(db, who)
            factors.check_shown(db, user, who)
            self._accounts.seal.close(user, new.secret)
            user.totp_step = step
            users.end_sessions(db, user, who.session)
            factors.gain_factor(db, who.session)
            return recovery.renew(db, user)

        made = await self._accounts.store.run(work)
        return self._done(request, who, "code-set", recovery_codes=made)

    async def remove_code(self, request: web.Request, who: Identity) -> web.Response:
        again = await read(request, OnePassword)
        await self._accounts.check_again(who, again.password)

        def work(db: Session) -> None:
            user = self._accounts.owner_of(db, who)
            users.remove_code(db, user)
            factors.check_kept(db, user, self._accounts.rule)

        try:
            await self._accounts.store.run(work)
        except AccountError:
            self._accounts.audit.add_refusal(
                who.name, "refused", address=visitor(request).address, detail="turn the authenticator off"
            )
            raise
        return self._done(request, who, "code-removed")

    async def renew_recovery(self, request: web.Request, who: Identity) -> web.Response:
        again = await read(request, OnePassword)
        await self._accounts.check_again(who, again.password)

        def work(db: Session) -> list[str]:
            user = self._accounts.owner_of(db, who)
            if user.totp_secret is None:
                raise AccountError("Recovery codes stand for an authenticator: set one up first.")
            return recovery.renew(db, user)

        made = await self._accounts.store.run(work)
        return self._done(request, who, "recovery-renewed", recovery_codes=made)

    async def sign_out_others(self, request: web.Request, who: Identity) -> web.Response:
        await self._accounts.store.run(
            lambda db: users.end_sessions(db, users.find(db, who.name), who.session)
        )
        return self._done(request, who, "signed-out-others")

    async def end_session(self, request: web.Request, who: Identity) -> web.Response:
        wanted = (await read(request, SessionId)).id
        await self._accounts.store.run(lambda db: sessions.end_one(db, users.find(db, who.name), wanted))
        return self._done(request, who, "signed-out-others")

    def _done(self, request: web.Request, who: Identity, action: str, **said: object) -> web.Response:
        self._accounts.audit.add(who.name, action, address=visitor(request).address)
        return web.json_response(said)
