"""DTLS and SRTP (RFC 5763, RFC 5764), on aiortc's transport, over our own ICE."""

import logging
from collections.abc import Callable
from typing import cast

from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport

from agent.rtc import seams as _seams  # noqa: F401  checks, at import, every private name used below
from agent.rtc.ice import IceConnection

log = logging.getLogger(__name__)


class IceAdapter:
    """What `RTCDtlsTransport` uses of an `RTCIceTransport`."""

    role = "controlled"

    def __init__(self, connection: IceConnection) -> None:
        self._connection = connection

    async def _send(self, data: bytes) -> None:
        await self._connection.send(data)

    async def _recv(self) -> bytes:
        return await self._connection.recv()


class DtlsTransport(RTCDtlsTransport):
    """Hands RTCP on as bytes, because a stray packet must not end the session, and ignores incoming RTP."""

    def __init__(
        self,
        connection: IceConnection,
        certificate: RTCCertificate,
        *,
        is_client: bool,
        on_rtcp: Callable[[bytes], None],
    ) -> None:
        super().__init__(cast("RTCIceTransport", IceAdapter(connection)), [certificate])
        self._set_role("client" if is_client else "server")
        self._on_rtcp = on_rtcp

    def protect_rtp(self, packet: bytes) -> bytes:
        """SRTP (RFC 3711) for one packet of at most 1356 bytes."""
        return self._tx_srtp.protect(packet)

    async def send_rtcp(self, packet: bytes) -> None:
        """Encrypt and send; does nothing once the transport is closed."""
        try:
            await self._send_rtp(packet)
        except ConnectionError:
            log.debug("RTCP after the end of the session is not sent")

    async def _handle_rtcp_data(self, data: bytes) -> None:
        try:
            self._on_rtcp(data)
        except ValueError as exc:
            log.debug("malformed RTCP: %s", exc)

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        """The device receives no media."""


def fingerprint_of(certificate: RTCCertificate) -> str:
    """SHA-256 fingerprint as it stands in SDP (RFC 8122 section 5)."""
    return next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
