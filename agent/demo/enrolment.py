"""Makes camera and portal known to each other where both are on one machine, without a claim code."""

import time

from agent.config import DeviceSettings, PortalSettings
from agent.portal.registry import add_device
from agent.portal.store import open_store
from agent.signaling.identity import load_or_make_key, save_portal_keys
from agent.signaling.signing import SigningFolder


def enroll_here(device: DeviceSettings, portal: PortalSettings) -> None:
    """Fill the state folders of both, and the portal's database. Raises PinholeError."""
    key = load_or_make_key(device.state_dir)
    save_portal_keys(device.state_dir, SigningFolder(portal.state_dir).key_set())
    store = open_store(portal)
    try:
        now = time.time()
        store.run_here(
            lambda db: add_device(db, device.id, key.public, by="demo", now=now, name=device.name or None)
        )
    finally:
        store.close()
