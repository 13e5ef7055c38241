"""The audit log for administrators: page by page, and as a file."""

import csv
import io
import re
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from agent.model.signal import UnixTime
from agent.portal.accounts import audit
from agent.portal.accounts.access import Identity
from agent.portal.accounts.chain import Entry
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Need, RowId, add
from agent.portal.tables import DEVICE_CHARS, NAME_CHARS

MAX_PAGE = 500
MAX_EXPORT = 50_000
"""Some 8 MB: who needs more chooses dates, or takes the portal's own file."""
_COLUMNS = ("time", "who", "what", "camera", "from", "details")
_FORMULA = re.compile(r"(?:^|(?<=[;,\t\r\n\"']))(\s*)(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet begins a formula: also behind what it may take for the end of a cell, such as the
semicolon of other countries, and with wide signs."""


class _Query(BaseModel):
    """What the address asks for; what is empty matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(default="", max_length=NAME_CHARS, pattern=r"^[^\x00]*$")
    device: str = Field(default="", max_length=DEVICE_CHARS, pattern=r"^[^\x00]*$")
    about: audit.Topic = ""
    since: UnixTime | None = None
    until: UnixTime | None = None
    before: RowId | None = None
    limit: RowId = 100

    def filter(self) -> audit.Filter:
        return audit.Filter(
            before=self.before,
            actor=self.user.strip().casefold(),
            device=self.device,
            about=self.about,
            since=self.since,
            until=self.until,
            limit=max(1, min(MAX_PAGE, self.limit)),
        )


class AuditLog:
    """The handlers."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "GET", "/api/audit", Need.ADMIN, self.page)
        add(app, self._accounts, "GET", "/api/audit.csv", Need.ADMIN, self.export)

    async def page(self, request: web.Request, _who: Identity) -> web.Response:
        """Up to 500 entries, the newest first; `before` is the last id of the page before."""
        wanted = _wanted(request)
        found = await self._accounts.store.run(lambda db: audit.entries(db, wanted))
        return web.json_response({"entries": [{"id": number, **asdict(entry)} for number, entry in found]})

    async def export(self, request: web.Request, _who: Identity) -> web.Response:
        """The same as comma-separated values."""
        wanted = replace(_wanted(request), limit=MAX_EXPORT + 1)
        text = await self._accounts.store.run(
            lambda db: encode_csv([entry for _, entry in audit.entries(db, wanted)])
        )
        name = f"pinhole-audit-{time.strftime('%Y-%m-%d', time.gmtime(self._accounts.now()))}.csv"
        return web.Response(
            text=text,
            content_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def encode_csv(entries: list[Entry]) -> str:
    """RFC 4180, times in UTC; says in its last line where it leaves entries out."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for entry in entries[:MAX_EXPORT]:
        at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        cells = (entry.actor, entry.action, entry.device, entry.address, entry.detail)
        writer.writerow([at, *(_plain(cell) for cell in cells)])
    if len(entries) > MAX_EXPORT:
        writer.writerow(["", "", f"older entries are left out: these are the newest {MAX_EXPORT}"])
    return out.getvalue()


def _wanted(request: web.Request) -> audit.Filter:
    return _Query.model_validate({key: value for key, value in request.query.items() if value}).filter()


def _plain(cell: str) -> str:
    """What others chose, such as a name that was tried, must not run where the file is opened."""
    return _FORMULA.sub(r"'\1", cell)
