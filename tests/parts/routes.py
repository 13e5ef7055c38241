"""Each address of the portal, with what it needs of its caller."""

import re
from pathlib import Path

from fakes.bus import FakeBus

from agent.config import BrokerSettings, PortalSettings
from agent.portal.api.enroll import Devices
from agent.portal.api.metrics import Metrics
from agent.portal.api.notify import Notifications
from agent.portal.api.stored import StoredFiles
from agent.portal.app import create_app
from agent.portal.assets import load_assets
from agent.portal.door import Door
from agent.portal.gateway import Gateway
from agent.portal.pictures import Pictures
from agent.portal.turn import IceServers


def routes():
    """Each address of the application: method, path, need."""
    gateway = Gateway(FakeBus().send, IceServers(), "1")
    settings = PortalSettings(broker_has_public_certificate=True)
    devices = Devices(None, None, None, settings, BrokerSettings())
    metrics = Metrics(None, None, None)
    pictures = Pictures(Path(), gateway)
    app = create_app(
        settings,
        gateway,
        None,
        load_assets(),
        devices,
        metrics,
        bytes,
        pictures,
        Notifications(None, None, None),
        StoredFiles(None, None),
        Door(1),
    )
    return [
        (route.method, route.resource.canonical, getattr(route.handler, "__self__", None))
        for route in app.router.routes()
        if route.method != "HEAD"
    ]


def of(*needs):
    """The addresses with one of these needs, as a client may ask them."""
    return [
        (method, re.sub(r"\{\w+\}", "x", path)) for method, path, route in routes() if route.need in needs
    ]
