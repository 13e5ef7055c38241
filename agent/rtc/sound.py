"""Sound beside the picture: what a viewer hears, and what it says. The device need have neither."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aiortc.rtp import RtpPacket

from agent.model.media import MediaPacket, RtpFrame
from agent.rtc.codecs import Direction

TakePacket = Callable[[MediaPacket], None]
"""Takes what one viewer sends, as it comes: out of order, with gaps, as much as it likes. Returns at once."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the agent has of it, for all viewers; at least one of the two."""

    reading: Callable[[Callable[[RtpFrame], None]], AbstractContextManager[None]] | None = None
    """Frames of the microphone go to a viewer for the length of the block."""
    receiving: Callable[[], AbstractContextManager[TakePacket]] | None = None
    """Who takes the Opus packets of one viewer for the length of the block."""

    @property
    def direction(self) -> Direction:
        """Ours."""
        if self.receiving is None:
            return "sendonly"
        return "recvonly" if self.reading is None else "sendrecv"


def read_packet(data: bytes) -> tuple[int, MediaPacket]:
    """A viewer's RTP packet (RFC 3550 section 5.1), and its payload type. Raises ValueError."""
    packet = RtpPacket.parse(data)
    return packet.payload_type, MediaPacket(packet.sequence_number, packet.timestamp, packet.payload)
