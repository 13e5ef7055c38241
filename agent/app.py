"""Builds every part of the agent, wires them, and closes them in order. No logic of its own."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from agent import __version__
from agent.attention import Attention
from agent.camera.capture import Capture, Details
from agent.camera.mask_file import Key, MaskFile
from agent.camera.privacy import Around, Privacy
from agent.camera.select import network_of, open_camera, patience_of
from agent.config import Settings, read_password
from agent.control.allowance import DataAllowance
from agent.control.budget import Plan, Usage
from agent.control.demand import Limits, limits_of
from agent.control.stream import StreamControl
from agent.device.changes import FILE, Proof, RemoteSettings
from agent.device.commands import ANSWERS, Commands, Handler
from agent.device.heartbeat import Heartbeat
from agent.device.journal import Journal
from agent.device.late import LateCommands
from agent.device.led import Led
from agent.device.ledger import Ledger
from agent.device.link import LinkMonitor
from agent.device.memory import stay_lean
from agent.device.place import BROKER_NOTE, NOTE, BrokerNote, taken
from agent.device.power import Power
from agent.device.release import ReleaseDesk, Standing, stand
from agent.device.vitals import Verdict, Vitals, judge
from agent.doctor.health import make_health_reporter
from agent.media.packetizer import to_rtp_frame
from agent.media.stream import Stream
from agent.model import evidence, topics
from agent.model.command import LATER, CommandError, Order
from agent.model.disk import check_folder
from agent.model.event import EventKind
from agent.model.flat import beyond, offline, state_of
from agent.model.health import Health
from agent.model.keys import KeySet, encode_public
from agent.model.media import STREAMS, Need, StreamName, Unit
from agent.model.remote_settings import Changes
from agent.model.sections import AgentSection, ReadSection, read_sections
from agent.model.signal import CameraState, Offer, Result, State
from agent.model.still import Still, Thumbnail
from agent.model.tasks import EssentialTasks
from agent.model.threads import in_background
from agent.mqtt.broker import Broker
from agent.pictures import Pictures
from agent.record.export import About
from agent.record.exports import Exports
from agent.recordings import Recordings
from agent.rtc.interfaces import host_addresses
from agent.rtc.sessions import Sessions
from agent.serial_devices import SerialDevices
from agent.signaling import lease
from agent.signaling.enrolment import broker_settings, keep_fresh
from agent.signaling.identity import PORTAL_KEYS_FILE, load_identity
from agent.signaling.service import UNDERSTANDS, SignalingService
from agent.signaling.telling import Telling
from agent.uploads import Uploads

log = logging.getLogger(__name__)

CHANGE_AFTER_S = 0.5
"""From the command to the end of the streams."""


class Agent:
    """The parts of a device, wired."""

    def __init__(
        self, settings: Settings, remote: RemoteSettings, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._settings, self._remote = settings, remote
        self._again = asyncio.Event()
        """Somebody wants all of it built anew, with other settings."""
        self._boot_id = secrets.token_hex(8)
        self._born, self._started_s = time.time(), time.monotonic()
        self._tasks = EssentialTasks()
        check_folder(settings.device.state_dir)
        device, broker = settings.device, broker_settings(settings)
        self.journal = Journal(device.state_dir / "events", self._boot_id)
        identity = load_identity(device.state_dir)
        self._kept_keys = Ledger(device.state_dir / PORTAL_KEYS_FILE, TypeAdapter(KeySet), in_background)
        key = Key(identity.key.sign_bytes, identity.key.verify_key.verifies_bytes)
        around = Around(
            self._on_event, self._publish_state, lambda: self.capture, self._begin_anew, time.time
        )
        self.privacy = Privacy(
            MaskFile(device.state_dir, key),
            settings.camera,
            around,
            has_head=settings.ptz.port is not None,
            name=device.display_name,
        )
        network = network_of(settings)
        self.capture = Capture(
            partial(open_camera, settings.camera, self.privacy.masking, network),
            settings.camera,
            on_unit=self._on_unit,
            on_state=self._on_camera_state,
            on_event=self._on_event,
            patience=patience_of(network),
        )
        proof = partial(self.capture.watching, "main")
        self._proof = Proof(proof, lambda: self.capture.frames, lambda: self.capture.first_picture_s)
        ask_keyframe = partial(self.capture.request_keyframe, "main", Need.START)
        self.releases = ReleaseDesk(self._stand, proof, ask_keyframe, self._publish_state)
        self.streams = {name: self._make_stream(name) for name in STREAMS}
        self.allowance = self._make_allowance()
        self.control = StreamControl(
            self.capture,
            self._limits,
            lambda name, take: self.streams[name].reading_rtp(take),
            settings.webrtc.uplink_bps,
            is_read=lambda name: self.streams[name].is_read,
        )
        self.recordings = Recordings(
            settings,
            self.capture,
            self.streams,
            self.control,
            self._on_event,
            self._publish_state,
            self._tell_asked,
        )
        self.serial = SerialDevices(settings, self._on_event, self._publish_state, self._tell_asked, self)
        self.led = Led(device.state_dir / "led.json")
        self.power = Power(_later, lambda: time.monotonic() - self._started_s, environ)
        self._on_sent = self.allowance.on_sent if self.allowance else lambda _: None
        self.pictures = Pictures(settings, self.capture, self.streams, self._on_sent)
        self.attention = Attention(
            settings,
            self.capture,
            self.privacy.masking.luma,
            self.journal,
            is_turning=self.serial.is_head_moving,
            on_begun=self._on_motion_begun,
            on_seen=self.pictures.thumbnails.begin,
            on_ended=lambda _, at_us: self.recordings.recorder.end("motion", at_us),
            on_change=self._publish_state,
        )
        self.uploads = Uploads(
            settings,
            self.recordings,
            self.allowance,
            self._viewers,
            self.serial.read_modem,
            self._on_event,
            self._publish_state,
        )
        about = About(device.id, device.display_name, __version__, encode_public(identity.key.public))
        seal = partial(identity.key.seal, evidence.TOPIC)
        min_free_bytes = settings.record.min_free_mb * 1_000_000
        max_bytes = None if settings.record.max_mb is None else settings.record.max_mb * 1_000_000
        self.exports = Exports(lambda: self.recordings.index, about, seal, min_free_bytes, max_bytes)
        self.late = LateCommands(self._answer_late)
        answers = Ledger(device.state_dir / "commands.json", ANSWERS, in_background)
        self.commands = Commands(self._handlers(), answers, time.monotonic)
        self.service = SignalingService(
            broker.topic_prefix,
            device.id,
            self._publish,
            self,
            key=identity.key,
            portal_keys=identity.portal_keys,
            boot_id=self._boot_id,
        )
        self.sessions = Sessions(
            settings.webrtc,
            signal=self.service,
            viewing=self.control.viewer,
            describe=self._describe,
            command=lambda order, later: self.service.asked.run(order, time.time(), later),
            on_change=self._on_viewers,
            refusal=self.control.refusal,
            on_sent=self._on_sent,
            open_stick=self.serial.open_stick,
            open_playback=self.recordings.playbacks.open,
            find_file=lambda number: self.exports.find(number) or self.pictures.find_film(number),
            on_right_lost=self.serial.on_right_lost,
        )
        self._sections: dict[str, ReadSection] = {
            "agent": lambda: AgentSection(device.display_name, __version__),
            "camera": self.capture.section,
            "streams": self.capture.streams_section,
            "masks": self.privacy.section,
            "viewers": self.sessions.section,
            "release": self.releases.section,
            "plan": lambda: self.allowance and self.allowance.section(),
            "settings": remote.section,
            "record": self.recordings.section,
            "upload": self.uploads.section,
            "lapse": self.pictures.lapse_section,
            **self.serial.sections,
            **self.attention.sections,
        }
        self.broker = Broker(
            broker,
            client_id=f"pinhole-{device.id}",
            password=read_password(broker),
            subscriptions=topics.device_filters(broker.topic_prefix, device.id),
            on_message=self._on_message,
            on_connection=self._on_connection,
            on_refused=self.service.on_refused,
            will=self.service.will(self._state()),
        )

        self._broker_note = Ledger(device.state_dir / NOTE, BROKER_NOTE, in_background)
        self.telling = Telling(
            self.journal.oldest,
            lambda events: self.service.tell_events(events, time.time()),
            lambda: self.broker.connected,
        )
        self.journal.on_kept = self.telling.on_events
        self.health = make_health_reporter(settings, self._publish_health)
        self.link = LinkMonitor(
            partial(host_addresses, settings.webrtc.exclude_interfaces), self._on_link_changed
        )
        self.heartbeat = Heartbeat(self._vitals, dict(environ))

    async def run(self) -> None:
        """Run until cancelled, until a part ends, or until it is to be built anew; then close, within 8 s."""
        self._tell_outcome()
        self._publish_state()
        async with self._tasks as group:
            camera = group.start(self.capture.run(), name="camera")
            broker = group.start(self.broker.run(), name="broker")
            others = [group.start(work, name=name) for name, work in self._work()]
            try:
                await group.until_one_ends(self._again)
            finally:
                if not self._again.is_set():
                    self.heartbeat.stopping()
                await self.serial.stop()
                for one in others:
                    one.cancel()
                await self.late.close()
                await self.pictures.close()
                await self.sessions.close()
                camera.cancel()
                await asyncio.wait((camera,))
                if self.allowance:
                    self.allowance.close()
                self.service.publish_state(offline(self._state(), time.time()))
                broker.cancel()  # which still says that
                self.journal.close()

    def _work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside camera and broker, and ends before them."""
        yield "enrolment", keep_fresh(self._settings.device.state_dir, self.service.take_portal_keys)
        yield "control", self.control.run()
        yield "link", self.link.run()
        yield "health", self.health.run()
        yield "heartbeat", self.heartbeat.run()
        yield "releases", self.releases.run()
        yield "sockets", self.sessions.run()
        yield "led", self.led.run()
        yield "memory", stay_lean(lambda: self.capture.frames)
        yield "journal", self.journal.run()
        yield "telling", self.telling.run()
        yield from self.serial.work()
        yield from self.pictures.work()
        yield from self.recordings.work()
        yield from self.uploads.work()
        yield from self.attention.work()
        yield "settings", self._remote.run(self._proof, self._again.set, self._tell_outcome)
        yield "leases", lease.keep(self.service.end_unrenewed, self.service.has_sessions)

    # Signaling and the sessions need each other; signaling calls these.

    def on_offer(self, session: str, offer: Offer) -> None:
        self.health.on_ice_servers(offer.ice_servers)
        self.sessions.on_offer(session, offer)

    def on_candidate(self, session: str, candidate: str) -> None:
        self.sessions.on_candidate(session, candidate)

    def on_bye(self, session: str, reason: str) -> None:
        self.recordings.playbacks.tell_over(session)
        self.sessions.on_bye(session, reason)

    def on_portal_keys(self, keys: KeySet) -> None:
        self._kept_keys.keep(keys, time.monotonic(), is_urgent=True)

    def _tell_asked(self, session: str, result: Result) -> None:
        self.service.tell_asked(session, result)

    def on_look(self) -> None:
        self.releases.look_for_release()

    def answered(self, command: str) -> Result | None:
        return self.commands.answered(command)

    def on_command(self, order: Order) -> Result | None:
        return self.commands.run(order)

    def _handlers(self) -> dict[str, Handler]:
        """What each command of the table does here."""
        return {
            "keyframe": lambda order, _: self.sessions.want_keyframe(order.session),
            "look": lambda _, __: self.releases.look_for_release(),
            "settings": lambda _, __: self._remote.shown(),
            "set": self._after_trial(self._set),
            "identify": lambda _, wish: self.led.blink(wish.seconds),
            "restart-stream": lambda _, __: self._restart_stream(),
            "restart-agent": self._after_trial(lambda _, __: self.power.restart_agent()),
            "reboot": self._after_trial(lambda _, __: self.power.reboot()),
            "masks": self.privacy.show,
            "set-masks": self.late.handler(self.privacy.set),
            **self.serial.handlers,
            **self.pictures.handlers(self.late.handler),
            **{name: self.late.handler(work) for name, work in self.serial.works.items()},
            **{name: self._brings(find) for name, find in self.serial.pictures.items()},
            **self.recordings.handlers(self.late.handler),
            **self.uploads.handlers,
            **self.attention.handlers(self.late.handler),
            "export": self.late.handler(lambda _, wish: self.exports.make(wish)),
        }

    def take_icon(self) -> Awaitable[Still]:
        return self.pictures.stills.take("icon")

    def is_seen(self) -> bool:
        return self.capture.state == "live" and self.privacy.state != "blank"

    def _brings(self, find: Callable[[Any], Awaitable[Thumbnail]]) -> Handler:
        return self.late.handler(self.pictures.through(find))

    def _after_trial(self, handler: Handler) -> Handler:
        """A release on trial is rolled back where something ends the agent."""

        def handle(order: Order, arguments: Any) -> Any:
            if self.releases.is_on_trial:
                raise CommandError("busy", "a release is on trial: wait until it has proven itself")
            return handler(order, arguments)

        return handle

    def _set(self, order: Order, changes: Changes) -> object:
        """What confirms a trial is heard at once: it is not refused where much else is worked on."""
        return LATER if self._remote.hear(order.id) else self.late.handler(self._change)(order, changes)

    async def _change(self, order: Order, changes: Changes) -> object:
        return await self._remote.set(order, changes, lambda: _later(CHANGE_AFTER_S, self._again.set))

    def _tell_outcome(self) -> None:
        """What became of settings on trial, to the portal that asked, and to all in the state."""
        result, self._remote.outcome = self._remote.outcome, None
        if result is not None:
            self.commands.finish(result)
            self.service.send_result(result.id, result)
            kind: EventKind = "settings-changed" if result.ok else "settings-given-back"
            self._on_event(kind, result.message, {})
        self._publish_state()

    def _answer_late(self, order: Order, result: Result) -> None:
        self.commands.finish(result)
        if order.way == "session":
            self.service.asked.finish(order, result, time.time())
        else:
            self.service.send_result(order.id, result)

    def _restart_stream(self) -> None:
        if not self.capture.restart():
            raise CommandError("not-running", "the camera does not run: nobody watches, or it has failed")

    def on_confirmed(self, events: tuple[str, ...]) -> None:
        if self.journal.confirm(events):
            self.telling.on_confirmed()

    def _on_message(self, topic: str, payload: bytes) -> None:
        self.service.on_message(topic, payload, time.time(), time.monotonic())

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

    def _on_unit(self, name: StreamName, unit: Unit) -> None:
        self.streams[name].push(unit)

    def _on_camera_state(self, _state: CameraState, _problem: str) -> None:
        self.privacy.look()
        self._publish_state()

    def _on_event(self, kind: EventKind, message: str, details: Details) -> None:
        self.journal.note(kind, message, details)

    def _on_motion_begun(self, event: str, at_us: int) -> None:
        self.pictures.thumbnails.begin(event)
        self.recordings.recorder.begin("motion", at_us, event)

    def _on_link_changed(self, addresses: list[str]) -> None:
        self.broker.on_link_changed(addresses)
        self.sessions.on_link_changed()
        self.health.look_again()

    def _on_connection(self, connected: bool, _words: str) -> None:
        if connected:
            self.service.republish_state()
            self.telling.on_connected()
        self.heartbeat.beat()
        self._note_broker()

    def _note_broker(self) -> None:
        note = BrokerNote(self.broker.connected, self.broker.words)
        self._broker_note.keep(note, time.monotonic(), is_urgent=note.connected)

    def _vitals(self) -> Verdict:
        broker, capture = self.broker, self.capture
        return judge(
            Vitals(
                ended=self._tasks.ended,
                is_connected=broker.connected,
                broker=broker.words,
                camera=capture.state,
                camera_kind=capture.kind,
                problem=capture.problem,
                is_watched=capture.is_watched,
                quiet_s=capture.quiet_s,
                start_s=capture.first_picture_s,
                viewers=len(self.sessions),
                now_unix_s=time.time(),
            )
        )

    def _stand(self) -> Standing:
        capture = self.capture
        return stand(
            __version__, capture.frames, capture.forced_keyframes, is_connected=self.broker.connected
        )

    def _describe(self, stream: StreamName) -> tuple[int, int, str]:
        return len(self.sessions), self.control.bitrate_bps(stream), self.capture.kind

    def _begin_anew(self) -> None:
        self.pictures.stills.begin_anew()

    def _make_stream(self, name: StreamName) -> Stream:
        capture = self.capture
        return Stream(to_rtp_frame, partial(capture.watching, name), partial(capture.request_keyframe, name))

    def _make_allowance(self) -> DataAllowance | None:
        plan, state_dir = self._settings.data_plan, self._settings.device.state_dir
        if plan.monthly_cap_mb is None:
            return None
        return DataAllowance(
            Plan(plan.monthly_cap_mb * 1_000_000, plan.warn_percent / 100, plan.first_day),
            plan.ceiling_bps,
            Ledger(state_dir / "data-usage.json", TypeAdapter(Usage), in_background),
            lambda kind, message: self._on_event(kind, message, {}),
        )

    def _viewers(self) -> int:
        return len(self.sessions)

    def _on_viewers(self) -> None:
        self.uploads.on_viewers()
        self._publish_state()

    def _limits(self) -> dict[StreamName, Limits]:
        ceiling_bps = self.allowance.ceiling_bps if self.allowance else None
        return limits_of(self.capture.expected_formats(), self.capture.most_bps, ceiling_bps)

    def _publish_state(self) -> None:
        self.service.publish_state(self._state())
        self.service.publish_sections(beyond(read_sections(self._sections)))

    def _publish_health(self, health: Health) -> None:
        self.service.publish_health(health)
        self._note_broker()  # what was too early to be written
        self._kept_keys.try_again(time.monotonic())
        if self.allowance:
            self.allowance.keep()
        self._publish_state()  # numbers that change by themselves go as often

    def _state(self) -> State:
        return state_of(
            read_sections(self._sections),
            boot_id=self._boot_id,
            online=True,
            since=self._born,
            understands=UNDERSTANDS,
        )


def _later(seconds: float, act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, act)


async def run_agent(settings: Settings) -> None:
    """`pinhole run`."""
    environ = {**os.environ}
    os.environ.pop("NOTIFY_SOCKET", None)  # the programs that we start shall not speak for us
    check_folder(settings.device.state_dir)
    with taken(settings.device.state_dir):
        remote = RemoteSettings(settings.device.state_dir / FILE, settings)
        while True:
            try:
                wanted = remote.apply()
                logging.getLogger().setLevel(wanted.log.level.upper())
                await Agent(wanted, remote, environ).run()
            except Exception as exc:
                if not remote.is_on_trial:
                    raise
                remote.go_back(f"the agent ended: {exc}")
                log.exception("the agent ended with settings that were tried")
