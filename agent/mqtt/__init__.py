"""The MQTT client: connects, subscribes, publishes within what the broker takes, and comes back."""

import sys
from importlib import import_module

_RESOLVER = "dns.resolver"

if _RESOLVER not in sys.modules:
    # paho takes it along where it is installed, for SRV records that nobody here asks for, and does without
    # it where an import finds None (docs.python.org, "The module cache"): a twelfth of an agent's start.
    sys.modules[_RESOLVER] = None  # type: ignore[assignment]
    import_module("paho.mqtt.client")
    del sys.modules[_RESOLVER]
