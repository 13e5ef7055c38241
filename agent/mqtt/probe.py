"""Whether the broker takes us in, step by step: TCP, TLS, MQTT, subscription. The way is the agent's own."""

import asyncio
import ssl
import time
from dataclasses import dataclass, replace

from agent.config import BrokerSettings
from agent.errors import BrokerError
from agent.model.tasks import TaskGroup
from agent.mqtt.broker import Broker
from agent.mqtt.endpoint import Endpoint, explain, make_tls_context, open_socket, parse_endpoint

DAY_S = 86400


@dataclass(frozen=True, slots=True)
class BrokerVisit:
    """How long each step took, in milliseconds from the start; and the broker's certificate."""

    tcp_ms: float
    tls_ms: float | None
    mqtt_ms: float | None
    """None where nobody said who we are."""
    certificate_days: float | None
    """Until it expires; None without TLS."""


async def visit_broker(
    settings: BrokerSettings, password: str | None, client_id: str, subscriptions: tuple[str, ...]
) -> BrokerVisit:
    """Connect, subscribe, leave; the broker keeps nothing of us. Raises BrokerError.

    The first refusal ends it, and so does `settings.connect_timeout_s`, for each of its three connections.
    """
    started_s = time.monotonic()
    reached = await reach_broker(settings)
    await _subscribe(settings, password, client_id, subscriptions)
    return replace(reached, mqtt_ms=_since_ms(started_s))


async def reach_broker(settings: BrokerSettings) -> BrokerVisit:
    """TCP and TLS, and not a word of MQTT, so that nobody loses its place. Raises BrokerError."""
    endpoint = parse_endpoint(settings.url)
    started_s = time.monotonic()
    context = await asyncio.to_thread(make_tls_context, settings)
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            (await open_socket(endpoint)).close()
        tcp_ms = _since_ms(started_s)
        days = None if context is None else await _certificate_days(endpoint, context, settings)
    except OSError as exc:  # TimeoutError and ssl.SSLError are such too
        raise BrokerError(explain(exc, endpoint)) from exc
    tls_ms = None if context is None else _since_ms(started_s)
    return BrokerVisit(tcp_ms, tls_ms, None, days)


async def _certificate_days(
    endpoint: Endpoint, context: ssl.SSLContext, settings: BrokerSettings
) -> float | None:
    async with asyncio.timeout(settings.connect_timeout_s):
        _, writer = await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=context, server_hostname=endpoint.host
        )
    try:
        certificate = writer.get_extra_info("peercert") or {}
    finally:
        writer.transport.abort()
    until = certificate.get("notAfter")
    return (ssl.cert_time_to_seconds(until) - time.time()) / DAY_S if until else None


async def _subscribe(
    settings: BrokerSettings, password: str | None, client_id: str, subscriptions: tuple[str, ...]
) -> None:
    """One connection by the agent's own client; returns once it is subscribed."""
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_connection(connected: bool, words: str) -> None:
        if not said.done():
            said.set_result("" if connected else words)

    broker = Broker(
        # No session outlives this: the broker would queue offers in it that nobody answers.
        settings.model_copy(update={"session_expiry_s": 0}),
        client_id=client_id,
        password=password,
        subscriptions=subscriptions,
        on_message=lambda _topic, _payload: None,
        on_connection=on_connection,
    )
    async with TaskGroup() as group:
        task = group.create_task(broker.run(), name="doctor-broker")
        try:
            refusal = await said
        finally:
            task.cancel()
    if refusal:
        raise BrokerError(refusal)


def _since_ms(started_s: float) -> float:
    return (time.monotonic() - started_s) * 1000
