"""Datagrams that ICE hands on: DTLS records, and SRTP and SRTCP under the viewer's keys."""

import asyncio
import functools
from collections.abc import Callable

from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport, State
from fuzz.loop import run
from fuzz.target import Target, join, steps
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from agent.rtc import rtcp
from agent.rtc.sound import read_packet
from agent.rtc.transport import DtlsTransport

KEY = bytes(range(30))
MAX_STEPS = 16


class _Ice:
    """Hands on what it was given as an ICE connection does, then ends as a closed one."""

    role = "controlled"

    def __init__(self, incoming: list[bytes]) -> None:
        self._incoming = incoming
        self.sent: list[bytes] = []
        self.on_srtp: Callable[[bytes], None] = lambda _: None

    async def _recv(self) -> bytes:
        while self._incoming:
            packet = self._incoming.pop(0)
            if not 127 < packet[0] < 192:
                return packet
            self.on_srtp(packet)
        raise ConnectionError

    async def _send(self, data: bytes) -> None:
        self.sent.append(data)


@functools.cache
def _certificate() -> RTCCertificate:
    return RTCCertificate.generateCertificate()


def _session(direction: int) -> Session:
    return Session(Policy(key=KEY, ssrc_type=direction))


def check(data: bytes) -> None:
    """No datagram ends the session but a goodbye of DTLS itself; all are read."""
    run(_check(data))


async def _check(data: bytes) -> None:
    ours, theirs = _session(Policy.SSRC_ANY_INBOUND), _session(Policy.SSRC_ANY_OUTBOUND)
    incoming = [_protected(theirs, step[:1] or b"\0", step[1:]) for step in list(steps(data))[:MAX_STEPS]]
    heard: list[bytes] = []

    def on_rtcp(packet: bytes) -> None:
        heard.append(packet)
        for _ in rtcp.parse(packet):
            pass

    ice = _Ice([packet for packet in incoming if packet])
    dtls = DtlsTransport(
        ice,  # type: ignore[arg-type]
        _certificate(),
        is_client=False,
        on_rtcp=on_rtcp,
        on_rtp=lambda packet: heard.append(read_packet(packet)[1].payload),
    )
    dtls._rx_srtp = ours
    ice.on_srtp = dtls.take_srtp
    handshake = asyncio.create_task(_start(dtls))
    await handshake
    # Before the handshake is over nothing is signed: then an alert of the viewer's address ends it.
    assert not ice._incoming or any(b"\x15" in packet for packet in incoming)
    assert len(heard) <= len(incoming)


async def _start(dtls: DtlsTransport) -> None:

    dtls._ssl = SSL.Connection(_certificate()._create_ssl_context(srtp_profiles=dtls._srtp_profiles))
    dtls._ssl.set_accept_state()
    dtls._set_state(State.CONNECTING)
    while True:
        try:
            await dtls._recv_next()
        except ConnectionError:
            return


def _protected(session: Session, kind: bytes, packet: bytes) -> bytes:
    """As it is, or under the viewer's keys, as the first byte says."""
    if kind[0] & 3 == 0 or len(packet) < 12 or len(packet) > 1400:
        return packet
    try:
        return session.protect_rtcp(packet) if kind[0] & 1 else session.protect(packet)
    except Exception:  # noqa: BLE001  libsrtp protects well-formed packets alone
        return packet


def seeds() -> list[bytes]:
    """RTP with extensions, RTCP, and the first flight of a DTLS client."""
    rtp = bytes.fromhex("9060000100000001000000aabede0001100000007f000000") + bytes(20)
    report = rtcp.encode_bye(1) + rtcp.encode_sender_report(1, 10**18, 1, 1, 1, "c")

    client = SSL.Connection(
        _certificate()._create_ssl_context(
            srtp_profiles=RTCDtlsTransport(
                _Ice([]),
                [_certificate()],  # type: ignore[arg-type]
            )._srtp_profiles
        )
    )
    client.set_connect_state()
    try:
        client.do_handshake()
    except SSL.WantReadError:
        hello = client.bio_read(1500)
    return [
        join(b"\2" + rtp, b"\1" + report, b"\0" + rtp, b"\0" + report),
        join(b"\0" + hello, b"\0" + hello, b"\0\x16\xfe\xfd", b"\0\x80", b"\0"),
        join(b"\0\x15\xfe\xfd\0\0\0\0\0\0\0\0\0\2\1\0", b"\0\x14", b"\0\xff", b"\0\x80\xc8" + bytes(1300)),
    ]


TARGET = Target("dtls", "DTLS, SRTP and SRTCP datagrams: the viewer.", check, seeds, max_bytes=8192)
