"""The portal's end of signaling, without the transport: signs what goes out, proves and cleans what comes."""

import hashlib
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Protocol

from agent.errors import MessageError
from agent.model.event import Confirm, Events
from agent.model.health import Health
from agent.model.log_limit import LogLimit
from agent.model.sections import SectionsMessage
from agent.model.signal import Answer, BareEvent, Command, FromDevice, Look, Renew, State, ToDevice
from agent.model.text import all_printable
from agent.model.topics import TABLE, Topic, encode_topic, kept_topics, parse_topic
from agent.signaling.handler import Publish
from agent.signaling.messages import (
    Message,
    encode,
    parse_bare_event,
    parse_events,
    parse_from_device,
    parse_health,
    parse_sections,
    parse_state,
)
from agent.signaling.quota import RATE_PER_S, Quotas
from agent.signaling.signing import SigningFolder
from agent.signaling.trust import SigningKey, VerifyKey, open_sealed

logger = logging.getLogger(__name__)

MAX_WAITING = 128
"""States and sections of devices that are kept until their enrolment is known here, 87 KiB each at most."""
MAX_TO_WIPE = 20_000
"""Topics of 200 bytes at most."""
WIPES_PER_S = 40
"""Retained messages go before offers, hundreds would push those out of the outbox, and the echo counts as the
device's: so fewer than it may say."""

_verify_key = lru_cache(maxsize=4096)(VerifyKey)


class Listener(Protocol):
    """Who hears of what is proven; all synchronous. A MessageError is counted like any other refusal."""

    def on_state(self, device: str, state: State) -> None:
        """A device's presence."""

    def on_sections(self, device: str, message: SectionsMessage) -> None:
        """What its state says beyond that."""

    def on_health(self, device: str, health: Health) -> None:
        """What its doctor says."""

    def expects(self, device: str, session: str) -> bool:
        """Whether it concerns this portal what the device says in this session, proven or not."""

    def on_signal(self, device: str, session: str, message: FromDevice) -> None:
        """One message of a session that was expected."""

    def on_undelivered(self, device: str, session: str, words: str) -> None:
        """The broker does not take what we sent in a session."""


class EventListener(Protocol):
    """Who keeps events; as `Listener`."""

    def on_events(self, device: str, message: Events) -> None:
        """What a device's journal holds; `confirm` it when it is kept."""

    def on_bare_event(self, device: str, event: BareEvent, digest: str) -> None:
        """Something happened there; `digest` is the same for the same message."""


class PortalSignaling:
    """Speaks for the portal to every device, and believes each device only on its own topics."""

    def __init__(
        self,
        prefix: str,
        publish: Publish,
        listener: Listener,
        events: EventListener,
        *,
        signing: SigningFolder,
        device_key: Callable[[str], bytes | None],
    ) -> None:
        """`device_key` gives the key that a device was enrolled with; None where it is unknown or revoked."""
        self._prefix = prefix
        self._publish = publish
        self._listener = listener
        self._events = events
        self._signing = signing
        self._device_key = device_key
        self._told: dict[str, int] = {}
        self._revoked: set[str] = set()
        """Who may not speak any more: a last will may come when all else is gone."""
        self._to_wipe: OrderedDict[str, str] = OrderedDict()
        """Topics on which the broker keeps what it shall not, the oldest first, and of whom it is."""
        self._wiping: dict[str, str] = {}
        self._found = 0
        """How many such topics came since the last look."""
        self._waiting: dict[str, tuple[bytes | None, bytes]] = {}  # by topic: the key known then, the message
        self.quotas = Quotas()
        self._faults = LogLimit(60.0)
        self._refusals: defaultdict[str, LogLimit] = defaultdict(LogLimit)

    @property
    def refused(self) -> dict[str, int]:
        """How many messages were refused so far, by code."""
        return {code: limit.count for code, limit in self._refusals.items()}

    def send(self, device: str, session: str, message: ToDevice) -> bool:
        """Sign and publish; False where another had to be dropped for it. Raises MessageError."""
        return self._say(Topic(device, "in", session), message, self._signing.current, _worth_s(message))

    def ask_to_look(self, device: str, boot_id: str, now_unix_s: float) -> bool:
        """Tell a device that there may be a new release. As `send`."""
        return self._say(Topic(device, "look"), Look(now_unix_s, boot_id), self._signing.current)

    def confirm(self, device: str, events: tuple[str, ...]) -> bool:
        """Tell a device that these are kept. As `send`."""
        return self._say(Topic(device, "confirm"), Confirm(events), self._signing.current)

    def tell_keys(self) -> None:
        """Tell all devices whose offers count, where they were not told yet.

        It is said once under each key, since a device may know any one of them.
        """
        keys = self._signing.key_set()
        wanted = {dated.key.kid: keys.version for dated in self._signing.keys}
        if wanted == self._told:
            return
        for kid in self._told.keys() - wanted.keys():
            self._end_retained(encode_topic(self._prefix, Topic("", "keys", kid)))
        for dated in self._signing.keys:
            self._say(Topic("", "keys", dated.key.kid), keys, dated.key)
        self._told = wanted

    def on_connected(self) -> None:
        """The broker may have forgotten the keys, and a camera that was away would never hear of new ones."""
        self._told = dict.fromkeys(self._told, 0)

    def on_refused(self, topic: str, words: str) -> None:
        """The broker will not take what was published on this topic."""
        parts = parse_topic(self._prefix, topic)
        if parts.channel == "in":
            self._listener.on_undelivered(parts.device, parts.name, words)

    def wipe(self, device: str) -> None:
        """Have the broker forget what it keeps of a device that may not speak any more; see `keep_wiping`."""
        self._revoked.add(device)
        for topic in kept_topics(self._prefix, device):
            self._to_wipe[topic] = device
            self._to_wipe.move_to_end(topic, last=False)

    def keep_wiping(self, waits_on: Callable[[Collection[str]], bool]) -> set[str]:
        """Wipe some more, once a second; returns of which devices something is left.

        `waits_on` says whether the broker has yet to confirm something on one of these topics.
        """
        self._wiping = {topic: device for topic, device in self._wiping.items() if waits_on((topic,))}
        is_burst, self._found = self._found > WIPES_PER_S, 0
        # While thousands come, Mosquitto 2.0 drops what it has to confirm: we would take the link for lost.
        for _ in range(0 if is_burst else WIPES_PER_S - len(self._wiping)):
            if not self._to_wipe:
                break
            topic, device = self._to_wipe.popitem(last=False)
            is_said = TABLE[parse_topic(self._prefix, topic).channel].is_retained
            is_back = is_said and self._device_key(device) is not None
            if not is_back:  # enrolled again, it has said a new one
                self._end_retained(topic)
                self._wiping[topic] = device
        return {*self._to_wipe.values(), *self._wiping.values()}

    def on_retained(self, topic: str, now_unix_s: float) -> None:
        """The broker keeps a message: its writer is blamed where the table of topics has none kept."""
        try:
            parts = parse_topic(self._prefix, topic)
        except MessageError:
            return  # `on_message` says so
        is_last_will = parts.device in self._revoked and self._device_key(parts.device) is None
        if not TABLE[parts.channel].is_retained:
            self.quotas.blame(parts.device, now_unix_s)
        elif not is_last_will:
            return
        self._found += 1
        if len(self._to_wipe) < MAX_TO_WIPE:  # more of it comes again, retained, when a portal starts
            self._to_wipe[topic] = parts.device

    def on_message(self, topic: str, sealed: bytes, now_unix_s: float) -> None:
        """Take one message in. Never raises: a refusal is counted and logged."""
        try:
            self._dispatch(topic, sealed, now_unix_s)
        except MessageError as error:
            self._refuse(topic, error, now_unix_s)
            if error.code == "unknown-key":
                self._keep(topic, sealed)
        except Exception as error:  # one camera's message must not end the portal for everybody
            if self._faults.note(now_unix_s):
                logger.exception("a message on %s brought about a fault of ours", ascii(topic)[:200])
            self._refuse(topic, MessageError("internal", type(error).__name__), now_unix_s)
        else:
            self._waiting.pop(topic, None)

    def on_keys(self, now_unix_s: float) -> None:
        """Take in what devices said before their enrolment was known here: a retained state comes once."""
        for topic, (key, sealed) in list(self._waiting.items()):
            if self._device_key(parse_topic(self._prefix, topic).device) != key:
                del self._waiting[topic]
                self.on_message(topic, sealed, now_unix_s)

    def _say(self, topic: Topic, message: Message, key: SigningKey, expiry_s: float | None = None) -> bool:
        """`expiry_s` instead of what the table of topics says."""
        where, row = encode_topic(self._prefix, topic), TABLE[topic.channel]
        return self._publish(
            where,
            key.seal(where, encode(message)),
            qos=row.qos,
            retain=row.is_retained,
            expiry_s=row.expiry_s if expiry_s is None else expiry_s,
        )

    def _end_retained(self, topic: str) -> None:
        self._publish(topic, b"", retain=True)  # MQTT 5 section 3.3.1.3: nothing to retain

    def _keep(self, topic: str, sealed: bytes) -> None:
        parts = parse_topic(self._prefix, topic)
        if not TABLE[parts.channel].is_retained:
            return
        self._waiting.pop(topic, None)
        self._waiting[topic] = self._device_key(parts.device), sealed
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]  # the oldest

    def _dispatch(self, topic: str, sealed: bytes, now_unix_s: float) -> None:
        parts = parse_topic(self._prefix, topic)
        if not self.quotas.admits(parts.device, len(sealed), now_unix_s):  # before anything that costs
            words = f"{parts.device} says more than {RATE_PER_S:g} messages a second"
            raise MessageError("too-fast", words)
        if not sealed:
            return  # the end of what was retained, by any portal
        if parts.channel == "out" and not self._listener.expects(parts.device, parts.name):
            return  # another portal's session: all hear it, and a signature costs more than a look-up
        public = self._device_key(parts.device)
        key = _verify_key(public) if public else None
        payload = open_sealed(topic, sealed, lambda kid: key if key and key.kid == kid else None)
        match parts.channel:  # what people read reverses no line of a page, and sends no escape to a terminal
            case "state":
                self._listener.on_state(parts.device, all_printable(parse_state(payload)))
            case "sections":
                self._listener.on_sections(parts.device, all_printable(parse_sections(payload)))
            case "health":
                self._listener.on_health(parts.device, all_printable(parse_health(payload)))
            case "events":
                self._events.on_events(parts.device, all_printable(parse_events(payload)))
            case "event":
                digest = hashlib.sha256(payload).hexdigest()[:32]
                event = all_printable(parse_bare_event(payload))
                self._events.on_bare_event(parts.device, event, digest)
            case "out":
                said = parse_from_device(payload)
                heard = said if isinstance(said, Answer) else all_printable(said)  # SDP is for browsers
                self._listener.on_signal(parts.device, parts.name, heard)

    def _refuse(self, topic: str, error: MessageError, now_unix_s: float) -> None:
        limit = self._refusals[error.code]
        if limit.note(now_unix_s):
            words = "message on %s refused (%s, %d so far): %s"
            logger.warning(words, ascii(topic)[:200], error.code, limit.count, error)


def _worth_s(message: ToDevice) -> float | None:
    """How long the broker keeps it, where that is not as the topic says: its device may be away."""
    match message:
        case Renew():
            return message.lease_s
        case Command():
            return message.expires_at - message.issued_at
        case _:
            return None
