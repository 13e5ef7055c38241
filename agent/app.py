"""Builds every part, wires them, and closes them in order. No logic of its own."""

import asyncio
import gc
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from agent import __version__
from agent.camera.capture import Capture, Details
from agent.camera.select import open_camera
from agent.config import BrokerSettings, Settings, read_secret
from agent.control.demand import Limits
from agent.control.stream import StreamControl
from agent.device.heartbeat import Heartbeat
from agent.device.link import LinkMonitor
from agent.device.vitals import Verdict, Vitals, judge
from agent.doctor.health import make_health_reporter
from agent.errors import MessageError
from agent.media.fanout import Fanout, Sink
from agent.media.packetizer import to_rtp_frame
from agent.model.media import STREAMS, AccessUnit, StreamName
from agent.model.signal import (
    OFFER_LIFETIME_S,
    CameraState,
    Event,
    EventKind,
    Offer,
    State,
    StreamInfo,
    ToDevice,
)
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.company import load_company
from agent.portal.accounts.passwords import Passwords
from agent.portal.accounts.service import Accounts
from agent.portal.accounts.users import first_link
from agent.portal.app import run_portal as serve_portal
from agent.portal.client import Client
from agent.portal.gateway import Gateway
from agent.portal.store import open_store
from agent.portal.turn import load_ice_servers
from agent.rtc.interfaces import host_addresses
from agent.rtc.sessions import Sessions
from agent.signaling import messages, topics
from agent.signaling.broker import Broker
from agent.signaling.service import SignalingService

log = logging.getLogger(__name__)


class Agent:
    """The parts of a device, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._boot_id = secrets.token_hex(8)
        self._born = time.time()
        device, broker = settings.device, settings.broker
        self.capture = Capture(
            partial(open_camera, settings.camera),
            settings.camera,
            on_unit=self._on_unit,
            on_state=self._on_camera_state,
            on_event=self._on_event,
        )
        self.fanouts: dict[StreamName, Fanout] = {stream: Fanout() for stream in STREAMS}
        self.control = StreamControl(self.capture, self._limits, self._subscribed)
        self.service = SignalingService(broker.topic_prefix, device.id, self._publish, self)
        self.sessions = Sessions(
            settings.webrtc,
            signal=self.service,
            viewing=self.control.viewer,
            describe=self._describe,
            on_change=self._publish_state,
        )
        self.broker = Broker(
            broker,
            client_id=f"pinhole-{device.id}",
            password=_broker_password(broker),
            subscriptions=topics.device_filters(broker.topic_prefix, device.id),
            on_message=lambda topic, payload: self.service.on_message(topic, payload, time.time()),
            on_connection=self._on_connection,
            will=self.service.will(self._state()),
        )

        self.health = make_health_reporter(settings, self.service.publish_health)
        self.link = LinkMonitor(
            partial(host_addresses, settings.webrtc.exclude_interfaces), self._on_link_changed
        )
        self.heartbeat = Heartbeat(self._vitals)

    async def run(self) -> None:
        """Run until cancelled, or until an essential part fails; then close in order, within 8 s."""
        self._publish_state()
        async with asyncio.TaskGroup() as group:
            camera = group.create_task(self.capture.run(), name="camera")
            group.create_task(self.broker.run(), name="broker")
            control = group.create_task(self.control.run(), name="control")
            link = group.create_task(self.link.run(), name="link")
            health = group.create_task(self.health.run(), name="health")
            heartbeat = group.create_task(self.heartbeat.run(), name="heartbeat")
            sockets = group.create_task(self.sessions.run(), name="sockets")
            try:
                await asyncio.Event().wait()
            finally:
                self.heartbeat.stopping()
                heartbeat.cancel()
                link.cancel()
                health.cancel()
                control.cancel()
                sockets.cancel()
                await self.sessions.close()
                camera.cancel()
                await asyncio.wait((camera,))
                self.service.publish_state(self._state(online=False))

    # Signaling and the sessions need each other; signaling calls these.

    def on_offer(self, session: str, offer: Offer) -> None:
        self.health.on_ice_servers(offer.ice_servers)
        self.sessions.on_offer(session, offer)

    def on_candidate(self, session: str, candidate: str) -> None:
        self.sessions.on_candidate(session, candidate)

    def on_bye(self, session: str, reason: str) -> None:
        self.sessions.on_bye(session, reason)

    def _publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: float | None = None,
        is_urgent: bool = False,
    ) -> bool:
        return self.broker.publish(
            topic, payload, qos=qos, retain=retain, expiry_s=expiry_s, is_urgent=is_urgent
        )

    def _on_unit(self, stream: StreamName, unit: AccessUnit) -> None:
        fanout = self.fanouts[stream]
        if len(fanout) and (frame := to_rtp_frame(unit)):
            fanout.push(frame)

    @contextmanager
    def _subscribed(self, stream: StreamName, sink: Sink) -> Iterator[None]:
        with self.capture.watching(stream), self.fanouts[stream].subscribed(sink):
            yield

    def _on_camera_state(self, _state: CameraState, _problem: str) -> None:
        self._publish_state()

    def _on_event(self, kind: EventKind, message: str, details: Details) -> None:
        self.service.publish_event(Event(kind, time.time(), message, details))

    def _on_link_changed(self, addresses: list[str]) -> None:
        self.broker.on_link_changed(addresses)
        self.sessions.on_link_changed()
        self.health.look_again()

    def _on_connection(self, connected: bool, _words: str) -> None:
        if connected:
            self.service.republish_state()
        self.heartbeat.beat()

    def _vitals(self) -> Verdict:
        broker, capture = self.broker, self.capture
        return judge(
            Vitals(
                is_connected=broker.connected,
                broker=broker.words,
                camera=capture.state,
                camera_kind=capture.kind,
                problem=capture.problem,
                is_watched=capture.is_watched,
                quiet_s=capture.quiet_s,
                viewers=len(self.sessions),
                now_unix_s=time.time(),
            )
        )

    def _describe(self, stream: StreamName) -> tuple[int, int, str]:
        return len(self.sessions), self.control.bitrate_bps(stream), self.capture.kind

    def _limits(self) -> dict[StreamName, Limits]:
        return {
            stream: Limits(
                min_bps=min(of.min_bitrate_bps, self.capture.most_bps[stream]),
                max_bps=self.capture.most_bps[stream],
                fps=of.fps,
                pixels=of.width_px * of.height_px,
                can_rescale=of.can_rescale,
                can_skip=of.can_skip,
            )
            for stream, of in self.capture.expected_formats().items()
        }

    def _publish_state(self) -> None:
        self.service.publish_state(self._state())

    def _state(self, *, online: bool = True) -> State:
        capture = self.capture
        streams = tuple(
            StreamInfo(stream, of.width_px, of.height_px, of.fps, capture.most_bps[stream])
            for stream, of in capture.formats.items()
        )
        return State(
            boot_id=self._boot_id,
            online=online,
            since=self._born if online else time.time(),
            name=self._settings.device.display_name,
            version=__version__,
            camera=capture.state if online else "idle",
            camera_kind=capture.kind,
            problem=capture.problem,
            streams=streams,
            viewers=len(self.sessions) if online else 0,
            has_stamp=capture.has_stamp,
        )


class Portal:
    """The parts of the portal, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        broker, portal = settings.broker, settings.portal
        self._prefix = broker.topic_prefix
        self.gateway = Gateway(
            self._send, load_ice_servers(portal), __version__, note_watching=self._note_watching
        )
        self.store = open_store(portal)
        self.audit = Audit(self.store, portal.audit_file)
        self.accounts = Accounts(self.store, self.audit, Passwords(), load_company(portal.oidc))
        self.broker = Broker(
            broker,
            client_id=f"pinhole-portal-{socket.gethostname()}-{portal.port or os.getpid()}",
            password=_broker_password(broker),
            subscriptions=topics.portal_filters(self._prefix),
            on_message=self._on_message,
            on_connection=self._on_connection,
        )

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Serve until cancelled."""
        first = await self.store.run(lambda db: first_link(db, time.time()))

        def ready(url: str) -> None:
            on_ready(url)
            if first:
                link = f"{url}/#/welcome/{first}"
                log.warning(f"nobody can sign in yet: choose the administrator's password at {link}")

        try:
            async with asyncio.TaskGroup() as essential:
                audit = essential.create_task(self.audit.run(), name="audit")
                try:
                    await self._serve(ready)
                finally:
                    audit.cancel()  # after the sessions have ended, for it notes that
        finally:
            self.accounts.passwords.close()
            self.store.close()

    async def _serve(self, on_ready: Callable[[str], None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.broker.run(), name="broker")
            portal = serve_portal(self._settings.portal, self.accounts, self.gateway, on_ready)
            group.create_task(portal, name="portal")

    def _note_watching(self, client: Client, device: str, begins: bool, detail: str) -> None:
        action = "watch" if begins else "watch-end"
        self.audit.add(client.user, action, device=device, address=client.address, detail=detail)

    def _send(self, device: str, session: str, message: ToDevice) -> bool:
        topic = topics.signal_topic(self._prefix, device, session, "in")
        payload = messages.encode(message)
        return self.broker.connected and self.broker.publish(topic, payload, expiry_s=OFFER_LIFETIME_S)

    def _on_message(self, topic: str, payload: bytes) -> None:
        try:
            parts = topics.parse_topic(self._prefix, topic)
            match parts.channel:
                case "state":
                    self.gateway.on_state(parts.device, messages.parse_state(payload))
                case "health":
                    self.gateway.on_health(parts.device, messages.parse_health(payload))
                case "event":
                    self.gateway.on_event(parts.device, messages.parse_event(payload))
                case "out":
                    self.gateway.on_signal(parts.device, parts.name, messages.parse_from_device(payload))
        except MessageError as exc:
            log.warning("refused a message on %s (%s): %s", ascii(topic), exc.code, exc)

    def _on_connection(self, connected: bool, _words: str) -> None:
        self.gateway.on_broker(connected)


async def run_agent(settings: Settings) -> None:
    """`pinhole run`."""
    gc.freeze()  # what is loaded by now stays: a collection is then short, and no viewer waits for it
    await Agent(settings).run()


async def run_portal(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """`pinhole portal`; `on_ready` gets the dashboard's URL."""
    await Portal(settings).run(on_ready)


def _broker_password(settings: BrokerSettings) -> str | None:
    return read_secret(settings.password_file) if settings.password_file else None
