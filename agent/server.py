"""Builds every part of the portal, and wires them. No logic of its own; `app.py` is the agent's."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from agent import __version__
from agent.config import Settings, read_password
from agent.errors import PortalError
from agent.model.signal import ToDevice
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.company import load_company
from agent.portal.accounts.passwords import Passwords
from agent.portal.accounts.service import Accounts
from agent.portal.accounts.users import first_link
from agent.portal.app import run_portal as serve_portal
from agent.portal.client import Client
from agent.portal.gateway import Gateway
from agent.portal.registry import Registry
from agent.portal.store import open_store
from agent.portal.turn import load_ice_servers
from agent.signaling import topics
from agent.signaling.broker import Broker
from agent.signaling.portal import PortalSignaling
from agent.signaling.signing import SigningFolder

log = logging.getLogger(__name__)

TRUST_INTERVAL_S = 1.0
"""How often a portal looks whether a device was enrolled or revoked, or a key made or retired."""


class Portal:
    """The parts of the portal, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        broker, portal = settings.broker, settings.portal
        self.gateway = Gateway(
            self._send, load_ice_servers(portal), __version__, note_watching=self._note_watching
        )
        self.store = open_store(portal)
        self.registry = Registry(self.store)
        self.signaling = PortalSignaling(
            broker.topic_prefix,
            self._publish,
            self.gateway,
            signing=SigningFolder(portal.state_dir),
            device_key=self.registry.key_of,
        )
        self.audit = Audit(self.store, portal.audit_file)
        self.accounts = Accounts(self.store, self.audit, Passwords(), load_company(portal.oidc))
        self.broker = Broker(
            broker,
            client_id=f"pinhole-portal-{socket.gethostname()}-{portal.port or os.getpid()}",
            password=read_password(broker),
            subscriptions=topics.portal_filters(broker.topic_prefix),
            on_message=lambda topic, payload: self.signaling.on_message(topic, payload, time.time()),
            on_connection=self._on_connection,
        )

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Serve until cancelled."""
        first = await self.store.run(lambda db: first_link(db, time.time()))

        def ready(url: str) -> None:
            on_ready(url)
            if first:
                link = f"{url}/#/welcome/{first}"
                log.warning(f"nobody can sign in yet: choose the administrator's password at {link}")

        try:
            async with asyncio.TaskGroup() as essential:
                audit = essential.create_task(self.audit.run(), name="audit")
                try:
                    await self._serve(ready)
                finally:
                    audit.cancel()  # after the sessions have ended, for it notes that
        finally:
            self.accounts.passwords.close()
            self.store.close()

    async def _serve(self, on_ready: Callable[[str], None]) -> None:
        await self.registry.refresh()  # before the first message
        async with asyncio.TaskGroup() as group:
            group.create_task(self.broker.run(), name="broker")
            group.create_task(self._keep_trust(), name="trust")
            portal = serve_portal(self._settings.portal, self.accounts, self.gateway, on_ready)
            group.create_task(portal, name="portal")

    def _note_watching(self, client: Client, device: str, begins: bool, detail: str) -> None:
        action = "watch" if begins else "watch-end"
        self.audit.add(client.user, action, device=device, address=client.address, detail=detail)

    async def _keep_trust(self) -> None:
        """Hear of devices that came or were revoked, and tell devices of our keys."""
        while True:
            self.signaling.tell_keys()
            await asyncio.sleep(TRUST_INTERVAL_S)
            try:
                for device in await self.registry.refresh():
                    self.gateway.on_revoked(device)
            except PortalError as exc:
                log.warning("devices are as they were: %s", exc)

    def _publish(self, topic: str, payload: bytes, **options: Any) -> bool:
        return self.broker.publish(topic, payload, **options)

    def _send(self, device: str, session: str, message: ToDevice) -> bool:
        return self.broker.connected and self.signaling.send(device, session, message)

    def _on_connection(self, connected: bool, _words: str) -> None:
        self.gateway.on_broker(connected)


async def run_portal(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """`pinhole portal`; `on_ready` gets the dashboard's URL."""
    await Portal(settings).run(on_ready)
