"""A real portal on loopback, with a bus in memory instead of the broker."""

import asyncio
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web_app
from argon2 import PasswordHasher
from fakes.bus import FakeBus

from agent.config import BrokerSettings, OidcSettings, PortalSettings, load
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.company import Company
from agent.portal.accounts.desk import Desk
from agent.portal.accounts.passwords import Passwords
from agent.portal.accounts.seal import open_seal
from agent.portal.accounts.service import Accounts
from agent.portal.api.enroll import Devices
from agent.portal.api.metrics import Metrics
from agent.portal.api.notify import Notifications
from agent.portal.api.stored import StoredFiles
from agent.portal.app import run_portal
from agent.portal.authority import Authority
from agent.portal.gateway import Gateway
from agent.portal.metrics import PortalCounters, Scrape
from agent.portal.notify.carrier import Carrier
from agent.portal.notify.notifier import Notifier
from agent.portal.notify.ways import open_ways
from agent.portal.pictures import Pictures
from agent.portal.store import Store
from agent.portal.turn import IceServers
from agent.signaling.signing import SigningFolder

USER, PASSWORD = "ann", "correct-horse-battery"


def standing_clock():
    """A clock that stands: on a slow machine, too, a pause of a second is not over before it is looked at."""
    now = time.time()
    return lambda: now


CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Argon2 with no cost to speak of: what it costs is the library's to test."""


def add_user(config: Path) -> None:
    """Add `ann`, who may do everything, to the portal of a settings file."""
    with Desk.open(load(config).portal) as desk:
        desk.add_user(USER, "admin", password=PASSWORD)


@dataclass
class PortalPart:
    """A running portal. `stop` ends it like a signal would."""

    url: str
    gateway: Gateway
    bus: FakeBus
    task: asyncio.Task
    accounts: Accounts
    desk: Desk
    folder: Path
    notifier: Notifier

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        # It remembers a thousand handlers for the whole process, and each keeps its portal.
        web_app._cached_build_middleware.cache_clear()

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])


@asynccontextmanager
async def portal(
    *,
    ice=None,
    gateway=None,
    bus=None,
    store=None,
    role="admin",
    clock=None,
    oidc_secret=None,
    metrics_token=None,
    bucket=None,
    prefix="",
    **settings,
):
    """Yield a portal whose broker is there, with the user `ann`; keywords go into PortalSettings."""
    bus = bus or FakeBus()
    with tempfile.TemporaryDirectory(prefix="pinhole-portal-") as name:
        folder = Path(name)
        own = store is None
        store = store or Store.open(f"sqlite:///{folder}/portal.db")
        passwords = Passwords(CHEAP)
        parsed = PortalSettings(**({"port": 0} | settings))
        audit = Audit(store, folder / "audit.jsonl")
        oidc = parsed.oidc
        provider = Company(oidc, oidc_secret) if isinstance(oidc, OidcSettings) else None
        accounts = Accounts(
            store,
            audit,
            passwords,
            open_seal(store, folder / "state"),
            provider,
            require_code_for=parsed.require_code_for,
            **({"clock": clock} if clock else {}),
        )
        desk = Desk(store, CHEAP)
        if USER not in {user.name for user in desk.users()}:
            desk.add_user(USER, role, password=PASSWORD)

        def note(client, device, act, detail):
            (audit.add_refusal if act == "watch-refused" else audit.add)(
                client.user, act, device=device, address=client.address, detail=detail
            )

        gateway = gateway or Gateway(bus.send, ice or IceServers(), "1.2.3")
        gateway.note_watching = note
        signing = SigningFolder(folder / "state")
        devices = Devices(accounts, Authority(folder / "state"), signing.key_set, parsed, BrokerSettings())
        gateway.on_broker(connected=True)
        ready = asyncio.get_running_loop().create_future()
        counters = PortalCounters(
            broker_connected=True,
            disk_full=False,
            has_problem=False,
            websockets=gateway.websockets,
            sessions=0,
            refused_messages=3,
            dropped_messages=0,
        )
        metrics = Metrics(accounts, lambda: Scrape(counters, gateway.known()), metrics_token)
        pictures = Pictures(folder / "state", gateway)
        ways, stored = open_ways(store, accounts.seal, parsed), StoredFiles(accounts, bucket, prefix)
        notifier = Notifier(store, Carrier(accounts.seal, ways), dict, parsed.require_code_for, accounts.now)
        run = run_portal(
            parsed,
            accounts,
            gateway,
            devices,
            metrics,
            signing.sign_bytes,
            pictures,
            Notifications(accounts, notifier, ways),
            stored,
            ready.set_result,
        )
        writing = asyncio.create_task(audit.run(), name="audit")
        telling = asyncio.create_task(notifier.run(), name="notifications")
        task = asyncio.create_task(run, name="portal")
        await asyncio.wait([ready, task], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        part = PortalPart(ready.result(), gateway, bus, task, accounts, desk, folder, notifier)
        notifier.base = part.url
        try:
            yield part
        finally:
            await part.stop()
            await pictures.close()
            writing.cancel()
            telling.cancel()
            await asyncio.gather(writing, telling, return_exceptions=True)
            await ways.close()
            passwords.close()
            if own:
                store.close()
