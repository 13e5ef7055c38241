"""Who may ask what: every route is made here, with the need that it declares."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import PortalError
from agent.model.text import printable
from agent.portal.accounts.access import Identity
from agent.portal.accounts.attempts import network_of
from agent.portal.accounts.passwords import BusyError
from agent.portal.accounts.service import Accounts, SignInError, Visitor
from agent.portal.accounts.tokens import MAX_TOKEN_CHARS
from agent.portal.accounts.users import UnknownError
from agent.portal.guard import client_address, is_https, refusal
from agent.portal.outsiders import OUTSIDER
from agent.portal.store import CrowdError, DiskFullError, StoreError, ValueRefusedError

COOKIE, LINK_COOKIE = "pinhole", "pinhole-link"
"""A user's session, and that of a share link: both may be open in one browser."""
KNOWN_COOKIE = "pinhole-known"
"""Of a browser where a user was signed in before; it opens nothing."""
KNOWN_LIFETIME_S = 366 * 86400
BODY_TIMEOUT_S = 10.0
MAX_PUBLIC_BODY_BYTES = 8192
"""Of who is not signed in."""

log = logging.getLogger(__name__)


class Need(Enum):
    """What a route asks of whoever calls it."""

    NOTHING = "nothing"
    USER = "a signed-in user"
    OWN = "a signed-in user, also one who has yet to set up a second factor"
    CONFIRMED_OWN = "the same, who showed who they are in the last ten minutes"
    ADMIN = "a signed-in administrator"
    CONFIRMED_ADMIN = "an administrator who showed who they are in the last ten minutes"
    LINK = "an open share link"


_OF_ADMINS = (Need.ADMIN, Need.CONFIRMED_ADMIN)
_OWN = (Need.OWN, Need.CONFIRMED_OWN)
_CONFIRMED = (Need.CONFIRMED_OWN, Need.CONFIRMED_ADMIN)


class Body(BaseModel):
    """Base of everything that a browser sends."""

    model_config = ConfigDict(extra="forbid", strict=True, str_max_length=512)


RowId = Annotated[int, Field(ge=0, lt=2**31)]
"""PostgreSQL's integer, which holds any row's id."""
Served = Callable[[web.Request, Identity], Awaitable[web.StreamResponse]]
Public = Callable[[web.Request], Awaitable[web.StreamResponse]]
B = TypeVar("B", bound=Body)


class Route:
    """One address: its need is checked first; errors become answers here and nowhere else."""

    def __init__(self, accounts: Accounts, need: Need, serve: Served | Public) -> None:
        self.need = need
        self._accounts = accounts
        self._serve: Callable[..., Awaitable[web.StreamResponse]] = serve

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer, with 401 for who is not signed in and 403 for who may not."""
        OUTSIDER.set(network_of(client_address(request)))
        try:
            return await self._serve_allowed(request)
        except (ValidationError, TimeoutError, PortalError) as exc:
            return _answer(exc)

    async def _serve_allowed(self, request: web.Request) -> web.StreamResponse:
        if self.need is Need.NOTHING:
            length = request.content_length if request.body_exists else 0
            if length is None or length > MAX_PUBLIC_BODY_BYTES:
                return refusal(
                    413, "too-large", f"At most {MAX_PUBLIC_BODY_BYTES} bytes, with Content-Length."
                )
            return await self._serve(request)
        caller = await self._caller(request)
        if isinstance(caller, Identity) and request.body_exists:
            # A body may be long in coming, and its sender shut out meanwhile.
            async with asyncio.timeout(BODY_TIMEOUT_S):
                await request.read()
            caller = await self._caller(request)
        if not isinstance(caller, Identity):
            return caller
        OUTSIDER.set("")
        return await self._serve(request, caller)

    async def _caller(self, request: web.Request) -> Identity | web.Response:
        """Who asks, where they may; else the answer that says why not."""
        who = await self._accounts.identity(read_cookie(request, self.need))
        if who is None or (who.user_id is None) != (self.need is Need.LINK):
            return refusal(401, "signed-out", "Sign in first.")
        return self._refusal(request, who) or who

    def _refusal(self, request: web.Request, who: Identity) -> web.Response | None:
        """Why this user may not ask for this."""
        if who.needs_factor and self.need not in _OWN:
            words = "Your role asks for a second factor: set up an authenticator on the dashboard first."
            return refusal(403, "second-factor-needed", words)
        if self.need in _OF_ADMINS and not who.access.is_admin:
            self._accounts.audit.add_refusal(
                who.name,
                "refused",
                address=client_address(request),
                detail=f"{request.method} {request.path}",
            )
            return refusal(403, "not-allowed", "Only an administrator may do this.")
        if self.need in _CONFIRMED and not self._accounts.is_confirmed(who):
            return refusal(403, "confirm-first", "Show again that it is you, then repeat this.")
        return None


def add(
    app: web.Application, accounts: Accounts, method: str, path: str, need: Need, serve: Served | Public
) -> None:
    """The one way to add a route."""
    app.router.add_route(method, path, Route(accounts, need, serve).handle)


async def read(request: web.Request, model: type[B]) -> B:
    """The body as a type. Raises ValidationError or TimeoutError."""
    async with asyncio.timeout(BODY_TIMEOUT_S):
        return model.model_validate_json(await request.read())


def visitor(request: web.Request) -> Visitor:
    """From where somebody speaks to us."""
    known = request.cookies.get(_known_cookie(request), "")[:MAX_TOKEN_CHARS]
    browser = printable(request.headers.get("User-Agent", ""))  # any bytes at all
    return Visitor(client_address(request), browser, known)


def set_known_cookie(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Have this browser known by its next sign-in, also after it has signed out."""
    response.set_cookie(
        _known_cookie(request), token, max_age=KNOWN_LIFETIME_S, path="/", httponly=True, samesite="Strict",
        secure=is_https(request),
    )  # fmt: skip


def _known_cookie(request: web.Request) -> str:
    return f"__Host-{KNOWN_COOKIE}" if is_https(request) else KNOWN_COOKIE


def cookie_name(request: web.Request, need: Need = Need.USER) -> str:
    """With https the name itself binds a cookie to this host and to https (RFC 6265bis section 4.1.3.2)."""
    name = LINK_COOKIE if need is Need.LINK else COOKIE
    return f"__Host-{name}" if is_https(request) else name


def read_cookie(request: web.Request, need: Need) -> str:
    """The session's token, or an empty text."""
    return request.cookies.get(cookie_name(request, need), "")


def set_cookie(
    request: web.Request, response: web.StreamResponse, token: str, who: Identity, now: float
) -> None:
    """Hand a session to a browser: scripts cannot read it, pages of other sites cannot send it."""
    response.set_cookie(
        cookie_name(request, Need.USER if who.share_id is None else Need.LINK),
        token,
        max_age=max(0, int(who.expires_at - now)),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_https(request),
    )


def drop_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Take the user's session from a browser."""
    response.del_cookie(
        cookie_name(request), path="/", httponly=True, samesite="Strict", secure=is_https(request)
    )


def _answer(exc: Exception) -> web.Response:
    match exc:
        case ValidationError() | ValueRefusedError():
            return refusal(400, "malformed", "That is not what this address takes.")
        case TimeoutError():
            return refusal(408, "too-slow", "The request did not arrive in time.")
        case SignInError(code="too-many-attempts"):
            response = refusal(429, exc.code, str(exc))
            response.headers["Retry-After"] = str(int(exc.retry_after_s) + 1)
        case SignInError():
            response = refusal(401, exc.code, str(exc))
        case DiskFullError():
            log.warning("refused a request: %s", exc)
            response = refusal(
                503, "disk-full", "The portal's disk is full: its administrator must make room."
            )
        case CrowdError():
            response = refusal(503, "busy", "Too many people are signing in at once. Try again in a moment.")
        case BusyError() | StoreError():
            log.warning("refused a request: %s", exc)
            response = refusal(503, "busy", "The portal is busy or has lost its database. Try again soon.")
        case UnknownError():
            response = refusal(404, "unknown", str(exc))
        case _:
            response = refusal(400, "refused", str(exc))
    return response
