"""How users are told: their rules and channels, snoozing, and what was told of late."""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy.orm import Session

from agent.model.event import KINDS
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, RowId, add, read, visitor
from agent.portal.events import FOLLOWS
from agent.portal.guard import refusal
from agent.portal.notify import deliveries, rulebook, webhook, webpush
from agent.portal.notify.carrier import Ways
from agent.portal.notify.mail import check_address
from agent.portal.notify.notifier import Notifier
from agent.portal.notify.outside import MAX_URL_CHARS
from agent.portal.notify.rules import RuleSpec, is_known_zone
from agent.portal.notify.services import Services
from agent.portal.notify.tables import NotifyDelivery
from agent.portal.notify.words import title_of
from agent.portal.rate_limit import MinuteLimit

TEST_WAIT_S, TEST_POLL_S = 12.0, 0.2
CODE_DIGITS, CODE_LIFETIME_S = 8, 86_400.0
MAILS_PER_MINUTE, CODES_PER_MINUTE, TESTS_PER_MINUTE = 2, 5, 5
MAX_SNOOZE_S = 30 * 86_400.0


class RuleBody(Body):
    """A rule, new or said anew."""

    id: RowId | None = None
    name: str = Field(max_length=60)
    is_on: bool = True
    spec: dict[str, object]


class Which(Body):
    """A rule or a channel."""

    id: RowId


class SnoozeBody(Body):
    """One rule or, without an id, all; for so long from now."""

    id: RowId | None = None
    seconds: float = Field(ge=0, le=MAX_SNOOZE_S)


class OpenBody(Body):
    """Whether others may go on to a channel."""

    id: RowId
    is_open: bool


class WebhookBody(Body):
    """A webhook to be."""

    name: str = Field(max_length=60)
    url: str = Field(max_length=MAX_URL_CHARS)


class PushBody(Body):
    """A browser that is to be told; `former` is its endpoint before."""

    name: str = Field(max_length=60)
    endpoint: str = Field(max_length=MAX_URL_CHARS)
    p256dh: str = Field(max_length=100)
    auth: str = Field(max_length=32)
    former: str = Field(default="", max_length=MAX_URL_CHARS)
    zone: str = Field(default="UTC", max_length=64)
    with_rule: bool = False
    """Have it told of errors and motion of all cameras, unless a rule has it already."""


class GoneBody(Body):
    """A browser that is to be told nothing any more."""

    endpoint: str = Field(max_length=MAX_URL_CHARS)


class MailBody(Body):
    """An address that is to be confirmed."""

    address: str = Field(max_length=254, pattern=r"^[^\s@<>,;:\x00-\x1f]{1,64}@[A-Za-z0-9.-]{1,189}$")


class CodeBody(Body):
    """What was mailed there."""

    id: RowId
    code: str = Field(max_length=12)


class Notifications:
    """The handlers."""

    def __init__(self, accounts: Accounts, notifier: Notifier, ways: Ways) -> None:
        self._accounts = accounts
        self._notifier = notifier
        self._ways = ways
        self._mails = MinuteLimit(MAILS_PER_MINUTE)
        self._codes = MinuteLimit(CODES_PER_MINUTE)
        self._tests = MinuteLimit(TESTS_PER_MINUTE)

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for method, path, serve in (
            ("GET", "", self.page),
            ("POST", "/rules", self.put_rule),
            ("POST", "/rules/remove", self.remove_rule),
            ("POST", "/snooze", self.snooze),
            ("POST", "/seen", self.seen),
            ("POST", "/push", self.add_push),
            ("POST", "/push/gone", self.remove_push),
            ("POST", "/webhook", self.add_webhook),
            ("POST", "/mail", self.add_mail),
            ("POST", "/mail/confirm", self.confirm_mail),
            ("POST", "/channels/open", self.open_channel),
            ("POST", "/channels/remove", self.remove_channel),
            ("POST", "/channels/test", self.test),
        ):
            add(app, self._accounts, method, f"/api/notify{path}", Need.USER, serve)
        add(app, self._accounts, "POST", "/api/notify/service", Need.CONFIRMED_ADMIN, self.add_service)

    async def page(self, _request: web.Request, who: Identity) -> web.Response:
        """All that this user's page shows."""
        user_id = _user(who)
        found = await self._accounts.store.run(lambda db: rulebook.views(db, user_id, who.access))
        kinds = {kind: title_of(kind) for kind in sorted(KINDS.keys() - FOLLOWS.keys(), key=title_of)}
        push_key = (await self._ways.keys.get()).public
        more = {
            "kinds": kinds,
            "now": self._accounts.now(),
            "push_key": push_key,
            "has_mail": self._ways.mail is not None,
            "has_services": who.access.is_admin and Services.is_there(),
        }
        return web.json_response({**found, **more})

    async def put_rule(self, request: web.Request, who: Identity) -> web.Response:
        body, user_id = await read(request, RuleBody), _user(who)
        spec = RuleSpec.model_validate(body.spec)
        made = await self._accounts.store.run(
            lambda db: rulebook.put_rule(
                db, user_id, who.access, body.id, body.name, spec, self._accounts.now(), is_on=body.is_on
            )
        )
        self._note(request, who, "rule-set", body.name if body.is_on else f"{body.name}, off")
        return web.json_response({"id": made})

    async def remove_rule(self, request: web.Request, who: Identity) -> web.Response:
        body, user_id = await read(request, Which), _user(who)
        name = await self._accounts.store.run(lambda db: rulebook.remove_rule(db, user_id, body.id))
        self._note(request, who, "rule-removed", name)
        return web.json_response({})

    async def snooze(self, request: web.Request, who: Identity) -> web.Response:
        body, user_id = await read(request, SnoozeBody), _user(who)
        until = self._accounts.now() + body.seconds if body.seconds else 0.0
        await self._accounts.store.run(lambda db: rulebook.snooze(db, user_id, body.id, until))
        self._note(request, who, "rule-snoozed", f"for {body.seconds / 60:g} min" if until else "no longer")
        return web.json_response({"until": until})

    async def seen(self, _request: web.Request, who: Identity) -> web.Response:
        """The user looks at the dashboard, or says that they have seen what was told."""
        user_id, now = _user(who), self._accounts.now()
        await self._accounts.store.run(lambda db: deliveries.note_look(db, user_id, now))
        return web.json_response({})

    async def add_webhook(self, request: web.Request, who: Identity) -> web.Response:
        """Answers with the secret by which its receiver knows us; it is shown this once."""
        body = await read(request, WebhookBody)
        host, secret = self._ways.outside.check(body.url), webhook.new_secret()
        config = {"url": body.url, "secret": secret}
        made = await self._add_address(request, who, "webhook", body, host, config)
        return web.json_response({"id": made, "secret": secret})

    async def add_push(self, request: web.Request, who: Identity) -> web.Response:
        """Tell this browser from now on; one that is known is brought up to date."""
        body = await read(request, PushBody)
        host = self._ways.outside.check(body.endpoint)
        webpush.check_keys(body.p256dh, body.auth)
        spec = RuleSpec(zone=body.zone)
        if not is_known_zone(spec.zone):
            return refusal(400, "unknown-zone", "No time zone of this name is known here.")

        def after(db: Session, made: int) -> None:
            if body.with_rule:
                rulebook.add_default_rule(db, _user(who), who.access, made, spec.zone, self._accounts.now())

        config = {"endpoint": body.endpoint, "p256dh": body.p256dh, "auth": body.auth}
        made = await self._add(
            request, who, "push", body.name, host, config, body.endpoint, after, former=body.former
        )
        return web.json_response({"id": made})

    async def remove_push(self, request: web.Request, who: Identity) -> web.Response:
        """Tell this browser nothing any more, since its user says so or signs out."""
        body, user_id = await read(request, GoneBody), _user(who)
        row = await self._accounts.store.run(
            lambda db: rulebook.remove_by_identity(db, user_id, "push", body.endpoint)
        )
        if row is not None:
            self._note(request, who, "channel-removed", f"{row.kind} {row.name}")
        return web.json_response({})

    async def add_mail(self, request: web.Request, who: Identity) -> web.Response:
        """Mails a code: nothing else goes there before it was entered."""
        body, user_id = await read(request, MailBody), _user(who)
        if self._ways.mail is None:
            return refusal(409, "no-mail", "The portal has no mail server: see portal.mail of its settings.")
        check_address(body.address)
        if not self._mails.admits(user_id, time.monotonic()):
            return refusal(429, "too-many", "Wait a minute before you add another address.")
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        config = {"address": body.address, "code": code, "until": self._accounts.now() + CODE_LIFETIME_S}

        def after(db: Session, made: int) -> None:
            rulebook.own_channel(db, user_id, made).is_confirmed = False
            deliveries.put(db, made, "confirm", [], self._accounts.now())

        identity = f"{user_id} {body.address.lower()}"
        made = await self._add(request, who, "mail", body.address[:60], body.address, config, identity, after)
        self._notifier.wake()
        return web.json_response({"id": made})

    async def confirm_mail(self, request: web.Request, who: Identity) -> web.Response:
        body, user_id, seal = await read(request, CodeBody), _user(who), self._accounts.seal
        if not self._codes.admits(user_id, time.monotonic()):
            return refusal(429, "too-many", "Too many wrong codes. Wait a minute.")

        def work(db: Session) -> bool:
            row = rulebook.own_channel(db, user_id, body.id)
            config = rulebook.config_of(seal, row)
            is_right = hmac.compare_digest(str(config.get("code", "")).encode(), body.code.strip().encode())
            if not is_right or self._accounts.now() > config.get("until", 0.0):
                return False
            row.is_confirmed = True
            rulebook.reseal(seal, row, {"address": config["address"]})
            return True

        if not await self._accounts.store.run(work):
            return refusal(
                400, "wrong-code", "That is not the code, or it is older than a day: ask for another."
            )
        return web.json_response({})

    async def add_service(self, request: web.Request, who: Identity) -> web.Response:
        """Another service by its Apprise URL; for administrators, since it reaches whatever we do."""
        body = await read(request, WebhookBody)
        shown = await self._ways.services.check(body.url)
        made = await self._add_address(request, who, "service", body, shown, {"url": body.url})
        return web.json_response({"id": made})

    async def open_channel(self, request: web.Request, who: Identity) -> web.Response:
        body, user_id = await read(request, OpenBody), _user(who)

        def work(db: Session) -> str:
            row = rulebook.own_channel(db, user_id, body.id)
            row.is_open = body.is_open
            return row.name

        name = await self._accounts.store.run(work)
        self._note(request, who, "channel-opened" if body.is_open else "channel-closed", name)
        return web.json_response({})

    async def remove_channel(self, request: web.Request, who: Identity) -> web.Response:
        body, user_id = await read(request, Which), _user(who)
        row = await self._accounts.store.run(lambda db: rulebook.remove_channel(db, user_id, body.id))
        self._note(request, who, "channel-removed", f"{row.kind} {row.name}")
        return web.json_response({})

    async def test(self, request: web.Request, who: Identity) -> web.Response:
        """Send a message by one's own channel, the way that all go, and say what became of it."""
        body, user_id = await read(request, Which), _user(who)

        if not self._tests.admits(user_id, time.monotonic()):
            return refusal(429, "too-many", "Wait a minute before you send another test.")

        def work(db: Session) -> int | None:
            if not rulebook.own_channel(db, user_id, body.id).is_confirmed:
                return None
            return deliveries.put(db, body.id, "test", [], self._accounts.now())

        number = await self._accounts.store.run(work)
        if number is None:
            return refusal(409, "not-confirmed", "Enter the code that was mailed there first.")
        if not number:
            return refusal(429, "too-many", "Too many messages wait for this channel already.")
        state, words = await self._outcome(number)
        if state == "sent":
            return web.json_response({"state": state})
        return refusal(502, "not-told", words or "It is not told yet; look at what was told of late.")

    async def _outcome(self, number: int) -> tuple[str, str]:
        """What became of the first try; this portal or another makes it."""
        self._notifier.wake()

        def look(db: Session) -> tuple[str, str]:
            row = db.get(NotifyDelivery, number)
            return (row.state, row.error) if row else ("failed", "The channel is gone at its other end.")

        state, words = "waiting", ""
        for _ in range(int(TEST_WAIT_S / TEST_POLL_S)):
            await asyncio.sleep(TEST_POLL_S)
            state, words = await self._accounts.store.run(look)
            if state != "waiting" or words:
                break
        return state, words

    async def _add_address(
        self, request: web.Request, who: Identity, kind: str, body: WebhookBody, shown: str,
        config: dict[str, Any],
    ) -> int:  # fmt: skip
        """Each user has a channel of their own there; the address alone once told one from all others."""
        identity = f"{_user(who)} {body.url}"
        return await self._add(request, who, kind, body.name, shown, config, identity, former=body.url)

    async def _add(
        self,
        request: web.Request,
        who: Identity,
        kind: str,
        name: str,
        shown: str,
        config: dict[str, Any],
        identity: str,
        after: Callable[[Session, int], None] = lambda *_: None,
        *,
        former: str = "",
    ) -> int:
        user_id, now, seal = _user(who), self._accounts.now(), self._accounts.seal

        def work(db: Session) -> int:
            made = rulebook.put_channel(
                db, seal, user_id, kind, name, shown, config, identity, now, former=former
            )
            after(db, made)
            return made

        made = await self._accounts.store.run(work)
        self._note(request, who, "channel-added", f"{kind} {shown}")
        return made

    def _note(self, request: web.Request, who: Identity, action: str, detail: str) -> None:
        address = visitor(request).address
        self._accounts.audit.add(who.name, action, address=address, detail=detail)


def _user(who: Identity) -> int:
    assert who.user_id is not None, "no share link comes here"
    return who.user_id
