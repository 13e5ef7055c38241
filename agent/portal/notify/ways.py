"""Opens what channels lead by, as the settings say."""

from agent.config import PortalSettings
from agent.portal.accounts.seal import Seal
from agent.portal.notify.carrier import Ways
from agent.portal.notify.mail import Mail
from agent.portal.notify.outside import Outside
from agent.portal.notify.push_key import PushKeys
from agent.portal.notify.services import Services
from agent.portal.store import Store

NO_CONTACT = "mailto:nobody@localhost"
"""Where the settings name nobody; some push services then refuse."""


def open_ways(store: Store, seal: Seal, settings: PortalSettings) -> Ways:
    """Raises ConfigError where the mail server's password cannot be read."""
    public = settings.public_url or ""
    contact = settings.notify.contact or (public if public.startswith("https:") else NO_CONTACT)
    return Ways(
        Outside(allow_private=settings.notify.private_addresses),
        PushKeys(store, seal),
        contact,
        Services(),
        Mail(settings.mail) if settings.mail else None,
    )
