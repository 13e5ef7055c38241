"""Somebody who is told: users, their rules and channels in a store, and what receives webhooks."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from agent.model.event import KINDS, Event
from agent.portal import events
from agent.portal.accounts import users
from agent.portal.accounts.access import Access
from agent.portal.events import kept_of
from agent.portal.notify import deliveries, rulebook
from agent.portal.notify.matching import judge_new
from agent.portal.notify.rules import RuleSpec
from agent.portal.notify.tables import NotifyDelivery

EVERYTHING = Access("admin")


class Told:
    """What of notifications a test does with a store, at times that it gives."""

    def __init__(self, store, seal):
        self.store, self.seal = store, seal
        self._numbers = itertools.count()

    def user(self, name):
        return self.store.run_here(lambda db: users.find(db, name).id)

    def channel(self, user="ann", url="https://hooks.example.org/a", *, now=0.0, is_open=False, secret="s"):
        def work(db):
            made = rulebook.put_channel(
                db, self.seal, users.find(db, user).id, "webhook", "Hook", "hooks.example.org",
                {"url": url, "secret": secret}, url, now,
            )  # fmt: skip
            rulebook.own_channel(db, users.find(db, user).id, made).is_open = is_open
            return made

        return self.store.run_here(work)

    def rule(self, *channels, user="ann", name="All", **spec):
        made = RuleSpec(channels=channels, **spec)
        return self.store.run_here(
            lambda db: rulebook.put_rule(db, users.find(db, user).id, EVERYTHING, None, name, made, 0.0)
        )

    def happen(self, now, device="front", kind="motion", *, ago_s=0.0, severity=None, **details):
        """Returns the event's id."""
        number = next(self._numbers)
        severity = severity or (KINDS[kind].severity if kind in KINDS else "info")
        event = Event(f"e-{number}", kind, severity, "x", now - ago_s, "", "running", details=details)
        kept = kept_of(device, event, now, now)
        self.store.run_here(lambda db: events.add(db, [kept]))
        return event.id

    def presence(self, now, device="front", *, is_online):
        self.store.run_here(
            lambda db: events.add_presence(db, device, is_online=is_online, is_first=False, now=now)
        )

    def judge(self, now):
        return self.store.run_here(lambda db: judge_new(db, now))

    def take(self, now, lease="a", busy=(), limit=9, rule="nobody"):
        return self.store.run_here(lambda db: deliveries.take(db, now, lease, limit, busy=busy, rule=rule))

    def told(self, now, **how):
        """What is told at this moment, as kinds of events by channel; all of it succeeds."""
        self.judge(now)
        found = []
        while taken := self.take(now, **how):
            found += [(one.channel, [item.kind for item in one.items]) for one in taken]
            for one in taken:
                self.finish(one, now)
        return found

    def finish(self, taken, now, **outcome):
        return self.store.run_here(
            lambda db: deliveries.finish(db, taken, deliveries.Outcome(**outcome), now)
        )

    def rows(self):
        return self.store.run_here(
            lambda db: [
                (row.state, row.error) for row in db.query(NotifyDelivery).order_by(NotifyDelivery.id)
            ]
        )


@dataclass
class Receiver:
    """A web server on loopback that keeps what is posted to it, and answers as it is told to."""

    url: str = ""
    got: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    """Statuses or responses, in their order; then 201."""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request):
        body = await request.read()
        self.got.append((request.path, dict(request.headers), body))
        self.came.set()
        answer = self.answers.pop(0) if self.answers else 201
        if callable(answer):
            answer = await answer()
        return web.Response(status=answer) if isinstance(answer, int) else answer

    async def until(self, count, patience_s=60.0):
        async with asyncio.timeout(patience_s):
            while len(self.got) < count:
                self.came.clear()
                await self.came.wait()


@asynccontextmanager
async def receiver():
    one = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", one.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)  # a handler may hang on purpose
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        await runner.cleanup()
