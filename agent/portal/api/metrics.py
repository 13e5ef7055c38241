"""Metrics for Prometheus: for who has the token, or where there is none, for this machine alone."""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web

from agent.config.files import MIN_TOKEN_CHARS
from agent.errors import PortalError
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Need, add
from agent.portal.guard import refusal
from agent.portal.metrics import CONTENT_TYPE, Scrape, render

FRESH_S = 1.0
"""Whoever asks more often gets the same again: to tell of thousands of cameras takes a second of a core."""
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Via")


class Metrics:
    """The handler."""

    def __init__(
        self,
        accounts: Accounts,
        scrape: Callable[[], Scrape],
        token: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises PortalError where the token could be guessed."""
        if token is not None and len(token) < MIN_TOKEN_CHARS:
            words = f"portal.metrics_token_file: {MIN_TOKEN_CHARS} characters at least: openssl rand -hex 32"
            raise PortalError(words)
        self._accounts = accounts
        self._scrape = scrape
        self._token = token
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._body, self._made_s = b"", float("-inf")

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "GET", "/metrics", Need.NOTHING, self.metrics)

    async def metrics(self, request: web.Request) -> web.Response:
        """All that is known now, as text."""
        if self._token is not None and not _shows(request, self._token):
            response = refusal(401, "token-needed", "Show the token of portal.metrics_token_file.")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        if self._token is None and not _is_of_this_machine(request):
            words = "This machine alone may ask, unless portal.metrics_token_file is set."
            return refusal(403, "not-from-here", words)
        async with self._one_at_a_time:
            if self._clock() - self._made_s >= FRESH_S:
                self._body = await asyncio.to_thread(render, self._scrape())
                self._made_s = self._clock()
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        return web.Response(body=self._body, headers=headers)


def _shows(request: web.Request, token: str) -> bool:
    said = request.headers.get("Authorization", "")
    return hmac.compare_digest(said.encode(errors="replace"), f"Bearer {token}".encode())


def _is_of_this_machine(request: web.Request) -> bool:
    """Not what a proxy hands on, nor what a page has a browser here ask under a name of its own."""
    if any(header in request.headers for header in _FORWARDED):
        return False
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return False
    return _is_loopback(request.remote or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
