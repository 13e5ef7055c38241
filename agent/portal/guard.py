"""What keeps foreign pages and hostile clients out: headers, the Origin check, the client's address."""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import web

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""CSP level 3: no script or style but our own files, no frame around us."""
STRICT_TRANSPORT_SECURITY = "max-age=31536000"
"""RFC 6797: a browser that came by https once comes by nothing else for a year."""
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PROXIES: web.AppKey[tuple[Network, ...]] = web.AppKey("proxies")
"""Whose word about the browser is believed."""


def parse_proxies(settings: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks as types."""
    return tuple(ipaddress.ip_network(text) for text in settings)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Run as `on_response_prepare`, so that errors carry the headers too."""
    response.headers.update(_HEADERS)
    response.headers["Server"] = "pinhole"  # no library versions
    if is_https(request):
        response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT_SECURITY
    if request.path.startswith("/api/"):
        response.headers["Cache-Control"] = "no-store"


@web.middleware
async def refuse_foreign_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another origin asked its visitor's browser to send (RFC 6455 section 10.2).

    Three checks, each enough by itself: Origin, which browsers put on every POST and WebSocket; Fetch
    Metadata's Sec-Fetch-Site; and a content type that a page of another origin may not send without asking us
    first. A command-line client sends neither of the first two, and has no visitor.
    """
    if request.method in ("GET", "HEAD") and "Upgrade" not in request.headers:
        return await handler(request)
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    is_foreign = origin is not None and not _same_host(origin, request.host)
    if is_foreign or site not in ("same-origin", "none"):
        return refusal(403, "foreign-origin", "This request came from a page of another site.")
    if request.method not in ("GET", "HEAD") and request.content_type != "application/json":
        return refusal(415, "not-json", "The body must be JSON, and say so in Content-Type.")
    return await handler(request)


def refusal(status: int, code: str, message: str) -> web.Response:
    """Return an error as every part of the API words it."""
    return web.json_response({"code": code, "message": message}, status=status)


def client_address(request: web.Request) -> str:
    """The socket's address; where that is a trusted proxy's, the last other one in X-Forwarded-For."""
    address = request.remote or ""
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while _is_trusted(request, address) and hops and (nearer := hops.pop().strip()):
        address = nearer
    return address


def is_https(request: web.Request) -> bool:
    """Return whether the browser used https, as we see it or as a trusted proxy says."""
    if request.secure:
        return True
    said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return said == "https" and _is_trusted(request, request.remote or "")


def _is_trusted(request: web.Request, address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return any((mapped or parsed) in network for network in request.app[PROXIES])


def _same_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
