"""One viewer: ICE, DTLS, the data channel, and the lane that carries its frames."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtcsctptransport import RTCSctpCapabilities

from agent.errors import NegotiationError
from agent.model.media import StreamName
from agent.model.signal import IceServer
from agent.model.tasks import TaskGroup
from agent.rtc import channel, rtcp
from agent.rtc.alarm import Alarm
from agent.rtc.answer import Local, Offer, Ssrcs, encode_answer
from agent.rtc.burst import SendBurst
from agent.rtc.ccfb import Ecn
from agent.rtc.data import DataChannels, FindFile, OpenOwnStick
from agent.rtc.ecn import Marking
from agent.rtc.give_way import Link
from agent.rtc.ice import IceConnection
from agent.rtc.inbox import Inbox
from agent.rtc.lane import Lane
from agent.rtc.pool import Take
from agent.rtc.sctp import DataTransport
from agent.rtc.sender import RtpSender
from agent.rtc.sound import Sound, TakePacket, read_packet
from agent.rtc.transport import DtlsTransport, IceTransport, fingerprint_of
from agent.rtc.twcc import TransportNumbers
from agent.rtc.viewing import Playback, Viewing

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 1.0
SILENCE_S, SOON_S = 2.5, 1.2
"""A viewer that gets video reports once a second; of arrivals 16 times, and is missed sooner."""


Describe = Callable[[StreamName], tuple[int, int, str]]
"""Viewers in all, a stream's encoder bitrate in bits a second, kind of camera."""


class Peer:
    """One session with one viewer, from its offer to its end."""

    def __init__(
        self,
        offer: Offer,
        ice_servers: Sequence[IceServer],
        *,
        relay_only: bool,
        certificate: RTCCertificate,
        viewing: Viewing,
        playback: Playback | None,
        sound: Sound | None,
        describe: Describe,
        alarm: Alarm,
        command: channel.RunCommand,
        open_stick: OpenOwnStick,
        find_file: FindFile,
        on_sent: Callable[[int], None],
        on_candidate: Callable[[str], None],
        on_silence: Callable[[], None],
    ) -> None:
        """`on_silence` is called, every few seconds, while we send and hear nothing of the viewer."""
        self._offer = offer
        self._certificate = certificate
        self._viewing = viewing
        self._playback = playback
        self._sound = sound
        self._describe = describe
        self._alarm = alarm
        self._command = command
        self._data = DataChannels(self._reply, open_stick, find_file, self._link, on_sent)
        self._on_sent = on_sent
        self._on_candidate = on_candidate
        self._on_silence = on_silence
        self._heard_s = self._complained_s = 0.0
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._server_errors: dict[str, str] = {}
        self._newest = self._make_ice(offer, ice_servers, relay_only=relay_only)
        self._ice = IceTransport(self._newest)
        self._dtls = DtlsTransport(
            self._ice,
            certificate,
            is_client=offer.is_dtls_client,
            on_rtcp=self._on_rtcp,
            on_rtp=self._on_rtp if any(media.is_taken for media in offer.media) else None,
        )
        self._inbox = Inbox(self._dtls.take_srtp)
        self._sctp: DataTransport | None = None
        self._marking = Marking() if offer.video.has_ccfb else None
        numbers = self._marking.ledger if self._marking else TransportNumbers()
        cname = secrets.token_hex(8)
        self._senders = {
            media.medium: RtpSender(media, self._dtls, numbers, cname)
            for media in offer.media
            if media.is_sent
        }
        self._sender = self._senders["video"]
        self._takers: dict[int, TakePacket] = {}
        self._lane: Lane | None = None
        self._bitrate_bps = self._sent_bps = 0
        self._reference: tuple[rtcp.ReferenceTime, int] | None = None  # and when it came
        self._started_s = time.monotonic()
        # Sender reports need wall time. Taken once: a later step of the clock must not look like a jump.
        self._unix_anchor_ns = time.time_ns() - time.monotonic_ns()

    async def answer(self, addresses: Sequence[str], take: Take) -> str:
        """The SDP that answers the newest offer, with host candidates for `addresses`; the rest trickles.

        What `take` has for an address is used, and its public address stands in the answer too.
        """
        offer, connection = self._offer, self._newest
        candidates = await connection.gather_host(addresses, take)
        for line in offer.candidates:
            connection.add_remote(line)
        local = Local(
            ice_ufrag=connection.local_username,
            ice_pwd=connection.local_password,
            fingerprint=fingerprint_of(self._certificate),
            candidates=candidates,
            ssrcs={
                medium: Ssrcs(sender.ssrc, sender.rtx_ssrc, sender.fec_ssrc)
                for medium, sender in self._senders.items()
            },
            cname=self._sender.cname,
        )
        return encode_answer(offer, local)

    def begin_restart(self, offer: Offer, ice_servers: Sequence[IceServer], *, relay_only: bool) -> None:
        """Take an ICE restart (RFC 8839 section 4.4.1.1.1); candidates that come from now on are for it.

        Raises NegotiationError where the offer is of another stream or another viewer.
        """
        before = self._offer
        if (offer.media, offer.data, offer.dtls) != (before.media, before.data, before.dtls):
            raise NegotiationError("not-a-restart", "only ICE may change within a session: make a new one")
        self._offer = offer
        if self._newest is not self._ice.active:  # a restart that was overtaken by this one
            self._ice.retire(self._newest)
        self._newest = self._make_ice(offer, ice_servers, relay_only=relay_only)

    async def finish_restart(self, timeout_s: float) -> bool:
        """Move to the newest connection; False where it found no path and the old one stays."""
        connection = self._newest
        connection.gather_servers()
        try:
            async with asyncio.timeout(timeout_s):
                await self._ice.replace(connection)
        except (TimeoutError, ConnectionError):
            return False
        self._log_path("moved")
        self.want_keyframe()
        return True

    @property
    def is_streaming(self) -> bool:
        """Whether ICE has connected the viewer once."""
        return self._lane is not None

    def add_candidate(self, line: str) -> None:
        """One more candidate of the viewer's; empty for end-of-candidates."""
        if line:
            self._newest.add_remote(line)

    def want_keyframe(self) -> None:
        """For this viewer; the encoder's owner limits how often."""
        if self._lane is not None:
            self._lane.control.want_keyframe()

    def end(self, reason: str) -> None:
        """Ask `run` to return; the first reason stays. What the viewer moved is let go at once."""
        self._data.close()
        if not self._ended.done():
            self._ended.set_result(reason)

    async def run(self, connect_timeout_s: float) -> str:
        """Connect and send until the session ends; the reason, in words for the viewer."""
        self._newest.gather_servers()
        with ExitStack() as subscription:
            connecting = asyncio.create_task(self._connect(subscription), name="connect")
            try:
                async with asyncio.timeout(connect_timeout_s):
                    await asyncio.wait((connecting, self._ended), return_when=asyncio.FIRST_COMPLETED)
                    if self._ended.done():
                        return self._ended.result()
                    await connecting
            except TimeoutError:
                return self._explain(f"no path was found within {connect_timeout_s:.0f} s")
            except ConnectionError as exc:
                return self._explain(str(exc))
            finally:
                connecting.cancel()
            return await self._stream_until_ended()

    async def close(self) -> None:
        """Release everything within about a second, whatever the viewer and the servers do."""
        self.end("closed")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if self._sctp is not None:
                    await self._sctp.stop()
                for sender in self._senders.values():
                    if sender.counters.packets:
                        await self._dtls.send_rtcp(rtcp.encode_bye(sender.ssrc))
                await self._dtls.stop()
        except (TimeoutError, ConnectionError) as exc:
            log.debug("goodbye was not sent: %r", exc)
        await self._ice.close()

    def stats(self) -> channel.Stats:
        """The stream as the device sees it."""
        path = self._ice.active.path()
        viewing = self._viewing
        viewers, encoder_bps, camera_kind = self._describe(viewing.stream)
        lane = self._lane
        rtt_s = lane.rtt_s if lane else None
        return channel.Stats(
            stream=viewing.stream,
            wanted=viewing.wanted,
            path=path.local if path else None,
            relay=path.relay or None if path else None,
            bitrate_bps=self._bitrate_bps,
            sent_bps=self._sent_bps,
            target_bps=lane.control.target_bps(time.monotonic_ns()) if lane else None,
            queue_ms=lane.control.queue_ms if lane else None,
            rtt_ms=None if rtt_s is None else round(rtt_s * 1000, 1),
            loss=lane.loss if lane else None,
            sent_frames=self._sender.counters.frames,
            dropped_frames=lane.control.dropped_frames if lane else 0,
            resent_packets=self._sender.counters.resent_packets,
            viewers=viewers,
            encoder_bps=encoder_bps,
            camera_kind=camera_kind,
            uptime_s=round(time.monotonic() - self._started_s, 1),
            playback=self._playback.standing() if self._playback else None,
        )

    # ---- connecting

    async def _connect(self, subscription: ExitStack) -> None:
        await self._ice.active.connect()
        # Before DTLS, whose round trips are enough for the encoder to make the keyframe to begin with.
        sound = self._senders.get("audio")
        catch_up = self._inbox.catch_up
        self._lane = Lane(
            self._viewing.lane, self._sender, self._route, self._alarm, sound, catch_up, self._marking
        )
        self._inbox.can_wait = self._lane.can_wait
        subscription.enter_context(self._viewing.streaming(self._lane.push))
        if self._sound:
            self._join_sound(self._sound, self._lane, subscription)
        self._dtls.on("statechange", self._on_dtls_state)
        if self._offer.data is not None:
            self._sctp = DataTransport(self._dtls)
            self._sctp.on("datachannel", self._data.on_channel)
        await self._dtls.start(self._offer.dtls)
        if self._dtls.state != "connected":
            raise ConnectionError("the DTLS handshake failed")

    def _join_sound(self, sound: Sound, lane: Lane, subscription: ExitStack) -> None:
        for media in self._offer.media:
            if media.medium == "audio" and media.is_sent and sound.reading:
                subscription.enter_context(sound.reading(lane.push_sound))
            if media.medium == "audio" and media.is_taken and sound.receiving:
                self._takers[media.payload_type] = subscription.enter_context(sound.receiving())

    def _make_ice(self, offer: Offer, servers: Sequence[IceServer], *, relay_only: bool) -> IceConnection:
        connection = IceConnection(
            servers,
            relay_only=relay_only,
            on_candidate=self._on_candidate,
            on_server_error=self._note_server_error,
            on_srtp=self._on_srtp,
        )
        connection.remote_username, connection.remote_password = offer.ice_ufrag, offer.ice_pwd
        connection.remote_is_lite = offer.ice_lite
        return connection

    def _log_path(self, what: str) -> None:
        if path := self._ice.active.path():
            log.info("viewer %s: %s to %s %s", what, path.local, path.remote, path.relay)

    def _route(self) -> SendBurst | None:
        ice, marking = self._ice.active, self._marking
        return ice.route(marking.follow(ice.direct_path(), time.monotonic_ns()) if marking else Ecn.NOT_ECT)

    def _on_dtls_state(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            self.end("the connection was lost")

    def _note_server_error(self, url: str, message: str) -> None:
        log.warning("ICE server %s: %s", url, message)
        self._server_errors[url] = message

    def _explain(self, reason: str) -> str:
        errors = self._newest.forbidden | self._server_errors
        servers = "; ".join(f"{url}: {message}" for url, message in errors.items())
        return f"{reason} ({servers})" if servers else reason

    async def _stream_until_ended(self) -> str:
        self._log_path("connected")
        assert self._lane is not None
        self._heard_s = time.monotonic()
        async with TaskGroup() as group:
            tasks = [
                group.create_task(self._lane.run(), name="lane"),
                group.create_task(self._report(), name="reports"),
                group.create_task(self._listen(), name="listen"),
            ]
            if self._playback:
                tasks.append(group.create_task(self._playback.run(), name="playback"))
            await self._start_data()
            reason = await self._ended
            for task in tasks:
                task.cancel()
        return reason

    async def _start_data(self) -> None:
        if self._sctp is None or self._offer.data is None:
            return
        data = self._offer.data
        try:
            await self._sctp.start(RTCSctpCapabilities(data.max_message_bytes), data.sctp_port)
        except ConnectionError as exc:  # the session is ending: `_ended` says why
            log.debug("data channel did not start: %s", exc)

    async def _report(self) -> None:
        media_before = bytes_before = 0
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            counters = [sender.counters for sender in self._senders.values()]
            media, sent = (sum(c.payload_bytes for c in counters), sum(c.sent_bytes for c in counters))
            self._bitrate_bps = int((media - media_before) * 8 / REPORT_INTERVAL_S)
            self._sent_bps = int((sent - bytes_before) * 8 / REPORT_INTERVAL_S)
            self._on_sent(sent - bytes_before)
            media_before, bytes_before = media, sent
            now_ns = time.monotonic_ns()
            for sender in self._senders.values():
                report = sender.sender_report(now_ns, now_ns + self._unix_anchor_ns)
                if report is not None:
                    await self._dtls.send_rtcp(report)
            if self._reference is not None:
                (reference, came_ns), self._reference = self._reference, None
                waited_ns = time.monotonic_ns() - came_ns
                await self._dtls.send_rtcp(rtcp.encode_dlrr(self._sender.ssrc, reference, waited_ns))

    def _link(self) -> Link:
        return self._lane.link if self._lane else Link()

    def _want_stream(self, name: StreamName) -> None:
        self._viewing.wanted = name

    async def _listen(self) -> None:
        is_prompt = self._marking is not None or "transport-cc" in self._offer.video.feedback
        while True:
            patience_s = SOON_S if is_prompt and self._complained_s < self._heard_s else SILENCE_S
            now_s = time.monotonic()
            left_s = max(self._heard_s, self._complained_s) + patience_s - now_s
            if left_s <= 0 and self._bitrate_bps:
                self._complained_s = now_s
                self._on_silence()
            await asyncio.sleep(left_s if 0 < left_s < SOON_S else SOON_S)

    def _on_srtp(self, packet: bytes) -> None:
        self._inbox.take(packet)

    def _on_rtcp(self, data: bytes) -> None:
        now_ns = self._inbox.at_ns
        self._heard_s, unix_ns = now_ns / 1e9, now_ns + self._unix_anchor_ns
        for feedback in rtcp.parse(data):
            if isinstance(feedback, rtcp.ReferenceTime):
                self._reference = feedback, now_ns  # only the newest is worth an answer
            elif self._lane is not None:
                self._lane.on_feedback(feedback, now_ns, unix_ns)

    def _on_rtp(self, data: bytes) -> None:
        payload_type, packet = read_packet(data)
        if take := self._takers.get(payload_type):
            take(packet)

    def _reply(self, message: str | bytes, later: Callable[[str], None]) -> str | None:
        return channel.reply(
            message,
            unix_ms=time.time() * 1000,
            stats=self.stats,
            request_keyframe=self.want_keyframe,
            want_stream=self._want_stream,
            command=self._command,
            later=later,
        )
