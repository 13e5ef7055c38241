"""Ends a client's connection to the broker from outside: whoever connects with its id takes its place.

MQTT 3.1.1 section 3.1.4 and MQTT 5 section 3.1.4 demand it of every broker, so it needs no admin interface.
"""

import asyncio
import logging

from agent.config import BrokerSettings
from agent.mqtt.broker import Broker

TIMEOUT_S = 4.0

log = logging.getLogger(__name__)


async def end_connection(settings: BrokerSettings, password: str | None, client_id: str) -> bool:
    """Take a client's place for a moment; False where the broker did not let us."""
    connected = asyncio.Event()
    broker = Broker(
        settings.model_copy(update={"session_expiry_s": 0}),
        client_id=client_id,
        password=password,
        subscriptions=(),
        on_message=lambda _topic, _payload: None,
        on_connection=lambda is_up, _words: connected.set() if is_up else None,
    )
    task = asyncio.create_task(broker.run(), name=f"take the place of {client_id}")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await connected.wait()
    except TimeoutError:
        log.warning("broker: %s may still be connected", client_id)
        return False
    finally:
        task.cancel()
        await asyncio.wait([task])
    return True
