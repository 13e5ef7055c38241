"""The portal's port: by https where it has a certificate, and behind the door that counts connections."""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

from agent.config import PortalSettings
from agent.errors import PortalError
from agent.model.disk import MAX_PEM_BYTES, check_file
from agent.portal.door import BACKLOG, KEEPALIVE_S, Door, http_log

CLOSE_TIMEOUT_S = 1.0
STOP_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    app: web.Application, settings: PortalSettings, door: Door, on_closing: Callable[[], None] = lambda: None
) -> AsyncIterator[str]:
    """Serve it inside the block, which gets its own URL, and end within 2 s.

    `on_closing` is called when nobody new comes in. Raises PortalError where the address or certificate
    cannot be used.
    """
    tls = _tls(settings)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=http_log,
        handle_signals=False,
        shutdown_timeout=CLOSE_TIMEOUT_S,
        keepalive_timeout=KEEPALIVE_S,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        try:
            server = await asyncio.get_running_loop().create_server(
                door.guard(cast(Callable[[], asyncio.Protocol], runner.server), tls),
                settings.host,
                settings.port,
                backlog=BACKLOG,
            )
        except OSError as exc:
            where = f"portal.host {settings.host}, portal.port {settings.port}"
            # asyncio's own words repeat the address.
            words = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc
            raise PortalError(f"{where}: cannot listen: {words}") from exc
        try:
            yield _url(settings.host, server.sockets[0].getsockname()[1], tls is not None)
        finally:
            server.close()
    finally:
        on_closing()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await runner.cleanup()
        except TimeoutError:
            log.warning("the portal did not close in %s s", STOP_TIMEOUT_S)


def _tls(settings: PortalSettings) -> ssl.SSLContext | None:
    if settings.cert_file is None and settings.key_file is None:
        return None
    if settings.cert_file is None or settings.key_file is None:
        raise PortalError("portal.cert_file and portal.key_file: https needs both")
    for file in (settings.cert_file, settings.key_file):
        check_file(file, trusted_owner=False, most_bytes=MAX_PEM_BYTES)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as exc:
        raise PortalError(f"portal.cert_file {settings.cert_file}, portal.key_file: {exc}") from exc
    return context


def _url(host: str, port: int, secure: bool) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(  # noqa: S104 - recognised, not bound
        host, f"[{host}]" if ":" in host else host
    )
    return f"{'https' if secure else 'http'}://{shown}:{port}"
