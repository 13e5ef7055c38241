"""The portal's HTTP side: dashboard, sign-in, health, and the WebSocket that carries the signaling."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from aiohttp import WSMsgType, web

from agent.config import PortalSettings
from agent.model.beat import next_beat
from agent.model.tasks import TaskGroup
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.accounts.sessions import SEEN_EVERY_S
from agent.portal.api.account import Account
from agent.portal.api.admin import Admin
from agent.portal.api.audit import AuditLog
from agent.portal.api.commands import CommandRoutes
from agent.portal.api.enroll import Devices
from agent.portal.api.events import EventLog
from agent.portal.api.keys import DeviceKeys
from agent.portal.api.metrics import Metrics
from agent.portal.api.notify import Notifications
from agent.portal.api.passkeys import Passkeys
from agent.portal.api.pictures import PictureRoutes
from agent.portal.api.releases import Releases
from agent.portal.api.route import Need, add, read_cookie
from agent.portal.api.shares import Shares
from agent.portal.api.signin import SignIn
from agent.portal.api.sms import Sign, SmsTexts
from agent.portal.api.stored import StoredFiles
from agent.portal.assets import Asset, Assets, load_assets
from agent.portal.client import Client
from agent.portal.door import Door, make_door, refuse_compressed_bodies
from agent.portal.gateway import Gateway
from agent.portal.guard import (
    PROXIES,
    add_security_headers,
    client_address,
    parse_proxies,
    refusal,
    refuse_foreign_origins,
)
from agent.portal.listener import CLOSE_TIMEOUT_S, listening
from agent.portal.messages import MAX_MESSAGE_BYTES
from agent.portal.pictures import Pictures
from agent.portal.store import StoreError

MAX_BODY_BYTES = 512 * 1024
"""A group of all cameras that there may be."""
SEND_TIMEOUT_S = 10.0
HEARTBEAT_S = 20.0
TICK_S, REST_S = 0.5, 1.0
"""How often the portal looks around: while somebody is here, and else."""

_SESSIONS = (("user", Need.USER), ("link", Need.LINK))

log = logging.getLogger(__name__)


class _Routes:
    """The handlers, and what they share."""

    def __init__(self, gateway: Gateway, accounts: Accounts, assets: Assets) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._assets = assets

    def add_to(self, app: web.Application) -> None:
        for path, need, serve in (
            ("/", Need.NOTHING, self.page),
            ("/static/{version}/{name}", Need.NOTHING, self.static),
            ("/healthz", Need.NOTHING, self.health),
            ("/api/ws", Need.USER, self.websocket),
            ("/api/share/ws", Need.LINK, self.websocket),
        ):
            add(app, self._accounts, "GET", path, need, serve)
        for name in self._assets.fixed:
            add(app, self._accounts, "GET", f"/{name}", Need.NOTHING, self.fixed)

    async def page(self, request: web.Request) -> web.Response:
        """The dashboard; it names the sessions of its browser, so that who has none signs in at once.

        Stored nowhere: a copy would tell of sessions that have ended since.
        """
        page = self._assets.page
        try:
            known = [name for name, need in _SESSIONS if await self._is_open(request, need)]
        except StoreError:
            return _send(page, "no-store")
        body = page.body.replace(b'data-sessions="unknown"', f'data-sessions="{" ".join(known)}"'.encode(), 1)
        return _send(Asset(body, page.content_type), "no-store")

    async def _is_open(self, request: web.Request, need: Need) -> bool:
        return await self._accounts.identity(read_cookie(request, need)) is not None

    async def _is_administrator(self, request: web.Request) -> bool:
        try:
            who = await self._accounts.identity(read_cookie(request, Need.USER))
        except StoreError:
            return False
        return who is not None and who.access.is_admin

    async def static(self, request: web.Request) -> web.Response:
        asset = self._assets.files.get(request.match_info["name"])
        if asset is None or request.match_info["version"] != self._assets.version:
            return refusal(404, "not-found", "There is no such file in this release.")
        return _send(asset, "public, max-age=31536000, immutable")

    async def fixed(self, request: web.Request) -> web.Response:
        """What has an address that stays; a browser asks each time whether it has changed."""
        return _send(self._assets.fixed[request.path[1:]], "no-cache")

    async def health(self, request: web.Request) -> web.Response:
        """What monitoring may know without a sign-in; a fault's words may name files."""
        broker, is_full = self._gateway.broker_connected, self._accounts.disk_is_full
        body = {
            "status": _status(broker=broker, is_full=is_full, problem=self._gateway.problem),
            "broker": broker,
            "disk_full": is_full,
            "version": self._gateway.version,
        }
        if self._gateway.problem and await self._is_administrator(request):
            body["problem"] = self._gateway.problem
        return web.json_response(body, status=200 if broker else 503, headers={"Cache-Control": "no-store"})

    async def websocket(self, request: web.Request, who: Identity) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S, heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False
        )
        if not socket.can_prepare(request).ok:
            return refusal(400, "not-a-websocket", "This address speaks WebSocket only.")
        reads_sections = "sections" in request.query
        client = self._gateway.join(who, client_address(request), reads_sections=reads_sections)
        if client is None:
            return refusal(503, "too-many-clients", "Too many dashboards are open on this portal.")
        try:
            # Who was shut out in between was asked about before this socket was known here.
            asked = {who.session}
            self._gateway.apply(await self._accounts.identities(asked), asked)
            await socket.prepare(request)
            await _exchange(socket, client, self._gateway)
        except ConnectionError:
            log.debug("websocket of %s broke", who.name)
        finally:
            self._gateway.leave(client)
        return socket


def create_app(
    settings: PortalSettings,
    gateway: Gateway,
    accounts: Accounts,
    assets: Assets,
    devices: Devices,
    metrics: Metrics,
    sign: Sign,
    pictures: Pictures,
    notifications: Notifications,
    stored: StoredFiles,
    door: Door,
) -> web.Application:
    """Build the application; it starts no task of its own."""
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[door.serve, refuse_compressed_bodies, refuse_foreign_origins],
    )
    app[PROXIES] = parse_proxies(settings.trusted_proxies)
    app.on_response_prepare.append(add_security_headers)
    _Routes(gateway, accounts, assets).add_to(app)
    allow_new = settings.oidc is not None and settings.oidc.allow_new
    SignIn(accounts, settings.public_url, allow_new=allow_new).add_to(app)
    Account(accounts, settings.public_url).add_to(app)
    Passkeys(accounts, settings.public_url).add_to(app)
    Admin(accounts).add_to(app)
    AuditLog(accounts).add_to(app)
    EventLog(accounts).add_to(app)
    Shares(accounts).add_to(app)
    Releases(accounts, gateway).add_to(app)
    CommandRoutes(accounts, gateway).add_to(app)
    DeviceKeys(accounts).add_to(app)
    SmsTexts(accounts, gateway, sign).add_to(app)
    PictureRoutes(accounts, pictures).add_to(app)
    devices.add_to(app)
    metrics.add_to(app)
    notifications.add_to(app)
    stored.add_to(app)
    return app


async def run_portal(
    settings: PortalSettings,
    accounts: Accounts,
    gateway: Gateway,
    devices: Devices,
    metrics: Metrics,
    sign: Sign,
    pictures: Pictures,
    notifications: Notifications,
    stored: StoredFiles,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until cancelled, then close every WebSocket with 1001 and end within 2 s.

    `on_ready` gets the dashboard's URL. Raises PortalError where the address or certificate cannot be used.
    """
    door = make_door()
    app = create_app(
        settings,
        gateway,
        accounts,
        load_assets(),
        devices,
        metrics,
        sign,
        pictures,
        notifications,
        stored,
        door,
    )
    async with listening(app, settings, door, gateway.close) as url:
        on_ready(settings.public_url or url)
        await _tick(gateway, accounts)


async def _tick(gateway: Gateway, accounts: Accounts) -> None:
    """The gateway's own time, and what any portal changed about what those who are here may do."""
    known, is_away, seen_s = -1, False, time.monotonic()
    version: int | None = None
    while True:
        gateway.tick()
        try:
            if time.monotonic() - seen_s > SEEN_EVERY_S:
                await accounts.note_seen(gateway.live_sessions())
                seen_s = time.monotonic()
            # First the numbers: a change in between is seen next time.
            now = accounts.store.version(sure=True)
            if gateway.live_sessions() and (now is None or now != version):
                revision = await accounts.revision()
                if revision != known:
                    asked = gateway.live_sessions()
                    gateway.apply(await accounts.identities(asked), asked)
                known, version = revision, now
            is_away = False
        except StoreError as exc:
            if not is_away:
                log.warning("who is signed in stays so: %s", exc)
            is_away = True
        await next_beat(TICK_S if gateway.live_sessions() else REST_S)


async def _exchange(socket: web.WebSocketResponse, client: Client, gateway: Gateway) -> None:
    """Pump both ways until either end closes."""
    async with TaskGroup() as group:
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


def _status(*, broker: bool, is_full: bool, problem: str) -> str:
    """The worst of it; all of it stands beside."""
    if not broker:
        return "broker-away"
    if is_full:
        return "disk-full"
    return "fault" if problem else "ok"


def _send(asset: Asset, cache_control: str) -> web.Response:
    response = web.Response(
        body=asset.body,
        content_type=asset.content_type,
        charset="utf-8",
        headers={"Cache-Control": cache_control, "Vary": "Accept-Encoding"},
    )
    response.enable_compression()  # public files, so a compressed length tells nobody anything
    return response
