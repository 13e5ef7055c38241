"""Every test here needs namespaces."""

import pytest
from netlab import link, namespaces
from netlab.servers import MOSQUITTO, TURNSERVER
from parts.chromium import find_chromium
from parts.need import need


@pytest.fixture(scope="session", autouse=True)
def _can_build_labs():
    reason = namespaces.missing()
    need(not reason, reason)


@pytest.fixture(scope="session")
def can_emulate():
    """The link emulator needs TAPs, which most distributions let everybody open."""
    reason = link.missing()
    need(not reason, reason)


@pytest.fixture(scope="session")
def has_parts():
    """A camera, its servers and a browser."""
    need(MOSQUITTO, "needs mosquitto: sudo apt-get install mosquitto")
    need(TURNSERVER, "needs coturn: sudo apt-get install coturn")
    find_chromium()
