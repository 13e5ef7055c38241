"""Share links: operators make and revoke them for their cameras, anybody opens one."""

from dataclasses import asdict

from aiohttp import web
from pydantic import Field

from agent.model.ids import Id
from agent.portal.accounts import shares
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, RowId, add, read, set_cookie, visitor
from agent.portal.api.signin import LinkToken
from agent.portal.guard import refusal


class NewShare(Body):
    """A link for one camera."""

    device: Id
    label: str = Field(max_length=100)
    lifetime_s: float


class Revocation(Body):
    """Which link."""

    id: RowId


class Shares:
    """The handlers."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for method, path, need, serve in (
            ("GET", "/api/shares", Need.USER, self.list_shares),
            ("POST", "/api/shares", Need.USER, self.make),
            ("POST", "/api/shares/revoke", Need.USER, self.revoke),
            ("POST", "/api/share/open", Need.NOTHING, self.open),
            ("GET", "/api/share", Need.LINK, self.session),
        ):
            add(app, self._accounts, method, path, need, serve)

    async def list_shares(self, _request: web.Request, who: Identity) -> web.Response:
        now = self._accounts.now()
        found = await self._accounts.store.run(lambda db: shares.views(db, who.access, now))
        return web.json_response({"shares": [asdict(share) for share in found]})

    async def make(self, request: web.Request, who: Identity) -> web.Response:
        new = await read(request, NewShare)
        if not who.access.may(new.device, "watch"):
            return refusal(404, "unknown", "There is no camera of this name here.")
        if not who.access.may(new.device, "control"):
            return refusal(403, "not-allowed", "Only an operator of this camera may share it.")
        token, share = await self._accounts.store.run(
            lambda db: shares.make(db, new.device, new.label, who.name, new.lifetime_s, self._accounts.now())
        )
        self._note(request, who, "link-shared", share)
        return web.json_response({"token": token, **asdict(share)})

    async def revoke(self, request: web.Request, who: Identity) -> web.Response:
        wanted = (await read(request, Revocation)).id
        share = await self._accounts.store.run(lambda db: shares.revoke(db, wanted, who.access))
        self._note(request, who, "link-revoked", share)
        return web.json_response({})

    async def open(self, request: web.Request) -> web.Response:
        token = (await read(request, LinkToken)).token
        cookie, who, device = await self._accounts.open_share(token, visitor(request))
        response = web.json_response({"device": device, "expires_at": who.expires_at})
        set_cookie(request, response, cookie, who, self._accounts.now())
        return response

    async def session(self, _request: web.Request, who: Identity) -> web.Response:
        return web.json_response({"device": next(iter(who.access.cameras)), "expires_at": who.expires_at})

    def _note(self, request: web.Request, who: Identity, action: str, share: shares.ShareView) -> None:
        address = visitor(request).address
        self._accounts.audit.add(who.name, action, device=share.device, address=address, detail=share.label)
