"""Signing in: with a password and a code, with a one-time link, with a company account; and signing out."""

import logging

from aiohttp import web
from pydantic import Field

from agent.portal.accounts import users
from agent.portal.accounts.access import Identity
from agent.portal.accounts.company import CompanyError
from agent.portal.accounts.passwords import MAX_CHARS
from agent.portal.accounts.relying_party import passkey_site
from agent.portal.accounts.service import Accounts, SignedIn
from agent.portal.accounts.tokens import MAX_TOKEN_CHARS, new_token
from agent.portal.api.route import (
    Body,
    Need,
    add,
    drop_cookie,
    read,
    read_cookie,
    set_cookie,
    set_known_cookie,
    visitor,
)
from agent.portal.guard import is_https

DEPARTURE_COOKIE = "pinhole-company"
DEPARTURE_LIFETIME_S = 600
RETURN_PATH = "/api/company/return"
MAX_CODE_CHARS = 32
"""Of an authenticator's code, or a recovery code as people write it."""

log = logging.getLogger(__name__)


class Login(Body):
    """What the sign-in page sends."""

    user: str = Field(min_length=1, max_length=128)
    password: str = Field(max_length=MAX_CHARS)
    code: str = Field(default="", max_length=MAX_CODE_CHARS)


class LinkToken(Body):
    """A one-time link."""

    token: str = Field(min_length=1, max_length=MAX_TOKEN_CHARS)


class Welcome(LinkToken):
    """A one-time link, and the password that was chosen with it."""

    password: str = Field(max_length=MAX_CHARS)
    code: str = Field(default="", max_length=MAX_CODE_CHARS)


class SignIn:
    """The handlers."""

    def __init__(self, accounts: Accounts, public_url: str | None, *, allow_new: bool) -> None:
        self._accounts = accounts
        self._public_url = public_url
        self._allow_new = allow_new

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for method, path, need, serve in (
            ("GET", "/api/session", Need.OWN, self.session),
            ("GET", "/api/ways", Need.NOTHING, self.ways),
            ("POST", "/api/login", Need.NOTHING, self.login),
            ("POST", "/api/logout", Need.OWN, self.logout),
            ("POST", "/api/welcome/look", Need.NOTHING, self.look),
            ("POST", "/api/welcome", Need.NOTHING, self.welcome),
            ("POST", "/api/enter", Need.NOTHING, self.enter),
            ("GET", "/api/company", Need.NOTHING, self.depart),
            ("GET", RETURN_PATH, Need.NOTHING, self.arrive),
        ):
            add(app, self._accounts, method, path, need, serve)

    async def session(self, _request: web.Request, who: Identity) -> web.Response:
        return web.json_response(_describe(who))

    async def ways(self, _request: web.Request) -> web.Response:
        company = self._accounts.company
        site, _ = passkey_site(self._public_url)
        return web.json_response({"company": company.name if company else None, "passkeys": site})

    async def login(self, request: web.Request) -> web.Response:
        login = await read(request, Login)
        signed_in = await self._accounts.sign_in(login.user, login.password, login.code, visitor(request))
        return await let_in(self._accounts, request, signed_in)

    async def logout(self, request: web.Request, who: Identity) -> web.Response:
        await self._accounts.sign_out(who, visitor(request))
        response = web.json_response({})
        drop_cookie(request, response)
        return response

    async def look(self, request: web.Request) -> web.Response:
        token = (await read(request, LinkToken)).token
        accounts = self._accounts
        name = await accounts.store.run(lambda db: users.user_of_link(db, token, accounts.now()).name)
        return web.json_response({"user": name})

    async def welcome(self, request: web.Request) -> web.Response:
        chosen = await read(request, Welcome)
        signed_in = await self._accounts.welcome(chosen.token, chosen.password, chosen.code, visitor(request))
        return await let_in(self._accounts, request, signed_in)

    async def enter(self, request: web.Request) -> web.Response:
        token = (await read(request, LinkToken)).token
        return await let_in(self._accounts, request, await self._accounts.enter(token, visitor(request)))

    async def depart(self, request: web.Request) -> web.Response:
        browser = new_token()
        try:
            url = await self._accounts.depart_to_company(self._return_url(), browser)
        except CompanyError as exc:
            return self._refuse_company(exc)
        response = _redirect(url)
        # Lax: the provider's redirect back is a navigation that another site began.
        response.set_cookie(
            _departure_cookie(request),
            browser,
            max_age=DEPARTURE_LIFETIME_S,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=is_https(request),
        )
        return response

    async def arrive(self, request: web.Request) -> web.Response:
        """Errors go to the sign-in page: a person looks at this answer, not a script."""
        query = request.query
        try:
            token, who = await self._accounts.arrive_from_company(
                self._return_url(),
                request.cookies.get(_departure_cookie(request), ""),
                visitor(request),
                state=query.get("state", "")[:MAX_TOKEN_CHARS],
                code=query.get("code", "")[:2048],
                error=query.get("error", "")[:200],
                iss=query.get("iss"),
                allow_new=self._allow_new,
            )
        except CompanyError as exc:
            response = self._refuse_company(exc)
        else:
            response = _redirect(f"{self._public_url}/")
            await self._accounts.end_former(read_cookie(request, Need.USER))
            set_cookie(request, response, token, who, self._accounts.now())
        response.del_cookie(
            _departure_cookie(request), path="/", httponly=True, samesite="Lax", secure=is_https(request)
        )
        return response

    def _refuse_company(self, exc: CompanyError) -> web.Response:
        log.warning("company sign-in: %s", exc)
        return _redirect(f"{self._public_url or ''}/#/company/{exc.code}")

    def _return_url(self) -> str:
        return f"{self._public_url}{RETURN_PATH}"


def _departure_cookie(request: web.Request) -> str:
    return f"__Host-{DEPARTURE_COOKIE}" if is_https(request) else DEPARTURE_COOKIE


async def let_in(accounts: Accounts, request: web.Request, signed_in: SignedIn) -> web.Response:
    """Hand a new session to its browser, which is known from now on."""
    token, who = signed_in
    await accounts.end_former(read_cookie(request, Need.USER))
    response = web.json_response(_describe(who))
    set_known_cookie(request, response, await accounts.remember_browser(who, visitor(request)))
    set_cookie(request, response, token, who, accounts.now())
    return response


def _describe(who: Identity) -> dict[str, object]:
    return {
        "user": who.name,
        "admin": who.access.is_admin,
        "operator": who.access.strongest in ("operator", "admin"),
        "manages": who.access.strongest == "admin",
        "second_factor_needed": who.needs_factor,
    }


def _redirect(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url})
