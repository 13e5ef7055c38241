"""The portal's HTTP side: dashboard, sign-in, health, and the WebSocket that carries the signaling."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable

from aiohttp import WSMsgType, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.config import PortalSettings
from agent.errors import PortalError
from agent.portal.accounts import MAX_PASSWORD_CHARS, SESSION_LIFETIME_S, Accounts, SharedPassword
from agent.portal.assets import Asset, Assets, load_assets
from agent.portal.gateway import Client, Gateway
from agent.portal.guard import (
    add_security_headers,
    client_address,
    is_https,
    refusal,
    refuse_foreign_origins,
)
from agent.portal.messages import MAX_MESSAGE_BYTES
from agent.portal.throttle import Throttle

COOKIE = "pinhole_session"
MAX_BODY_BYTES = 4096
BODY_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 10.0
HEARTBEAT_S = 20.0
TICK_S = 0.5
CLOSE_TIMEOUT_S = 1.0
STOP_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class _Login(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    password: str = Field(max_length=MAX_PASSWORD_CHARS)


class _Routes:
    """The handlers, and what they share."""

    def __init__(self, gateway: Gateway, accounts: Accounts, assets: Assets) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._assets = assets
        self._throttle = Throttle()

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self.page)
        app.router.add_get("/static/{version}/{name}", self.static)
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/api/session", self.session)
        app.router.add_post("/api/login", self.login)
        app.router.add_post("/api/logout", self.logout)
        app.router.add_get("/api/ws", self.websocket)

    async def page(self, _request: web.Request) -> web.Response:
        return _send(self._assets.page, "no-cache")

    async def static(self, request: web.Request) -> web.Response:
        asset = self._assets.files.get(request.match_info["name"])
        if asset is None or request.match_info["version"] != self._assets.version:
            return refusal(404, "not-found", "There is no such file in this release.")
        return _send(asset, "public, max-age=31536000, immutable")

    async def health(self, _request: web.Request) -> web.Response:
        broker = self._gateway.broker_connected
        body = {
            "status": "ok" if broker else "broker-away",
            "broker": broker,
            "version": self._gateway.version,
        }
        return web.json_response(body, status=200 if broker else 503, headers={"Cache-Control": "no-store"})

    async def session(self, request: web.Request) -> web.Response:
        user = self._user_of(request)
        if user is None:
            return refusal(401, "signed-out", "Sign in first.")
        return web.json_response({"user": user}, headers={"Cache-Control": "no-store"})

    async def login(self, request: web.Request) -> web.Response:
        address, now_s = client_address(request), time.monotonic()
        wait_s = self._throttle.wait_s(address, now_s)
        if wait_s > 0:
            response = refusal(429, "too-many-attempts", "Too many wrong passwords from your address.")
            response.headers["Retry-After"] = str(int(wait_s) + 1)
            return response
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                login = _Login.model_validate_json(await request.read())
        except ValidationError:
            return refusal(400, "malformed", 'The body must be {"password": "…"}.')
        except TimeoutError:
            return refusal(408, "too-slow", "The request did not arrive in time.")
        token = self._accounts.sign_in(login.password, time.time())
        if token is None:
            self._throttle.on_failure(address, now_s)
            log.warning("wrong password from %s", address)
            return refusal(401, "wrong-password", "That is not the password.")
        self._throttle.on_success(address)
        response = web.json_response({"user": self._accounts.user_of(token, time.time())})
        response.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_LIFETIME_S,
            httponly=True,
            samesite="Strict",
            secure=is_https(request),
        )
        return response

    async def logout(self, request: web.Request) -> web.Response:
        response = web.json_response({})
        response.del_cookie(COOKIE, httponly=True, samesite="Strict", secure=is_https(request))
        return response

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        token = request.cookies.get(COOKIE, "")
        user = self._accounts.user_of(token, time.time())
        if user is None:
            return refusal(401, "signed-out", "Sign in first.")
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S, heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False
        )
        if not socket.can_prepare(request).ok:
            return refusal(400, "not-a-websocket", "This address speaks WebSocket only.")
        client = self._gateway.join(user, lambda now: self._accounts.user_of(token, now) is not None)
        if client is None:
            return refusal(503, "too-many-clients", "Too many dashboards are open on this portal.")
        try:
            await socket.prepare(request)
            await _exchange(socket, client, self._gateway)
        except ConnectionError:
            log.debug("websocket of %s broke", user)
        finally:
            self._gateway.leave(client)
        return socket

    def _user_of(self, request: web.Request) -> str | None:
        return self._accounts.user_of(request.cookies.get(COOKIE, ""), time.time())


def create_app(gateway: Gateway, accounts: Accounts, assets: Assets) -> web.Application:
    """Build the application; it starts no task of its own."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[refuse_foreign_origins])
    app.on_response_prepare.append(add_security_headers)
    _Routes(gateway, accounts, assets).add_to(app)
    return app


async def run_portal(
    settings: PortalSettings, password: str, gateway: Gateway, on_ready: Callable[[str], None]
) -> None:
    """Serve until cancelled, then close every WebSocket with 1001 and end within 2 s.

    `on_ready` gets the dashboard's URL. Raises PortalError where the address or certificate cannot be used.
    """
    tls = _tls(settings)
    app = create_app(gateway, SharedPassword(password), load_assets())
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port, ssl_context=tls).start()
        except OSError as exc:
            where = f"portal.host {settings.host}, portal.port {settings.port}"
            raise PortalError(f"{where}: cannot listen: {exc.strerror or exc}") from exc
        on_ready(_url(settings.host, runner.addresses[0][1], tls is not None))
        while True:
            gateway.tick()
            await asyncio.sleep(TICK_S)
    finally:
        gateway.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await runner.cleanup()
        except TimeoutError:
            log.warning("the portal did not close in %s s", STOP_TIMEOUT_S)


async def _exchange(socket: web.WebSocketResponse, client: Client, gateway: Gateway) -> None:
    """Pump both ways until either end closes."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_write(socket, client), name="portal-websocket-writer")
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                gateway.receive(client, frame.data)
            else:
                client.outbox.close(1003, "text only")
        client.outbox.close(1000, "closed by the browser")


async def _write(socket: web.WebSocketResponse, client: Client) -> None:
    outbox = client.outbox
    try:
        async for text in outbox.stream():
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_str(text)
    except (TimeoutError, ConnectionError):
        outbox.close(1013, "too slow")
    with contextlib.suppress(TimeoutError):  # aiohttp has then closed the transport
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code=outbox.close_code or 1000, message=outbox.close_reason.encode())


def _send(asset: Asset, cache_control: str) -> web.Response:
    response = web.Response(
        body=asset.body,
        content_type=asset.content_type,
        charset="utf-8",
        headers={"Cache-Control": cache_control, "Vary": "Accept-Encoding"},
    )
    response.enable_compression()  # public files, so a compressed length tells nobody anything
    return response


def _tls(settings: PortalSettings) -> ssl.SSLContext | None:
    if settings.cert_file is None and settings.key_file is None:
        return None
    if settings.cert_file is None or settings.key_file is None:
        raise PortalError("portal.cert_file and portal.key_file: https needs both")
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
