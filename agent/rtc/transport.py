"""DTLS and SRTP (RFC 5763, RFC 5764), on aiortc's transport, over our own ICE."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import cast

from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from aiortc.rtp import is_rtcp
from OpenSSL import SSL
from pylibsrtp._binding import ffi, lib

from agent.rtc import seams as _seams  # noqa: F401  checks, at import, every private name used below
from agent.rtc.edge import Refusals
from agent.rtc.ice import IceConnection

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 16 * 1024
"""RFC 9147 section 4.1: of plain text."""
MAX_SOURCES = 64
"""A viewer has one for each medium, and perhaps as many again after a change."""
MAX_RTP_BYTES, MAX_TRAILER_BYTES = 1356, 144  # SRTP_MAX_TRAILER_LEN of libsrtp 2


class IceTransport:
    """The ICE connection in use, and the one that an ICE restart (RFC 8445 section 9) puts in its place.

    It has what `RTCDtlsTransport` uses of an `RTCIceTransport`: DTLS and SRTP live on over a restart.
    """

    role = "controlled"

    def __init__(self, connection: IceConnection) -> None:
        self.active = connection
        self._next: IceConnection | None = None
        self._settled = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()
        self._closed = False

    async def replace(self, connection: IceConnection) -> None:
        """Connect the new one; the old one serves until then. Cancelled, the old one stays.

        Raises ConnectionError where a newer one took its place, or the session is over.
        """
        if self._next is not None:
            await self._next.close()
        if self._closed:
            await connection.close()
            raise ConnectionError("the session is over")
        self._next = connection
        self._settled.clear()
        try:
            await connection.connect()
        except BaseException:
            await connection.close()
            raise
        else:
            old, self.active = self.active, connection
            self.retire(old)
        finally:
            if self._next is connection:
                self._next = None
                self._settled.set()

    def retire(self, connection: IceConnection) -> None:
        """Close one that is not needed; in the background, for its TURN server may no longer hear us."""
        task = asyncio.create_task(connection.close(), name="retired path")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Close what is there, within about a second."""
        self._closed = True
        closing = [one.close() for one in (self._next, self.active) if one is not None]
        await asyncio.gather(*closing, *self._retiring)

    async def _send(self, data: bytes) -> None:
        try:
            await self.active.send(data)
        except ConnectionError:
            # Lost, as any datagram may be: SCTP and DTLS send again, perhaps over the next connection.
            log.debug("nothing is connected: a datagram is dropped")

    async def _recv(self) -> bytes:
        while True:
            connection = self.active
            try:
                return await connection.recv()
            except ConnectionError:
                if connection is self.active:
                    if self._next is None:
                        raise
                    await self._settled.wait()


class DtlsTransport(RTCDtlsTransport):
    """DTLS by way of `ice`; SRTP comes by `take_srtp` and is sealed by `seal`, whose sender knows a way."""

    def __init__(
        self,
        ice: IceTransport,
        certificate: RTCCertificate,
        *,
        is_client: bool,
        on_rtcp: Callable[[bytes], None],
        on_rtp: Callable[[bytes], None] | None = None,
    ) -> None:
        """`on_rtp` takes what the viewer sends; without it, that is not even decrypted."""
        super().__init__(cast("RTCIceTransport", ice), [certificate])
        self._set_role("client" if is_client else "server")
        # Counter mode first: on a CPU without AES instructions (Pi 4 and older) it is the cheapest.
        self._srtp_profiles = sorted(
            SRTP_PROFILES, key=lambda profile: b"_CM_" not in profile.openssl_profile
        )
        self._on_rtcp, self._on_rtp = on_rtcp, on_rtp
        self._sources: set[bytes] = set()
        self._refusals = Refusals("packet of a viewer")
        self._packet, self._size = ffi.new("char[]", MAX_RTP_BYTES + MAX_TRAILER_BYTES), ffi.new("int *")
        self.buffer = ffi.buffer(self._packet)
        """Where `seal` finds a packet."""

    def seal(self, written: Iterable[int]) -> list[bytes]:
        """SRTP (RFC 3711) for packets of at most 1356 bytes; each step writes one into `buffer`.

        It gives the packet's size. The header stays there.
        """
        # pylibsrtp's own `protect`, without its allocation, copies and checks a packet.
        session, protect = self._tx_srtp._srtp[0], lib.srtp_protect  # noqa: SLF001
        packet, length, buffer = self._packet, self._size, self.buffer
        sealed: list[bytes] = []
        for size in written:
            if size > MAX_RTP_BYTES:
                raise ValueError(f"an RTP packet of {size} bytes is too long")
            length[0] = size
            if error := protect(session, packet, length):
                raise ConnectionError(f"SRTP failed with code {error}")
            sealed.append(buffer[: length[0]])  # a slice of it is bytes
        return sealed

    def take_srtp(self, packet: bytes) -> None:
        """Hand RTCP on, and RTP where somebody takes it, once there are keys. Never raises."""
        session = self._rx_srtp
        if session is None:
            return
        try:
            if is_rtcp(packet):
                self._on_rtcp(self._open(session.unprotect_rtcp, packet, packet[4:8]))
            elif self._on_rtp is not None:
                self._on_rtp(self._open(session.unprotect, packet, packet[8:12]))
        except Exception as exc:  # noqa: BLE001  a stray packet must not end the session
            self._refusals.note(exc)

    def _open(self, unprotect: Callable[[bytes], bytes], packet: bytes, source: bytes) -> bytes:
        """Decrypt; libsrtp remembers each source of a valid packet for ever, and looks through them all."""
        is_new = source not in self._sources
        if is_new and len(self._sources) >= MAX_SOURCES:
            raise ValueError(f"the viewer sends as more than {MAX_SOURCES} sources")
        opened = unprotect(packet)
        if is_new:
            self._sources.add(source)
        return opened

    async def send_rtcp(self, packet: bytes) -> None:
        """Encrypt and send; does nothing once the transport is closed."""
        try:
            await self._send_rtp(packet)
        except ConnectionError:
            log.debug("RTCP after the end of the session is not sent")

    async def _recv_next(self) -> None:
        with self._refusals.guarded():
            await super()._recv_next()
            await self._read_rest()

    async def _read_rest(self) -> None:
        """Read what is left in OpenSSL: a datagram may hold several records, of which aiortc reads one."""
        while self._ssl is not None and self.encrypted:
            try:
                data = self._ssl.recv(MAX_RECORD_BYTES)
            except SSL.ZeroReturnError as exc:
                raise ConnectionError("the viewer closed DTLS") from exc
            except SSL.Error:
                return
            if self._data_receiver is not None:
                await self._data_receiver._handle_data(data)  # noqa: SLF001


def fingerprint_of(certificate: RTCCertificate) -> str:
    """SHA-256 fingerprint as it stands in SDP (RFC 8122 section 5)."""
    return next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
