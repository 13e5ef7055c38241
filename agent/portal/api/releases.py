"""Releases: operators tell their cameras that there may be a new one."""

import asyncio
import time

from aiohttp import web
from pydantic import Field

from agent.model.ids import Id
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, add, read, visitor
from agent.portal.devices import MAX_DEVICES
from agent.portal.gateway import Gateway
from agent.portal.guard import refusal
from agent.portal.rate_limit import MinuteLimit

LOOKS_PER_MINUTE = 12
"""Of one user; a camera looks once a minute at most."""
AT_ONCE, PAUSE_S = 32, 0.1
"""So that a fleet's worth of messages pushes none of the viewers' out of the broker's queue."""


class LookWish(Body):
    """For which cameras; without, for every one that the user operates."""

    devices: list[Id] | None = Field(default=None, min_length=1, max_length=MAX_DEVICES)


class Releases:
    """The handlers."""

    def __init__(self, accounts: Accounts, gateway: Gateway) -> None:
        self._accounts = accounts
        self._gateway = gateway
        self._limit = MinuteLimit(LOOKS_PER_MINUTE)

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "POST", "/api/look", Need.USER, self.look)

    async def look(self, request: web.Request, who: Identity) -> web.Response:
        """Which were told, and which were missed: one that is offline looks by itself when it is back."""
        wish = (await read(request, LookWish)).devices
        devices = wish or [device for device in self._gateway.devices() if who.access.may(device, "control")]
        known = set(self._gateway.devices())
        if any(device not in known or not who.access.may(device, "watch") for device in devices):
            return refusal(404, "unknown", "There is no camera of this name here.")
        if not devices or not all(who.access.may(device, "control") for device in devices):
            return refusal(403, "not-allowed", "Only an operator of these cameras may do this.")
        if not self._gateway.broker_connected:
            return refusal(
                503, "broker-away", "The portal has lost the MQTT broker; it keeps trying to reach it."
            )
        if not self._limit.admits(who.user_id, time.monotonic()):
            response = refusal(429, "too-many-looks", "Too many requests in a minute: wait a little.")
            response.headers["Retry-After"] = "60"
            return response
        asked: list[str] = []
        for number, device in enumerate(dict.fromkeys(devices), 1):
            if self._gateway.look(device, who):
                asked.append(device)
            if number % AT_ONCE == 0:
                await asyncio.sleep(PAUSE_S)
        one = asked[0] if len(asked) == 1 else ""
        words = "" if one else f"{len(asked)} cameras: {', '.join(asked)}"
        self._accounts.audit.add(
            who.name, "look-asked", device=one, address=visitor(request).address, detail=words
        )
        return web.json_response({"asked": asked, "missed": sorted(set(devices) - set(asked))})
