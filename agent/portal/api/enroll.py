"""`POST /api/enroll`: how a device becomes known and stays so; and what administrators do with devices."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from agent.config import BrokerSettings, PortalSettings
from agent.errors import PortalError
from agent.model.enrolment import EnrollRequest, Enrolment
from agent.model.ids import Id
from agent.model.keys import KeySet
from agent.portal.accounts import attempts
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, add, read
from agent.portal.authority import Authority, read_request
from agent.portal.claims import ClaimError, Enrolled, enroll, make_claim, revoke
from agent.portal.guard import client_address, refusal
from agent.portal.names import check_name, rename
from agent.portal.registry import list_devices
from agent.portal.store import StoreError

BODY_TIMEOUT_S = 10.0
CLAIM_LIFETIME_S = 86400.0
_STATUS = {"too-many-attempts": 429, "taken": 409}
"""Of a refusal; all others are 403."""
_REQUEST = TypeAdapter(EnrollRequest)
_ENROLMENT = TypeAdapter(Enrolment)

log = logging.getLogger(__name__)


class ClaimWish(Body):
    """A claim code, for one device or for any new one."""

    device: Id | None = None
    lifetime_s: float = Field(default=CLAIM_LIFETIME_S, ge=60, le=366 * 86400)
    name: str | None = None


class NewName(Body):
    """What a camera is called from now on."""

    name: str


class Devices:
    """The handlers."""

    def __init__(
        self,
        accounts: Accounts,
        authority: Authority,
        keys: Callable[[], KeySet],
        portal: PortalSettings,
        broker: BrokerSettings,
    ) -> None:
        """`keys` gives those whose offers count."""
        self._accounts = accounts
        self.pending: Collection[str] = ()
        """Who was revoked and may still reach the broker."""
        self._authority = authority
        self._keys = keys
        self._broker_url = portal.broker_url or broker.url
        self._prefix = broker.topic_prefix
        self._broker_ca = "" if portal.broker_has_public_certificate else authority.pem.decode()

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "POST", "/api/enroll", Need.NOTHING, self.enroll)
        for method, path, serve in (
            ("GET", "/api/devices", self.list_devices),
            ("POST", "/api/claims", self.make_claim),
            ("POST", "/api/devices/{device}/name", self.rename),
            ("POST", "/api/devices/{device}/revoke", self.revoke),
        ):
            need = Need.ADMIN if method == "GET" else Need.CONFIRMED_ADMIN
            add(app, self._accounts, method, path, need, serve)

    async def enroll(self, request: web.Request) -> web.Response:
        """A device with a claim code, or one that is known and asks for a new certificate."""
        address = client_address(request)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                wish = _REQUEST.validate_json(await request.read())
            device, key = read_request(wish.request.encode())
        except (ValidationError, TimeoutError, PortalError):
            return refusal(
                400, "malformed", 'The body must be {"request": "<signing request>", "code": "…"}.'
            )
        try:
            got = await self._accounts.store.run(
                lambda db: self._let_in(db, device, key, wish.code, address, time.time())
            )
        except StoreError:
            raise
        except PortalError as exc:
            return refusal(400, "malformed", str(exc))
        if isinstance(got, ClaimError):
            log.warning("%s may not enrol as %s: %s", address, ascii(device)[:80], got)
            self._accounts.audit.add_refusal(
                "enrolment", "enrol-refused", device=device, address=address, detail=got.code
            )
            return refusal(_STATUS.get(got.code, 403), got.code, str(got))
        if got.is_new:
            log.info("camera %s was enrolled from %s", device, address)
            self._accounts.audit.add(got.by, "enrolled", device=device, address=address)
        enrolment = Enrolment(
            device=got.device,
            certificate=got.certificate.decode(),
            expires_at=got.not_after,
            keys=self._keys(),
            broker_url=self._broker_url,
            topic_prefix=self._prefix,
            broker_ca=self._broker_ca,
        )
        return web.Response(body=_ENROLMENT.dump_json(enrolment), content_type="application/json")

    async def list_devices(self, _request: web.Request, _who: Identity) -> web.Response:
        """Everyone who was ever enrolled."""
        found = await self._accounts.store.run(list_devices)
        devices = [
            {
                "id": one.id,
                "name": one.name or one.id,
                "enrolled_at": one.enrolled_at,
                "by": one.enrolled_by,
                "revoked_at": one.revoked_at,
                "is_pending": one.id in self.pending,
            }
            for one in found
        ]
        return web.json_response({"devices": devices})

    async def make_claim(self, request: web.Request, who: Identity) -> web.Response:
        """A code that lets one device in, once."""
        wish = await read(request, ClaimWish)
        now = time.time()
        try:
            name = check_name(wish.name) if wish.name else None
        except PortalError as exc:
            return refusal(400, "bad-name", str(exc))
        code = await self._accounts.store.run(
            lambda db: make_claim(
                db, wish.device, by=who.name, now=now, lifetime_s=wish.lifetime_s, name=name
            )
        )
        self._note(request, who, "claim-made", wish.device or "", name or "")
        return web.json_response({"code": code, "expires_at": now + wish.lifetime_s})

    async def rename(self, request: web.Request, who: Identity) -> web.Response:
        """Call a device so: every portal shows it within a second."""
        device = request.match_info["device"]
        try:
            wanted = check_name((await read(request, NewName)).name)
        except PortalError as exc:
            return refusal(400, "bad-name", str(exc))
        try:
            former = await self._accounts.store.run(lambda db: rename(db, device, wanted))
        except StoreError:
            raise
        except PortalError as exc:
            return refusal(404, "unknown-device", str(exc))
        self._note(request, who, "renamed", device, f"{former} is now {wanted}")
        return web.json_response({})

    async def revoke(self, request: web.Request, who: Identity) -> web.Response:
        """Shut a device out: every portal notices within a second."""
        device = request.match_info["device"]
        try:
            await self._accounts.store.run(lambda db: revoke(db, device, time.time()))
        except StoreError:
            raise
        except PortalError as exc:
            return refusal(404, "unknown-device", str(exc))
        self._note(request, who, "revoked", device)
        return web.json_response({})

    def _let_in(
        self, db: Session, device: str, key: bytes, code: str | None, address: str, now: float
    ) -> Enrolled | ClaimError:
        # Who has a key that is known, or a good code, waits for nobody's guesses: neither can be guessed.
        try:
            return enroll(db, self._authority, device, key, code, now)
        except ClaimError as exc:
            wait_s = attempts.begin(db, attempts.keys_of_device(device, address), now)
            if wait_s > 0:
                return ClaimError("too-many-attempts", f"too many attempts: wait {int(wait_s) + 1} s")
            return exc  # and not raised, so that the attempt stays counted

    def _note(self, request: web.Request, who: Identity, action: str, device: str, detail: str = "") -> None:
        address = client_address(request)
        self._accounts.audit.add(who.name, action, device=device, address=address, detail=detail)
