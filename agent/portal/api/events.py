"""What happened at the cameras, for those who may watch them: page by page."""

from dataclasses import asdict
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent.model.event import KINDS
from agent.model.signal import UnixTime
from agent.portal import events
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Need, RowId, add
from agent.portal.tables import DEVICE_CHARS

MAX_PAGE = 200
Cursor = Annotated[str, StringConstraints(pattern=r"^\d{1,13}(\.\d{1,17})?:\d{1,18}$")]


class _Query(BaseModel):
    """What the address asks for; what is empty matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field(default="", max_length=DEVICE_CHARS, pattern=r"^[^\x00]*$")
    kind: str = Field(default="", max_length=40, pattern=r"^[^\x00]*$")
    since: UnixTime | None = None
    until: UnixTime | None = None
    before: Cursor | None = None
    limit: RowId = 50


class EventLog:
    """The handler."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "GET", "/api/events", Need.USER, self.page)

    async def page(self, request: web.Request, who: Identity) -> web.Response:
        """Up to 200 events of cameras that the user may watch, the newest first; `next` asks for older ones.

        `kinds` are the titles of those that this release knows.
        """
        query = _Query.model_validate({key: value for key, value in request.query.items() if value})
        wanted = _filter(query, who)
        found = await self._accounts.store.run(lambda db: events.find(db, wanted))
        page = found[: wanted.limit - 1]
        more = len(found) > len(page)
        return web.json_response(
            {
                "events": [asdict(event) for _, event in page],
                "next": f"{page[-1][1].at!r}:{page[-1][0]}" if more else None,
                "kinds": {kind: about.title for kind, about in KINDS.items() if kind != events.SEEN},
            }
        )


def _filter(query: _Query, who: Identity) -> events.Filter:
    access = who.access
    devices = None if access.everywhere else [each for each in access.cameras if access.may(each, "watch")]
    if query.device:
        devices = [query.device] if access.may(query.device, "watch") else []
    at, _, row = (query.before or "").partition(":")
    return events.Filter(
        devices,
        query.kind,
        query.since,
        query.until,
        (float(at), int(row)) if row else None,
        max(1, min(MAX_PAGE, query.limit)) + 1,  # one more tells whether there are more
    )
