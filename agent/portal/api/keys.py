"""The public keys of cameras, for those who check what a camera has signed."""

from aiohttp import web

from agent.model.keys import encode_public
from agent.model.signal import JsonObject
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Need, add
from agent.portal.guard import refusal
from agent.portal.registry import Device, find_device


class DeviceKeys:
    """The handler."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "GET", "/api/devices/{device}/key", Need.USER, self.show)

    async def show(self, request: web.Request, who: Identity) -> web.Response:
        """Of a camera that the user may watch, also of a revoked one: what it signed stays signed."""
        device = request.match_info["device"]
        found = None
        if who.access.may(device, "watch"):
            found = await self._accounts.store.run(lambda db: _shown(find_device(db, device)))
        return web.json_response(found) if found else refusal(404, "unknown", "There is no such camera.")


def _shown(row: Device | None) -> JsonObject | None:
    return {"key": encode_public(row.public_key), "revoked_at": row.revoked_at} if row else None
