"""Builds every part of the portal, and wires them. No logic of its own; `app.py` is the agent's."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Collection
from typing import Any

from agent import __version__
from agent.config import Settings, read_password, read_secret
from agent.errors import PinholeError, PortalError
from agent.model import topics
from agent.model.beat import next_beat
from agent.model.ids import is_id
from agent.model.signal import ToDevice
from agent.model.tasks import EssentialTasks
from agent.mqtt.broker import Broker
from agent.mqtt.takeover import end_connection
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.company import load_company
from agent.portal.accounts.desk import Desk
from agent.portal.accounts.passwords import Passwords
from agent.portal.accounts.seal import open_seal
from agent.portal.accounts.service import Accounts
from agent.portal.accounts.strength import words_of
from agent.portal.accounts.users import first_link
from agent.portal.api.enroll import Devices
from agent.portal.api.metrics import Metrics
from agent.portal.api.notify import Notifications
from agent.portal.api.stored import StoredFiles
from agent.portal.app import run_portal as serve_portal
from agent.portal.audience import WatchAct
from agent.portal.authority import PORTAL_NAME, Authority, open_authority
from agent.portal.claims import has_certificates
from agent.portal.client import Client
from agent.portal.commands import CommandAct
from agent.portal.event_intake import EventIntake
from agent.portal.events import Kept, latest
from agent.portal.gateway import Gateway
from agent.portal.messages import DeviceEvent
from agent.portal.metrics import PortalCounters, Scrape
from agent.portal.names import adopt, shown
from agent.portal.notify.carrier import Carrier
from agent.portal.notify.notifier import Notifier
from agent.portal.notify.ways import open_ways
from agent.portal.overture import await_store
from agent.portal.pictures import Pictures
from agent.portal.registry import Registry, device_revision, revoked_since
from agent.portal.revocation import publish_revocations
from agent.portal.store import Store, StoreError, open_store
from agent.portal.turn import load_ice_servers
from agent.portal.upload.intake import UploadIntake
from agent.portal.upload.opening import open_bucket
from agent.signaling.portal import PortalSignaling
from agent.signaling.signing import SigningFolder

log = logging.getLogger(__name__)

TRUST_INTERVAL_S = 1.0
"""How often a portal looks whether a device was enrolled or revoked, or a key made or retired."""
FAREWELL_S = 1.5
"""From a revocation to the end of the camera's connection: the portal has seen it and said `bye` by then. A
camera that hears that ends its sessions at once, not when their lease is over."""
RETRY_S, MAX_RETRY_S = 2.0, 60.0
"""Between two tries to have the broker shut somebody out."""
RECENT_S = 86400.0
MAX_PROBLEM_CHARS = 500
_NOT_TOLD = "revoked cameras may still reach the broker; it is tried again until it is done"


class Portal:
    """The parts of the portal, wired."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """It closes the store at its end."""
        self._settings = settings
        broker, portal = settings.broker, settings.portal
        self.gateway = Gateway(
            self._send,
            load_ice_servers(portal),
            __version__,
            note_watching=self._note_watching,
            ask_to_look=self._ask_to_look,
            note_presence=self._note_presence,
            note_change=self._note_change,
        )
        self.store = store
        self.events = EventIntake(self.store, self._confirm, self._show_event, on_written=self._on_written)
        self.registry = Registry(self.store)
        self.signing = signing = SigningFolder(portal.state_dir)
        self.authority = open_authority(portal.state_dir, is_known=self.store.run_here(has_certificates))
        self.signaling = PortalSignaling(
            broker.topic_prefix,
            self._publish,
            self.gateway,
            self.events,
            signing=signing,
            device_key=self.registry.key_of,
        )
        self.audit = Audit(self.store, portal.audit_file)
        passwords = Passwords(site_words=words_of(portal.public_url or ""))
        self.accounts = Accounts(
            self.store,
            self.audit,
            passwords,
            open_seal(self.store, portal.state_dir),
            load_company(portal.oidc),
            require_code_for=portal.require_code_for,
        )
        self.pictures = Pictures(portal.state_dir, self.gateway)
        self.ways = open_ways(self.store, self.accounts.seal, portal)
        self.notifier = Notifier(
            self.store,
            Carrier(self.accounts.seal, self.ways, self.pictures.of_events.find),
            self._shown_names,
            portal.require_code_for,
        )
        self.uploads: UploadIntake | None = None
        self.stored = StoredFiles(self.accounts, None)
        if portal.upload:
            bucket, directory = open_bucket(portal.upload), self.gateway.directory
            self.uploads = UploadIntake(
                portal.upload, bucket, self.store, directory, self.gateway.commands.tell
            )
            self.stored = StoredFiles(self.accounts, bucket, portal.upload.prefix)
        token = read_secret(portal.metrics_token_file) if portal.metrics_token_file else None
        self.metrics = Metrics(self.accounts, self._scrape, token)
        self.devices = Devices(self.accounts, self.authority, signing.key_set, portal, broker)
        self.broker = Broker(
            broker,
            client_id=f"{PORTAL_NAME}-{socket.gethostname()}-{portal.port or os.getpid()}",
            password=read_password(broker),
            subscriptions=topics.portal_filters(broker.topic_prefix),
            on_message=lambda topic, payload: self.signaling.on_message(topic, payload, time.time()),
            on_connection=self._on_connection,
            on_refused=self.signaling.on_refused,
            on_retained=self._on_retained,
            unkept=topics.unkept_filters(broker.topic_prefix),
            optional=topics.optional_filters(broker.topic_prefix),
        )

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Serve until cancelled, or until a part ends."""
        try:
            async with EssentialTasks() as tasks:
                audit = tasks.start(self.audit.run(), name="audit")
                serving = tasks.start(self._serve(on_ready), name="serving")
                try:
                    await tasks.until_one_ends()
                finally:
                    serving.cancel()
                    await asyncio.wait((serving,))
                    audit.cancel()  # after the sessions have ended, for it notes that
        finally:
            self.accounts.passwords.close()
            self.store.close()

    async def _serve(self, on_ready: Callable[[str], None]) -> None:
        await self.registry.refresh()  # before the first message
        self.gateway.on_names(self.registry.names)
        for event in await self.store.run(latest):
            self.gateway.keep_event(_shown(event))
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with EssentialTasks() as tasks:
            portal = serve_portal(
                self._settings.portal,
                self.accounts,
                self.gateway,
                self.devices,
                self.metrics,
                self.signing.sign_bytes,
                self.pictures,
                Notifications(self.accounts, self.notifier, self.ways),
                self.stored,
                listening.set_result,
            )
            group = [tasks.start(portal, name="portal")]
            try:
                # One that gets no port must neither void the link that another printed, nor take its session.
                self.notifier.base = url = await listening
                first = await self.store.run(lambda db: first_link(db, time.time()))
                group += [
                    tasks.start(self.broker.run(), name="broker"),
                    tasks.start(self.events.run(), name="events"),
                    tasks.start(self._keep_trust(), name="trust"),
                    tasks.start(self.store.keep_room(), name="room"),
                    tasks.start(self.store.listen(device_revision(), self.notifier.wake), name="changes"),
                    tasks.start(self.notifier.run(), name="notifications"),
                ]
                if self.uploads:
                    group.append(tasks.start(self.uploads.run(), name="uploads"))
                on_ready(url)
                if first:
                    link = f"{url}/#/welcome/{first}"
                    log.warning(f"nobody can sign in yet: choose the administrator's password at {link}")
                await tasks.until_one_ends()
            finally:
                for task in group:
                    task.cancel()
                await self.pictures.close()
                await self.ways.close()

    def _note_change(self, device: str) -> None:
        if self.uploads:
            self.uploads.on_change(device)

    def _note_presence(self, device: str, is_online: bool, is_first: bool) -> None:
        self.events.on_presence(device, is_online=is_online, is_first=is_first)

    def _on_written(self) -> None:
        self.notifier.wake()

    def _shown_names(self) -> dict[str, str]:
        return shown({device: name or device for device, name in self.registry.names.items()})

    def _confirm(self, device: str, events: tuple[str, ...]) -> None:
        if self.broker.connected:  # else the device tells them again
            self.signaling.confirm(device, events)

    def _show_event(self, event: Kept) -> None:
        self.gateway.on_event(_shown(event))

    def _note_watching(self, client: Client, device: str, act: WatchAct | CommandAct, detail: str) -> None:
        note = self.audit.add_refusal if act.endswith(("-refused", "-failed")) else self.audit.add
        note(client.user, act, device=device, address=client.address, detail=detail)

    async def _keep_trust(self) -> None:
        """Hear of devices that came or were revoked, and tell devices of our keys."""
        retry_s, retry_at_s = RETRY_S, 0.0
        kept_out: frozenset[str] = frozenset()
        # Whoever was revoked while no portal ran may be connected still, and has URLs.
        of_late = await self._revoked_of_late()
        if self.uploads:
            for device in of_late:
                self.uploads.on_revoked(device)
        owed: frozenset[str] | None = of_late
        """Who is revoked and was not cut off yet; None where the broker knows all."""
        while True:
            self.signaling.tell_keys()
            wanted = self.signaling.quotas.keep_out(time.time())
            if wanted != kept_out and self._settings.portal.crl_file:
                for device in wanted - kept_out:
                    log.warning("camera %s is kept away from the broker: it says too much", device)
                owed, retry_at_s = (owed or frozenset()) | (wanted - kept_out), 0.0
                kept_out = wanted
            if owed is not None and time.monotonic() >= retry_at_s:
                is_done = await self._shut_out(owed, kept_out)
                retry_s = RETRY_S if is_done else min(2 * retry_s, MAX_RETRY_S)
                retry_at_s = time.monotonic() + retry_s
                owed = None if is_done else owed
            left = self.signaling.keep_wiping(self.broker.waits_on) | (owed or frozenset())
            self.devices.pending = {device for device in left if self.registry.key_of(device) is None}
            self.gateway.problem = self._problem(kept_out, has_owed=owed is not None)
            await next_beat(TRUST_INTERVAL_S)
            revoked = await self._hear_of_devices()
            if revoked:
                owed, retry_at_s = (owed or frozenset()) | revoked, 0.0

    async def _revoked_of_late(self) -> frozenset[str]:
        """As soon as the database says it."""
        while True:
            try:
                return await self.store.run(lambda db: revoked_since(db, time.time() - RECENT_S))
            except StoreError as exc:
                log.warning("who was revoked is not known yet: %s", exc)
                await asyncio.sleep(RETRY_S)

    async def _hear_of_devices(self) -> frozenset[str]:
        """Who was revoked since the last time, and is shut out here before anything is written."""
        before, revoked = self.registry.names, frozenset[str]()
        try:
            # Who watches is to lose a revoked camera at once, also where PostgreSQL's word was lost.
            revoked = await self.registry.refresh(sure=bool(self.gateway.live_sessions()))
            self.signaling.on_keys(time.time())
            for device in revoked:
                log.warning("camera %s is shut out", device)
                self.gateway.on_revoked(device)
                if self.uploads:
                    self.uploads.on_revoked(device)
                await self.pictures.stills.forget(device)
            if self.registry.names is not before:
                self.gateway.on_names(self.registry.names)
            nameless = [device for device, name in self.registry.names.items() if name is None]
            if said := self.gateway.said_names(nameless):
                await self.store.run(lambda db: adopt(db, said))
        except PortalError as exc:
            log.warning("devices are as they were: %s", exc)
        return revoked

    def _scrape(self) -> Scrape:
        gateway = self.gateway
        counters = PortalCounters(
            broker_connected=gateway.broker_connected,
            disk_full=self.accounts.disk_is_full,
            has_problem=bool(gateway.problem),
            websockets=gateway.websockets,
            sessions=len(gateway.sessions.table),
            refused_messages=sum(self.signaling.refused.values()),
            dropped_messages=self.broker.dropped,
            notifications_sent=self.notifier.sent,
            notifications_failed=self.notifier.failed,
            notifications_waiting=self.notifier.waiting,
        )
        return Scrape(counters, gateway.known())

    def _problem(self, kept_out: Collection[str], *, has_owed: bool) -> str:
        """What is wrong beside the broker and the disk, the worst first."""
        if self.signing.problem or has_owed:
            return self.signing.problem or _NOT_TOLD
        quotas, now_s = self.signaling.quotas, time.time()
        words = [
            f"camera {device} says more than is read: {count} messages of it were dropped"
            for device, count in quotas.loud(now_s).items()
        ]
        words += [f"camera {device} is kept out for a while: it said too much" for device in kept_out]
        words += [self.uploads.problem] if self.uploads and self.uploads.problem else []
        return "; ".join(words)[:MAX_PROBLEM_CHARS]

    async def _shut_out(self, devices: frozenset[str], kept_out: frozenset[str]) -> bool:
        try:
            await cut_off(self._settings, self.store, self.authority, devices, kept_out)
        except PinholeError as exc:  # a ConfigError, too, where the broker's password cannot be read
            log.error("%s: %s", exc, _NOT_TOLD)  # noqa: TRY400  its words say it all
            return False
        for device in devices:
            # Who is only kept out for a while comes back; and of a name that a release of before let in, and
            # that is no level of a topic, the broker keeps nothing.
            if self.registry.key_of(device) is None and is_id(device):
                self.signaling.wipe(device)
        return True

    def _publish(self, topic: str, payload: bytes, **options: Any) -> bool:
        return self.broker.publish(topic, payload, **options)

    def _send(self, device: str, session: str, message: ToDevice) -> bool:
        return self.broker.connected and self.signaling.send(device, session, message)

    def _ask_to_look(self, device: str, boot_id: str) -> bool:
        return self.broker.connected and self.signaling.ask_to_look(device, boot_id, time.time())

    def _on_retained(self, topic: str) -> None:
        self.signaling.on_retained(topic, time.time())

    def _on_connection(self, connected: bool, _words: str) -> None:
        if connected:
            self.signaling.on_connected()
        self.gateway.on_broker(connected)


def _shown(event: Kept) -> DeviceEvent:
    return DeviceEvent(event.device, event.kind, event.message, event.at, event.severity)


async def cut_off(
    settings: Settings,
    store: Store,
    authority: Authority,
    devices: Collection[str],
    kept_out: Collection[str] = (),
) -> None:
    """Make the broker refuse certificates that were revoked, and end the connections of these devices.

    Raises PortalError where the broker cannot be told.
    """
    broker = settings.broker
    try:
        await publish_revocations(store, authority, settings.portal, kept_out)
    finally:
        await asyncio.sleep(FAREWELL_S)
        ids = [one for device in devices for one in (f"pinhole-{device}", device)]
        ends = (end_connection(broker, read_password(broker), one) for one in ids)
        taken = await asyncio.gather(*ends)
    if not all(map(any, zip(taken[::2], taken[1::2], strict=True))):
        raise PortalError("the broker cannot be reached")


async def revoke_device(settings: Settings, device: str) -> None:
    """`pinhole portal device revoke`. Raises PortalError."""
    store = open_store(settings.portal)
    try:
        Desk(store, audit_file=settings.portal.audit_file).revoke_camera(device)
        authority = open_authority(settings.portal.state_dir, is_known=await store.run(has_certificates))
        await cut_off(settings, store, authority, (device,))
    finally:
        store.close()


async def run_portal(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """`pinhole portal`; `on_ready` gets the dashboard's URL."""
    await Portal(settings, await await_store(settings.portal)).run(on_ready)
