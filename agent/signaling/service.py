"""The device's end of signaling, without the transport: judges what comes in, numbers what goes out."""

import asyncio
import logging
from collections import defaultdict
from dataclasses import replace

from agent.errors import MessageError
from agent.model.command import Order, Way
from agent.model.event import Event, Events
from agent.model.flat import offline
from agent.model.health import MAX_FAULTS, Health, HealthFault
from agent.model.keys import KeySet
from agent.model.log_limit import LogLimit
from agent.model.publication import Publication
from agent.model.sections import Sections, SectionsMessage
from agent.model.signal import (
    Answer,
    Bye,
    Candidate,
    Command,
    FromDevice,
    Offer,
    Reject,
    Renew,
    Restart,
    Result,
    State,
)
from agent.model.text import clip
from agent.model.topics import TABLE, Topic, encode_topic, parse_topic
from agent.signaling.asked import AskedInSessions
from agent.signaling.fitting import what_fits
from agent.signaling.handler import Publish, SessionHandler
from agent.signaling.lease import Lease
from agent.signaling.messages import Message, encode, parse_confirm, parse_keys, parse_look, parse_to_device
from agent.signaling.session_table import Session, SessionTable
from agent.signaling.trust import UNPROVEN, KeyRing, OfferJudge, SigningKey, open_sealed
from agent.signaling.window import Window

logger = logging.getLogger(__name__)

MAX_REJECTS_PER_S = 20
"""Answers to junk; more would push what viewers wait for out of the broker's queue."""

UNDERSTANDS = ("lease", "command", "recordings")
"""What `state` tells a portal that it may say to us."""
UNRENEWED = "nobody renewed the right to watch"

_UNANSWERED = UNPROVEN | {"duplicate", "unknown-session", "unknown-topic", "replayed"}


class SignalingService:
    """Judges messages by signature, version, type, claims, sequence and session, in this order."""

    def __init__(
        self,
        prefix: str,
        device: str,
        publish: Publish,
        handler: SessionHandler,
        *,
        key: SigningKey,
        portal_keys: KeySet,
        boot_id: str,
    ) -> None:
        """`prefix` as in the settings; raises MessageError where `device` cannot be a level of a topic."""
        self._key = key
        self._judge = OfferJudge(boot_id)
        self._boot_id = boot_id
        self._looked_at = 0.0
        """When the newest word of a new release was said, by the portal's clock."""
        self._portal_keys, self._ring = portal_keys, KeyRing.of(portal_keys.publics)
        self._prefix = prefix
        self._device = device
        self._publish = publish
        self._handler = handler
        self._state_topic = encode_topic(prefix, Topic(device, "state"))
        self._state: State | None = None
        self._sections: Sections = {}
        """Beyond the state, as they were last told."""
        self._sections_seq = 0
        self._may_tell_sections = True
        """Until the broker refuses it; the next start asks again."""
        self._sessions = SessionTable()
        self.has_sessions = asyncio.Event()
        self._reject_window = Window(MAX_REJECTS_PER_S)
        self.asked = AskedInSessions(handler, self.tell_asked, self._note_refusal)
        self._refusals: defaultdict[str, LogLimit] = defaultdict(LogLimit)

    @property
    def refused(self) -> dict[str, int]:
        """How many messages were refused so far, by code."""
        return {code: limit.count for code, limit in self._refusals.items()}

    def on_message(self, topic: str, sealed: bytes, now_unix_s: float, now_mono_s: float) -> None:
        """Take one message in. Never raises: a refusal is counted, logged, and answered where one waits."""
        name = ""
        try:
            parts = self._parts_of(topic)
            if parts.channel == "keys":
                self._on_keys(topic, parts.name, sealed)
            elif parts.channel == "look":
                self._on_look(topic, sealed)
            elif parts.channel == "confirm":
                confirm = parse_confirm(open_sealed(topic, sealed, self._ring.find))
                self._handler.on_confirmed(confirm.events)
            else:
                name = parts.name
                message = parse_to_device(open_sealed(topic, sealed, self._ring.find))
                if isinstance(message, Command):
                    self._on_command(name, message, now_unix_s, now_mono_s)
                else:
                    self._dispatch(name, message, now_unix_s, now_mono_s)
        except MessageError as error:
            is_expired = error.code == "expired"
            challenge = self._judge.challenge(now_mono_s) if is_expired else None
            self._refuse(name, error, now_unix_s, challenge=challenge)
        except Exception as error:  # noqa: BLE001  one viewer's message must not end everybody's video
            fault = MessageError("internal", f"{type(error).__name__} in the agent: see its log")
            self._refuse(name, fault, now_unix_s, cause=error)

    def is_portals(self, signed: bytes, signature: bytes) -> bool:
        """Whether a key of the portal's made this bare signature: of an SMS."""
        return self._ring.verifies_bytes(signed, signature)

    def take_portal_keys(self, keys: KeySet) -> None:
        """From now on these count, where they are newer than those that did."""
        if keys.version > self._portal_keys.version:
            self._portal_keys, self._ring = keys, KeyRing.of(keys.publics)
            self._handler.on_portal_keys(keys)
            logger.info("the portal's keys changed: %s", ", ".join(self._ring.keys))

    def send_answer(self, session: str, nonce: str, sdp: str) -> None:
        """The answer to the offer of this nonce."""
        self._send(session, Answer(self._next_seq(session), nonce, sdp))

    def send_candidate(self, session: str, candidate: str) -> None:
        """One more candidate of ours; empty at the end of candidates."""
        self._send(session, Candidate(self._next_seq(session), candidate))

    def send_reject(self, session: str, code: str, message: str, retry_after_s: float | None = None) -> None:
        """No answer will come; the session is over."""
        self._reject(session, Reject(self._next_seq(session), code, clip(message), retry_after_s))

    def send_restart(self, session: str, reason: str) -> None:
        """Our addresses changed, or we hear nothing of the viewer: please offer an ICE restart."""
        self._send(session, Restart(self._next_seq(session), clip(reason)), is_urgent=True)

    def send_bye(self, session: str, reason: str) -> None:
        """The session is over."""
        self._send(session, Bye(self._next_seq(session), clip(reason)))
        self._sessions.remember(session).open = False

    def send_result(self, session: str, result: Result) -> None:
        """What became of a command; in the session of its own, or of the viewer whose it was."""
        self._send(session, result)

    def tell_asked(self, session: str, result: Result) -> None:
        """What a viewer had us do in its session, for the portal's audit log."""
        self.send_result(session, replace(result, seq=self._next_seq(session)))

    def end_unrenewed(self, now_mono_s: float) -> None:
        """End the sessions whose lease is over, whatever their viewers do and whoever is away."""
        for name, session in list(self._sessions.items()):
            if session.open and session.lease is not None and now_mono_s >= session.lease.ends_s:
                logger.warning("session %s ends: %s", name, UNRENEWED)
                self._handler.on_bye(name, UNRENEWED)
                self.send_bye(name, UNRENEWED)
        if not any(session.open for session in self._sessions.values()):
            self.has_sessions.clear()

    def on_refused(self, topic: str, words: str) -> None:
        """The broker will not take what was published on this topic: a viewer who waits for it is told."""
        parts = parse_topic(self._prefix, topic)
        # Once: what tells it may be refused as well.
        if parts.channel == "out" and self._sessions.is_open(parts.name):
            self.send_reject(parts.name, "broker-refuses", words)
            self._handler.on_bye(parts.name, words)
        elif parts.channel == "sections":  # rules of an older portal; said again it may cost the connection
            self._may_tell_sections = False

    def publish_state(self, state: State) -> None:
        """Retained; the same state is not sent again."""
        if state != self._state:
            self._state = state
            self._say(Topic(self._device, "state"), state)

    def publish_sections(self, sections: Sections) -> None:
        """What the state has no key for; retained, and the same is not sent again."""
        if sections != self._sections and self._may_tell_sections:
            self._sections = sections
            self._tell_sections()

    def republish_state(self) -> None:
        """After each connection: the last will may have replaced it, and the broker forgotten all."""
        if self._state is not None:
            self._say(Topic(self._device, "state"), self._state)
        if self._sections_seq and self._may_tell_sections:
            self._tell_sections()

    def tell_events(self, events: tuple[Event, ...], now_unix_s: float) -> None:
        """What no portal has confirmed yet."""
        self._say(Topic(self._device, "events"), Events(now_unix_s, events))

    def publish_health(self, health: Health) -> None:
        """Telemetry: the next one comes soon, so this one may be lost, and is not kept for long."""
        faults = (*self._clock_fault(), *health.faults)[:MAX_FAULTS]
        self._say(Topic(self._device, "health"), replace(health, faults=faults, refused=self.refused))

    def will(self, state: State) -> Publication:
        """What the broker says for us when we vanish: this state, offline."""
        gone = offline(state, state.since)
        sealed, row = self._key.seal(self._state_topic, encode(gone)), TABLE["state"]
        return Publication(self._state_topic, sealed, row.qos, row.is_retained)

    def _tell_sections(self) -> None:
        whole = SectionsMessage(self._boot_id, self._sections_seq, self._sections)
        message, left_out = what_fits(whole)
        for name, why in left_out.items():
            logger.error("the portal is not told of this device's %s: %s", name, why)
        self._say(Topic(self._device, "sections"), message)
        self._sections_seq += 1

    def _say(self, topic: Topic, message: Message, *, is_urgent: bool = False) -> None:
        where, row = encode_topic(self._prefix, topic), TABLE[topic.channel]
        self._publish(
            where,
            self._key.seal(where, encode(message)),
            qos=row.qos,
            retain=row.is_retained,
            expiry_s=row.expiry_s,
            is_urgent=is_urgent,
        )

    def _reject(self, session: str, message: Reject) -> None:
        self._send(session, message)
        self._sessions.remember(session).open = False

    def _clock_fault(self) -> tuple[HealthFault, ...]:
        behind_s, ahead_s = self._judge.behind_s, self._judge.ahead_s
        if not behind_s and not ahead_s:
            return ()
        words = f"{behind_s:.0f} s behind the portal: the age of an offer cannot be told"
        if ahead_s:
            words = f"{ahead_s:.0f} s ahead of the portal: every first viewer takes a round trip more"
        return (HealthFault("clock", words, "sudo timedatectl set-ntp true"),)

    def _parts_of(self, topic: str) -> Topic:
        parts = parse_topic(self._prefix, topic)
        is_own = parts.device == self._device and TABLE[parts.channel].writer == "portal"
        if parts.channel == "keys" or is_own:
            return parts
        raise MessageError("unknown-topic", f"{topic} is not for this device")

    def _on_keys(self, topic: str, kid: str, sealed: bytes) -> None:
        if self._ring.find(kid) is None:
            return  # said to those who know that key
        self.take_portal_keys(parse_keys(open_sealed(topic, sealed, self._ring.find)))

    def _on_look(self, topic: str, sealed: bytes) -> None:
        look = parse_look(open_sealed(topic, sealed, self._ring.find))
        if look.boot_id != self._boot_id:
            raise MessageError("wrong-boot", "the word of a new release is for another start of this camera")
        if look.issued_at <= self._looked_at:
            raise MessageError("replayed", "this word of a new release was taken already")
        self._looked_at = look.issued_at
        self._handler.on_look()

    def _on_command(self, name: str, command: Command, now_unix_s: float, now_mono_s: float) -> None:
        if self._sessions.is_open(name):
            raise MessageError("not-allowed", "a command has a session of its own")
        if (result := self._handler.answered(name)) is None:
            self._judge.check_command(command, now_unix_s, now_mono_s)
            way: Way = "broker" if command.user else "portal"
            order = Order(name, command.name, command.arguments, command.user, command.permissions, way)
            result = self._handler.on_command(order)
        if result is not None:
            self.send_result(name, result)

    def _dispatch(
        self, name: str, message: Offer | Candidate | Renew | Bye, now_unix_s: float, now_mono_s: float
    ) -> None:
        if not isinstance(message, Offer) and self._is_over(name, message):
            if isinstance(message, Bye):
                self._hand_on_bye(name, message)
            self._tell_over(name, message, now_unix_s)
            return
        session = self._sessions.remember(name) if isinstance(message, Offer) else self._known(name)
        if message.seq <= session.last_seq:
            raise MessageError("duplicate", f"seq {message.seq} after {session.last_seq}")
        if isinstance(message, Offer):
            if session.open and message.user != session.user:
                raise MessageError("not-allowed", "this session is somebody else's")
            self._judge.check(message, now_unix_s, now_mono_s)
        session.last_seq = message.seq
        match message:
            case Offer():
                self._offer(name, session, message, now_mono_s)
            case Candidate():
                self._handler.on_candidate(name, message.candidate)
            case Renew():
                self._renew(session, message, now_mono_s)
            case Bye():
                self._hand_on_bye(name, message)  # first: what there is still to say comes before our own
                self.send_bye(name, message.reason)  # so that the portal need not say it again

    def _hand_on_bye(self, name: str, bye: Bye) -> None:
        """Once, also where the viewer heard of it first, and hung up: it says why."""
        session = self._sessions.get(name)
        if session is not None and not session.is_ended:
            session.is_ended = True
            self._handler.on_bye(name, bye.reason)

    def _renew(self, session: Session, renew: Renew, now_mono_s: float) -> None:
        if (renew.user, renew.permissions) != (session.user, session.permissions):
            raise MessageError("not-allowed", "a session is renewed for who opened it, with the same rights")
        if session.lease is not None:
            session.lease.renew(renew.issued_at, renew.lease_s, now_mono_s)

    def _offer(self, name: str, session: Session, offer: Offer, now_mono_s: float) -> None:
        session.open, session.is_ended, session.user = (
            True,
            False,
            offer.user,
        )  # before the handler, which may end it at once
        self.has_sessions.set()
        session.permissions = offer.permissions
        lease_s = offer.lease_s
        session.lease = None if lease_s is None else Lease.begin(offer.issued_at, lease_s, now_mono_s)
        try:
            self._handler.on_offer(name, offer)
        except Exception:
            session.open = False
            raise

    def _refuse(
        self,
        name: str,
        error: MessageError,
        now_unix_s: float,
        *,
        cause: Exception | None = None,
        challenge: str | None = None,
    ) -> None:
        self._note_refusal(error, now_unix_s, cause)
        # Junk on a session that plays must not end it, nor must a copy of the offer that began it.
        if error.code in _UNANSWERED or not name or self._sessions.is_open(name):
            return
        if self._reject_window.admits(now_unix_s):
            words = clip(str(error))
            self._reject(name, Reject(self._next_seq(name), error.code, words, challenge=challenge))

    def _note_refusal(self, error: MessageError, now_unix_s: float, cause: Exception | None = None) -> None:
        limit = self._refusals[error.code]
        if limit.note(now_unix_s):
            words = "message refused (%s, %d so far): %s"
            logger.warning(words, error.code, limit.count, error, exc_info=cause)

    def _send(self, name: str, message: FromDevice, *, is_urgent: bool = False) -> None:
        self._say(Topic(self._device, "out", name), message, is_urgent=is_urgent)

    def _next_seq(self, name: str) -> int:
        session = self._sessions.remember(name)
        session.next_seq += 1
        return session.next_seq - 1

    def _is_over(self, name: str, message: Candidate | Renew | Bye) -> bool:
        """Both ends may leave at once, and candidates of who has left may still be under way: no fault."""
        return not self._sessions.is_open(name) and (
            name in self._sessions or not isinstance(message, Candidate)
        )

    def _tell_over(self, name: str, message: Candidate | Renew | Bye, now_unix_s: float) -> None:
        """Our own `bye` may have been lost: a portal that goes on with the session hears of its end again."""
        if not isinstance(message, Candidate) and self._reject_window.admits(now_unix_s):
            self.send_bye(name, "this session is over")

    def _known(self, name: str) -> Session:
        if not self._sessions.is_open(name):
            raise MessageError("unknown-session", f"no session {name}")
        return self._sessions.remember(name)
