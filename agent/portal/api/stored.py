"""What cameras have sent to the store: listed by day, and saved from there by who may look back."""

import time
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from agent.model.ids import is_id
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, add, read, visitor
from agent.portal.guard import refusal
from agent.portal.rate_limit import MinuteLimit
from agent.portal.upload.objects import NAME, PAGE, BucketError, Shelf, day_of, parse_stored

ASKED_PER_MINUTE = 120
"""Of one user: the store is asked each time."""
MAX_AT_ONCE = 8
"""Of all users: a store that is slow holds no more of them here."""

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]


class _Query(BaseModel):
    """What the address asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: date | None = None
    """As UTC has it; today where nobody says."""
    after: Name | None = None
    """The last one of the page before."""


class LinkWish(Body):
    """One file of one day."""

    day: date
    name: Name


class StoredFiles:
    """The handlers."""

    def __init__(self, accounts: Accounts, shelf: Shelf | None, prefix: str = "") -> None:
        """`shelf` is None where the portal has no store."""
        self._accounts, self._shelf, self._prefix = accounts, shelf, prefix
        self._limit = MinuteLimit(ASKED_PER_MINUTE)
        self._at_once = 0

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "GET", "/api/devices/{device}/stored", Need.USER, self.page)
        add(app, self._accounts, "POST", "/api/devices/{device}/stored/link", Need.USER, self.link)

    async def page(self, request: web.Request, who: Identity) -> web.Response:
        """Up to 1000 files that began on a day, in the order of their times."""
        query = _Query.model_validate(dict(request.query))
        return await self._ask(request, who, query)

    async def link(self, request: web.Request, who: Identity) -> web.Response:
        """A URL of a few minutes, with which the browser saves the file from the store."""
        return await self._ask(request, who, await read(request, LinkWish))

    async def _ask(self, request: web.Request, who: Identity, wish: _Query | LinkWish) -> web.Response:
        device, shelf = request.match_info["device"], self._shelf
        if refused := self._refusal(device, who):
            return refused
        if shelf is None:
            return refusal(404, "no-store", "This portal has no store for recordings.")
        self._at_once += 1
        try:
            if isinstance(wish, LinkWish):
                return await self._link(request, who, device, wish, shelf)
            return await self._page(device, wish, shelf)
        except BucketError as exc:
            return refusal(503, "store-away", f"The recordings in the store are out of reach: {exc}.")
        finally:
            self._at_once -= 1

    def _refusal(self, device: str, who: Identity) -> web.Response | None:
        if not is_id(device) or not who.access.may(device, "watch"):
            return refusal(404, "unknown", "There is no camera of this name here.")
        if not who.access.may(device, "recordings"):
            return refusal(403, "not-allowed", "Only who may see what this camera recorded may do this.")
        if self._at_once >= MAX_AT_ONCE or not self._limit.admits(who.user_id, time.monotonic()):
            response = refusal(429, "too-many", "The store is asked too often: wait a little.")
            response.headers["Retry-After"] = "5"
            return response
        return None

    async def _page(self, device: str, query: _Query, shelf: Shelf) -> web.Response:
        day = query.day or datetime.now(UTC).date()
        folder = day_of(self._prefix, device, day)
        found = await shelf.objects(folder, f"{folder}{query.after}" if query.after else "")
        files = [file for each in found if (file := parse_stored(each, day))]
        return web.json_response(
            {"files": [asdict(file) for file in files], "more": len(found) == PAGE},
            headers={"Cache-Control": "no-store"},
        )

    async def _link(
        self, request: web.Request, who: Identity, device: str, wish: LinkWish, shelf: Shelf
    ) -> web.Response:
        key = f"{day_of(self._prefix, device, wish.day)}{wish.name}"
        if await shelf.size(key) is None:
            return refusal(404, "no-file", "The store has no such file.")
        self._accounts.audit.add(
            who.name,
            "recording-saved",
            device=device,
            address=visitor(request).address,
            detail=f"{wish.day} {wish.name}",
        )
        url = await shelf.link(key, f"{device}-{wish.day}-{wish.name}")
        return web.json_response({"url": url}, headers={"Cache-Control": "no-store"})
