"""What keeps foreign pages and hostile clients out: headers, the Origin check, the client's address."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""CSP level 3: no script or style but our own files, no frame around us."""
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_LOOPBACK = {"127.0.0.1", "::1"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Run as `on_response_prepare`, so that errors carry the headers too."""
    response.headers.update(_HEADERS)
    response.headers["Server"] = "pinhole"  # no library versions


@web.middleware
async def refuse_foreign_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another origin asked its visitor's browser to send (RFC 6455 section 10.2).

    Browsers put Origin on every POST and WebSocket; a command-line client sends none and has no visitor.
    """
    origin = request.headers.get("Origin")
    is_effective = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
    if is_effective and origin is not None and not _same_host(origin, request.host):
        return refusal(403, "foreign-origin", "This request came from a page of another site.")
    return await handler(request)


def refusal(status: int, code: str, message: str) -> web.Response:
    """Return an error as every part of the API words it."""
    return web.json_response({"code": code, "message": message}, status=status)


def client_address(request: web.Request) -> str:
    """Return the socket's address, or what a proxy on this machine put last in X-Forwarded-For."""
    remote = request.remote or ""
    forwarded = request.headers.getall("X-Forwarded-For", [])
    if remote in _LOOPBACK and forwarded:
        return forwarded[-1].rpartition(",")[2].strip() or remote
    return remote


def is_https(request: web.Request) -> bool:
    """Return whether the browser used https; a proxy's word only ever makes the cookie stricter."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def _same_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
