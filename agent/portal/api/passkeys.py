"""Passkeys: made and removed by their users, to sign in and to show again who one is."""

from aiohttp import web
from pydantic import Field

from agent.portal.accounts.access import Identity
from agent.portal.accounts.ceremonies import Ceremonies
from agent.portal.accounts.passkeys import MAX_NAME_CHARS
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, RowId, add, read, visitor
from agent.portal.api.signin import let_in

MAX_ANSWER_CHARS = 6000
"""An id of 1023 bytes twice, and a signature with RSA."""
MAX_NEW_CHARS = 16_384
"""A new passkey may come with its maker's certificates."""


class SignedAnswer(Body):
    """What an authenticator has signed, as JSON of `PublicKeyCredential.toJSON`."""

    credential: str = Field(max_length=MAX_ANSWER_CHARS)


class MadePasskey(Body):
    """What an authenticator has made, in the same form, and what its user calls it."""

    name: str = Field(max_length=MAX_NAME_CHARS)
    credential: str = Field(max_length=MAX_NEW_CHARS)


class PasskeyId(Body):
    """One of the user's own."""

    id: RowId


class Passkeys:
    """The handlers. Each act is two requests: what to sign, and what was signed."""

    def __init__(self, accounts: Accounts, public_url: str | None) -> None:
        self._accounts = accounts
        self._ceremonies = Ceremonies(accounts, public_url)

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for path, need, serve in (
            ("/api/passkey/options", Need.NOTHING, self.begin_sign_in),
            ("/api/passkey", Need.NOTHING, self.sign_in),
            ("/api/confirm/passkey/options", Need.OWN, self.begin_confirming),
            ("/api/confirm/passkey", Need.OWN, self.confirm),
            ("/api/account/passkeys/options", Need.CONFIRMED_OWN, self.begin_adding),
            ("/api/account/passkeys", Need.CONFIRMED_OWN, self.add),
            ("/api/account/passkeys/remove", Need.CONFIRMED_OWN, self.remove),
        ):
            add(app, self._accounts, "POST", path, need, serve)

    async def begin_sign_in(self, request: web.Request) -> web.Response:
        return web.json_response(await self._ceremonies.begin_sign_in(visitor(request)))

    async def sign_in(self, request: web.Request) -> web.Response:
        signed = await read(request, SignedAnswer)
        signed_in = await self._ceremonies.sign_in(signed.credential, visitor(request))
        return await let_in(self._accounts, request, signed_in)

    async def begin_confirming(self, _request: web.Request, who: Identity) -> web.Response:
        return web.json_response(await self._ceremonies.begin_confirming(who))

    async def confirm(self, request: web.Request, who: Identity) -> web.Response:
        signed = await read(request, SignedAnswer)
        await self._ceremonies.confirm(who, signed.credential, visitor(request))
        return web.json_response({})

    async def begin_adding(self, _request: web.Request, who: Identity) -> web.Response:
        return web.json_response(await self._ceremonies.begin_adding(who))

    async def add(self, request: web.Request, who: Identity) -> web.Response:
        made = await read(request, MadePasskey)
        await self._ceremonies.add(who, made.name, made.credential, visitor(request))
        return web.json_response({})

    async def remove(self, request: web.Request, who: Identity) -> web.Response:
        gone = await read(request, PasskeyId)
        await self._ceremonies.remove(who, gone.id, visitor(request))
        return web.json_response({})
