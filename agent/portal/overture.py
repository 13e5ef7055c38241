"""A database that is away when the portal starts: it is waited for, and whoever asks meanwhile is told so."""

import asyncio
import logging
import time
from functools import partial

from aiohttp import web

from agent import __version__
from agent.config import PortalSettings
from agent.model.pauses import Pauses
from agent.model.threads import call_in_thread
from agent.portal.door import make_door
from agent.portal.guard import PROXIES, add_security_headers, parse_proxies
from agent.portal.listener import listening
from agent.portal.store import Store, StoreAwayError, open_store

WAIT_S = 900.0
"""Then the portal ends with what was wrong, and whoever keeps it running begins anew."""
MOST_PAUSE_S = 15.0
OPEN_S = 3600.0
"""A large database may take long to be migrated; a thread of its own lets the portal end meanwhile."""
RETRY_AFTER_S = 10

log = logging.getLogger(__name__)


async def await_store(settings: PortalSettings) -> Store:
    """The open database. Raises StoreAwayError after a quarter of an hour, and what does not pass at once."""
    began_s, pauses = time.monotonic(), Pauses(MOST_PAUSE_S)
    try:
        return await _open(settings)
    except StoreAwayError as exc:
        log.warning("the database is away, and waited for: %s", exc)
    door = make_door()
    app = web.Application()
    app[PROXIES] = parse_proxies(settings.trusted_proxies)
    app.on_response_prepare.append(add_security_headers)
    app.router.add_route("GET", "/healthz", _tell_health)
    app.router.add_route("*", "/{path:.*}", _tell)
    async with listening(app, settings, door):
        while True:
            await asyncio.sleep(pauses.after(0.0))
            try:
                return await _open(settings)
            except StoreAwayError as exc:
                if time.monotonic() - began_s > WAIT_S:
                    raise
                log.warning("the database is still away: %s", exc)


async def _open(settings: PortalSettings) -> Store:
    return await call_in_thread("database", OPEN_S, partial(open_store, settings))


async def _tell_health(_request: web.Request) -> web.Response:
    body = {"status": "database-away", "broker": False, "disk_full": False, "version": __version__}
    return web.json_response(body, status=503, headers={"Cache-Control": "no-store"})


async def _tell(_request: web.Request) -> web.Response:
    headers = {"Cache-Control": "no-store", "Retry-After": str(RETRY_AFTER_S)}
    return web.Response(text="Pinhole waits for its database.\n", status=503, headers=headers)
