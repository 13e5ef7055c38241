"""The connection to the MQTT broker: the only module that knows aiomqtt and paho.

MQTT 5 (OASIS 2019) or 3.1.1, over TCP, TLS or websockets; connects for ever and never blocks who publishes.
"""

import asyncio
import logging
import math
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, WebsocketConnectionError
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config import BrokerSettings
from agent.errors import BrokerError
from agent.model.beat import next_beat
from agent.model.publication import Publication
from agent.model.signal import MAX_MESSAGE_BYTES
from agent.model.tasks import TaskGroup
from agent.mqtt.backoff import Twins, pause_s
from agent.mqtt.endpoint import (
    Dialer,
    code_words,
    explain,
    explain_close,
    make_tls_context,
    parse_endpoint,
)
from agent.mqtt.limits import MAX_INFLIGHT, Limits, fit, lacks, learn, read_limits, too_large
from agent.mqtt.outbox import MAX_STRIKES, Outbox

logger = logging.getLogger(__name__)

WILL_DELAY_S = 20
"""MQTT 5 section 3.1.3.2.2: a short loss of the link is not news."""
MAX_INBOX = 256
MAX_PACKET_BYTES = 4 * MAX_MESSAGE_BYTES
"""MQTT 5 section 3.1.2.11.4: the broker keeps larger ones from us; what is between is counted."""
FLUSH_S = 1.0
DISCONNECT_S = 0.5
PUBACK_TIMEOUT_S = 10.0
"""A connection on which a message stays unconfirmed for this long is half-open: a new one is made."""
URGENT_S = 2.5
"""The same where a viewer's silence makes one suspect it."""
UNREACHED_PAUSE_S = 2.0
"""The longest pause after an attempt that reached nobody: it cost nobody anything, and links come back."""
STABLE_S = 10.0
"""A shorter connection does not end an outage: two clients with one id must not fight at full speed."""
TAKEN_OVER = 0x8E  # MQTT 5 section 2.4
NOT_ABOUT_A_MESSAGE = frozenset({0x88, 0x89, 0x8A, 0x8B, 0x8D, TAKEN_OVER, 0x98, 0x9C, 0x9D, 0x9F, 0xA0})
"""A broker that is busy, shuts down, moves, or ends connections for its own reasons (MQTT 5 section 2.4)."""
_ALWAYS, _IF_NEW = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE, SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
CONNECTION_LOST = 0x80
"""What paho calls an end without a reason (MQTT 5 section 2.4: unspecified error)."""


class _UnreachedError(BrokerError):
    """Nobody answered: the link is down, or the broker's host is."""


class _LostError(BrokerError):
    """A connection that was in order has ended."""

    def __init__(self, words: str, *, is_hung_up: bool) -> None:
        super().__init__(words)
        self.is_hung_up = is_hung_up
        """By the broker, perhaps for something that we sent; the link was well."""


class _ClosedError(_LostError):
    """The broker closed a connection that was in order; a restart does that, and a client with our id."""


class Broker:
    """One client of the broker. `run()` keeps it connected; everything else returns at once.

    `on_message(topic, payload)`, `on_connection(connected, words)` and `on_refused(topic, words)` are called
    on the event loop and must not raise; the second once for each change of state or reason, the third for
    each message that is given up, since this broker does not take it. The broker keeps our subscriptions and
    QoS 1 messages while we are away, so `client_id` must be unique and the same at every start.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        client_id: str,
        password: str | None,
        subscriptions: tuple[str, ...],
        on_message: Callable[[str, bytes], None],
        on_connection: Callable[[bool, str], None],
        on_refused: Callable[[str, str], None] = lambda _topic, _words: None,
        on_retained: Callable[[str], None] | None = None,
        unkept: Collection[str] = (),
        optional: Collection[str] = (),
        will: Publication | None = None,
    ) -> None:
        """`on_retained` hears of the topic of each message that the broker keeps, old or new (MQTT 5).

        `unkept` are the subscriptions under which it should keep none: what is there comes with the first
        connection alone. Thousands at once fill a queue of Mosquitto, which then drops confirmations.
        `optional` are those that a broker may refuse, as one with older access rules does.

        Raises BrokerError where the URL or a certificate file is unusable.
        """
        self._settings = settings
        self._client_id = client_id
        self._password = password
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._on_connection = on_connection
        self._on_refused = on_refused
        self._on_retained = on_retained
        self._unkept = unkept
        self._optional = optional
        self._has_subscribed = False
        self._will = will
        self._endpoint = parse_endpoint(settings.url)
        make_tls_context(settings)  # made anew for each connection; here for its errors
        self._dialer = Dialer(self._endpoint)
        self._client: _Client | None = None
        self._hurry = asyncio.Event()
        self._outbox = Outbox()
        self._limits = Limits()
        self._lacks: list[str] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._announced = (False, "")
        self._refusal = 0

    @property
    def connected(self) -> bool:
        """Subscribed, and publishing."""
        return self._announced[0]

    @property
    def words(self) -> str:
        """Where the broker is, or why it is not reached."""
        return self._announced[1] or f"connecting to {self._endpoint.url}"

    @property
    def dropped(self) -> int:
        """Publications lost so far: too many waited, or they expired."""
        return self._outbox.dropped

    def waits_on(self, topics: Collection[str]) -> bool:
        """Whether something on one of these topics, to be retained, was not confirmed by the broker yet."""
        return self._outbox.waits_on(topics)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: float | None = None,
        is_urgent: bool = False,
    ) -> bool:
        """Queue a message, for later if there is no connection. False where one had to be dropped for it.

        A retained message replaces an older one on its topic and goes before all others. An urgent one that
        nobody confirms soon ends its connection, for a new one: there is reason to think that the link broke.
        """
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        expires_s = None if expiry_s is None else now_s + expiry_s
        publication = Publication(topic, payload, qos, retain, expires_s)
        kept_all = self._outbox.put(publication, now_s)
        if is_urgent and self._client is not None:
            loop.call_later(URGENT_S, self._doubt, self._client, publication)
        self._empty.clear()
        self._wake.set()
        return kept_all

    def _doubt(self, client: "_Client", publication: Publication) -> None:
        if client is self._client and self._outbox.holds(publication):
            logger.info("broker: no word of it for %.1f s: trying a new connection", URGENT_S)
            client.cut()
            self._hurry.set()

    def on_link_changed(self, addresses: Collection[str]) -> None:
        """Our addresses are now these: leave a connection that came from another, and try again at once."""
        if self._client is not None and self._client.local_address not in addresses:
            self._client.cut()
        self._hurry.set()

    async def run(self) -> None:
        """Stay connected until cancelled; then send what waits (at most 1 s) and say goodbye (0.5 s)."""
        async with TaskGroup() as group:
            link = group.create_task(self._connect_forever(), name="broker-link")
            try:
                await asyncio.shield(link)
            finally:
                await self._flush()
                while not link.done():  # TaskGroup and wait_for may each swallow one cancellation (3.11)
                    link.cancel()
                    await asyncio.wait([link], timeout=DISCONNECT_S + 0.1)
                self._announced = (False, "")

    async def _flush(self) -> None:
        if self.connected and len(self._outbox):
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._empty.wait()

    async def _connect_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        lost_s, twins = clock(), Twins()
        while True:
            since_s, longest_s = math.inf, self._settings.reconnect_max_s
            try:
                async with self._connection() as client:
                    since_s = client.since_s
                    await self._serve(client)
            except BrokerError as error:
                if isinstance(error, _ClosedError):
                    twins.on_end(clock() - since_s)
                else:
                    twins.on_other_end()
                self._announce(False, self._explain_twin() if twins.are_likely else str(error))
                if isinstance(error, _UnreachedError):
                    longest_s = UNREACHED_PAUSE_S
                if isinstance(error, _LostError) and error.is_hung_up and (guilty := self._outbox.blame()):
                    self._note_refused(guilty, f"the MQTT broker hung up on it {MAX_STRIKES} times ({error})")
                    twins.on_other_end()  # it was no twin, and nobody else need wait
                    since_s = -math.inf
            finally:
                self._outbox.restore()
            if clock() - since_s >= STABLE_S:
                lost_s = clock()
            draw = random.random()  # noqa: S311  spreads a fleet out, keeps no secret
            with suppress(TimeoutError):
                async with asyncio.timeout(twins.truce_s(draw) or pause_s(clock() - lost_s, longest_s, draw)):
                    await self._hurry.wait()
            self._hurry.clear()

    def _announce(self, connected: bool, words: str) -> None:
        if (connected, words) == self._announced:
            return
        self._announced = (connected, words)
        if connected:
            logger.info("connected to %s as %s", words, self._client_id)
        else:
            logger.warning("broker: %s; trying again", words)
        self._on_connection(connected, words)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["_Client"]:
        client = self._client = await self._connect()
        try:
            yield client
        finally:
            self._client = None
            try:
                await client.say_goodbye()
            finally:
                client.cut()

    async def _connect(self) -> "_Client":
        client: _Client | None = None
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                tls = await asyncio.to_thread(make_tls_context, self._settings)
                sock = await self._open_socket()
                client = _Client(sock, **self._client_arguments(tls))
                await client.__aenter__()
        except BaseException as exc:
            if client is not None:
                client.cut()
            if isinstance(code := getattr(exc, "rc", None), ReasonCode):
                self._limits = learn(self._limits, code.value)
            if isinstance(exc, (aiomqtt.MqttError, OSError, ValueError, IndexError)):
                # The last two are what paho makes of a websocket handshake that is none.
                raise BrokerError(self._explain_connect(exc, client)) from exc
            raise
        self._take_limits(client.limits)
        return client

    def _take_limits(self, limits: Limits) -> None:
        self._limits, told, self._lacks = limits, self._lacks, lacks(limits)
        for words in self._lacks:
            if words not in told:
                logger.warning("broker: %s: %s", self._endpoint.url, words)

    async def _open_socket(self) -> socket.socket:
        try:
            return await self._dialer.open()
        except ConnectionRefusedError:
            raise
        except OSError as exc:
            raise _UnreachedError(explain(exc, self._endpoint)) from exc

    def _client_arguments(self, tls: ssl.SSLContext | None) -> dict[str, Any]:
        settings, endpoint = self._settings, self._endpoint
        arguments: dict[str, Any] = {
            "hostname": endpoint.host,
            "port": endpoint.port,
            "identifier": self._client_id,
            "username": settings.username,
            "password": self._password,
            "keepalive": settings.keepalive_s,
            "timeout": settings.connect_timeout_s,
            "tls_context": tls,
            "will": self._make_will(),
            "max_inflight_messages": MAX_INFLIGHT,
        }
        if endpoint.websocket_path is not None:
            arguments |= {"transport": "websockets", "websocket_path": endpoint.websocket_path}
        if settings.version == "3.1.1":
            return arguments | {
                "protocol": aiomqtt.ProtocolVersion.V311,
                "clean_session": settings.session_expiry_s == 0,
                "clean_start": MQTT_CLEAN_START_FIRST_ONLY,
            }
        return arguments | {
            "protocol": aiomqtt.ProtocolVersion.V5,
            "clean_start": False,
            "properties": _properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=settings.session_expiry_s,
                ReceiveMaximum=MAX_INFLIGHT,
                MaximumPacketSize=MAX_PACKET_BYTES,
            ),
        }

    def _make_will(self) -> aiomqtt.Will | None:
        if (will := self._will) is None:
            return None
        properties = None
        if self._settings.version == "5":
            properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S)
        return aiomqtt.Will(will.topic, will.payload, *fit(will, self._limits), properties)

    async def _serve(self, client: "_Client") -> None:
        failures: tuple[BaseException, ...] = ()
        try:
            async with TaskGroup() as group:
                # Reading starts first: what the broker kept for us may come before SUBACK.
                group.create_task(self._receive(client), name="broker-receive")
                await self._subscribe(client)
                self._announce(True, self._endpoint.url)
                group.create_task(self._send(client, group), name="broker-send")
        except* BrokerError as errors:
            failures = errors.exceptions
        if failures:
            raise failures[0]

    async def _subscribe(self, client: "_Client") -> None:
        for topic in self._subscriptions:
            try:
                codes = await client.subscribe(topic, **self._how(topic))
            except aiomqtt.MqttError as exc:
                raise self._loss(exc, client) from exc
            refusals = [code for code in cast("list[ReasonCode]", codes) if code.is_failure]
            if refusals:
                fault = f"it refuses the subscription to {topic} ({self._words_of(refusals[0].value)})"
                if topic not in self._optional:
                    raise BrokerError(f"{self._endpoint.url}: {fault}")
                logger.warning("%s: %s: make its access rules anew", self._endpoint.url, fault)
        self._has_subscribed = True

    def _how(self, topic: str) -> dict[str, Any]:
        if self._on_retained is None or self._settings.version != "5":
            return {"qos": 1}
        # MQTT 5 section 3.8.3.1; a session of before our start may be at the broker.
        handling = _IF_NEW if self._has_subscribed and topic in self._unkept else _ALWAYS
        return {"options": SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=handling)}

    async def _receive(self, client: "_Client") -> None:
        try:
            async for first in client.messages:
                # The iterator takes several turns of the loop a message; a burst would overtake it.
                for message in (first, *client.drain()):
                    if message.retain and message.payload and self._on_retained is not None:
                        self._on_retained(message.topic.value)
                    self._on_message(message.topic.value, message.payload)
        except aiomqtt.MqttError as exc:
            raise self._loss(exc, client) from exc

    async def _send(self, client: "_Client", group: TaskGroup) -> None:
        while True:
            publication = await self._next()
            if fault := too_large(publication, self._limits, self._settings.version):
                self._outbox.drop(publication)
                self._note_refused(publication, fault)
                continue
            group.create_task(self._send_one(client, publication), name=f"publish {publication.topic}")

    async def _next(self) -> Publication:
        clock = asyncio.get_running_loop().time
        while True:
            has_room = self._outbox.under_way < (1 if self._outbox.is_careful else self._limits.inflight)
            if has_room and (publication := self._outbox.take(clock())) is not None:
                return publication
            if not len(self._outbox):
                self._empty.set()
            self._wake.clear()
            await self._wake.wait()

    def _note_refused(self, publication: Publication, words: str) -> None:
        logger.warning(
            "broker: %s: a message on %s is dropped: %s", self._endpoint.url, publication.topic, words
        )
        self._on_refused(publication.topic, words)

    async def _send_one(self, client: "_Client", publication: Publication) -> None:
        properties = None
        if self._settings.version == "5" and publication.expires_s is not None:
            left_s = publication.expires_s - asyncio.get_running_loop().time()
            properties = _properties(PacketTypes.PUBLISH, MessageExpiryInterval=max(1, math.ceil(left_s)))
        try:
            await client.publish(
                publication.topic,
                publication.payload,
                *fit(publication, self._limits),
                properties,
                timeout=PUBACK_TIMEOUT_S,
            )
        except aiomqtt.MqttError as exc:
            raise self._loss(exc, client) from exc
        self._outbox.confirm(publication)
        self._wake.set()  # `_next` sees whether that was the last
        self._note_refusal(client.refusal)

    def _note_refusal(self, code: int) -> None:
        if code and code != self._refusal:
            words = self._words_of(code)
            logger.warning("broker: %s: it refuses what we publish: %s", self._endpoint.url, words)
            self._refusal = code

    def _explain_connect(self, error: BaseException, client: "_Client | None") -> str:
        code = getattr(error, "rc", None)
        if isinstance(code, ReasonCode):
            return f"{self._endpoint.url}: {self._words_of(code.value)}"
        if not isinstance(error, aiomqtt.MqttError):
            return explain(error, self._endpoint)
        # aiomqtt raises `from None` and drops the type; the context and paho's log still have it.
        cause = (client.socket_errors.last if client else None) or error.__context__
        if isinstance(cause, WebsocketConnectionError):
            return f"{self._endpoint.url}: no MQTT over websockets there: check the port and the path"
        if cause is None or isinstance(cause, ConnectionError):
            return explain_close(self._endpoint)
        return explain(cause, self._endpoint)

    def _loss(self, error: aiomqtt.MqttError, client: "_Client") -> _LostError:
        cause, fault = error.__cause__, client.socket_errors.last
        code = getattr(cause, "rc", None)
        said = code.value if isinstance(code, ReasonCode) and code.value != CONNECTION_LOST else None
        words = f"{self._endpoint.url}: {'the connection was lost' if said is None else self._words_of(said)}"
        # A broker that does not want the rest of a packet resets the connection; a link that fails times out.
        is_hung_up = cause is not None and not client.was_cut and said not in NOT_ABOUT_A_MESSAGE
        is_hung_up = is_hung_up and (fault is None or isinstance(fault, ConnectionError))
        # Mosquitto 2.0 closes the older of two twins without a word; a link that fails leaves an error.
        if said == TAKEN_OVER or (said is None and is_hung_up and fault is None):
            return _ClosedError(words, is_hung_up=is_hung_up)
        return _LostError(words, is_hung_up=is_hung_up)

    def _explain_twin(self) -> str:
        return f"{self._endpoint.url}: {self._words_of(TAKEN_OVER)}"

    def _words_of(self, code: int) -> str:
        return code_words(code, self._settings.version, self._client_id)


class _Client(aiomqtt.Client):
    """aiomqtt's client over a connected socket of ours, so that an attempt can be bounded and called off.

    The private names it touches are pinned by tests/unit/mqtt/test_broker_seams.py.
    """

    def __init__(self, sock: socket.socket, *, timeout: float, **arguments: Any) -> None:
        self._inbox: asyncio.Queue[aiomqtt.Message] = asyncio.Queue(MAX_INBOX)
        self.socket_errors = _SocketErrors()
        quiet = logging.Logger("paho", level=logging.WARNING)  # noqa: LOG001  not in the tree on purpose
        quiet.addHandler(self.socket_errors)
        self.refusal = 0
        self.limits = Limits()
        self.was_cut = False
        self.since_s = asyncio.get_running_loop().time()
        super().__init__(
            timeout=timeout,
            logger=quiet,
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: self._inbox),  # noqa: ARG005
            **arguments,
        )
        self.pending_calls_threshold = MAX_INFLIGHT
        self._spare = sock.dup()  # TLS takes the first one over; this one can still shut the connection
        sock.settimeout(timeout)
        self._client.connect_timeout = timeout
        self._client._create_socket_connection = lambda: sock  # type: ignore[method-assign]  # noqa: SLF001

    def drain(self) -> list[aiomqtt.Message]:
        """What came in so far."""
        return [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]

    @property
    def local_address(self) -> str:
        """Where our end of the connection is."""
        try:
            return str(self._spare.getsockname()[0])
        except OSError:
            return ""

    def cut(self) -> None:
        """End the TCP connection at once, also one whose handshake still blocks a thread."""
        self.was_cut = True
        with suppress(OSError):
            self._spare.shutdown(socket.SHUT_RDWR)
        self._spare.close()

    async def say_goodbye(self) -> None:
        """DISCONNECT, where there is still a connection: the broker then keeps the will to itself."""
        self.timeout = DISCONNECT_S
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)

    async def _misc_loop(self) -> None:
        # All that paho does here is the keepalive; aiomqtt would wake the device for it every second.
        while self._client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await next_beat(min(max(1.0, self._client.keepalive / 10), 5.0))

    def _on_disconnect(self, *arguments: Any, **named: Any) -> None:
        # aiomqtt ignores an end before CONNACK, and would wait for its time-out.
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("closed before CONNACK"))
        super()._on_disconnect(*arguments, **named)

    def _on_connect(
        self,
        client: Client,
        userdata: Any,
        flags: Any,
        code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if properties is not None:
            self.limits = read_limits(vars(properties))
        super()._on_connect(client, userdata, flags, code, properties)

    def _on_publish(self, client: Client, userdata: Any, mid: int, code: ReasonCode, *more: Any) -> None:
        # aiomqtt ignores the reason; an access rule that forbids a topic shows nowhere else.
        if code.is_failure:
            self.refusal = code.value
        # Mosquitto leaves Nagle's algorithm on: what follows its PUBACK waits for our delayed TCP ACK, 40 ms.
        with suppress(OSError):
            self._spare.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        super()._on_publish(client, userdata, mid, code, *more)


def _properties(packet_type: int, **values: int) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class _SocketErrors(logging.Handler):
    """The last exception that paho logged instead of raising; the rest of its log is dropped."""

    last: OSError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, OSError):
                self.last = argument
