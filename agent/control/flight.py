"""What is on its way to one viewer: packets sent, and what the viewer's feedback says of them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_PACKETS = 8192
"""A quarter of the 16-bit numbers and 20 s at 4 Mb/s: what is older will not be reported any more."""


@dataclass(slots=True)
class SentPacket:
    """One packet, from its departure until feedback tells its fate."""

    seq: int
    size_bytes: int
    sent_ns: int
    probe: int | None
    """The probe cluster that it belongs to."""
    arrival_us: int = 0
    """By the viewer's clock, never starting over; set once it has arrived."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one report settles, in the order of departure."""

    received: list[SentPacket]
    lost: list[SentPacket]
    unknown: list[SentPacket]
    """Older than the report and never reported on: the feedback about them was lost."""


class Flight:
    """Packets in flight, by their transport-wide sequence number modulo 2**16."""

    def __init__(self) -> None:
        self._packets: dict[int, SentPacket] = {}  # in the order of departure
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._packets)

    def oldest_sent_ns(self) -> int | None:
        """When the oldest packet in flight left."""
        oldest = next(iter(self._packets.values()), None)
        return None if oldest is None else oldest.sent_ns

    def on_sent(self, packet: SentPacket) -> None:
        """Note a departure; forgets the oldest beyond the bound."""
        self._remove(packet.seq)
        while len(self._packets) >= MAX_PACKETS:
            self._remove(next(iter(self._packets)))
        self._packets[packet.seq] = packet
        self.bytes += packet.size_bytes

    def on_feedback(self, arrivals: Iterable[tuple[int, int | None]]) -> Outcome:
        """Settle what a report covers; numbers that are not in flight are passed over."""
        received: list[SentPacket] = []
        lost: list[SentPacket] = []
        for seq, arrival_us in arrivals:
            packet = self._remove(seq)
            if packet is None:
                continue
            if arrival_us is None:
                lost.append(packet)
            else:
                packet.arrival_us = arrival_us
                received.append(packet)
        first_ns = min((packets[0].sent_ns for packets in (received, lost) if packets), default=0)
        return Outcome(received, lost, self._take_older(first_ns))

    def _take_older(self, sent_ns: int) -> list[SentPacket]:
        older: list[SentPacket] = []
        for packet in self._packets.values():
            if packet.sent_ns >= sent_ns:
                break
            older.append(packet)
        for packet in older:
            self._remove(packet.seq)
        return older

    def _remove(self, seq: int) -> SentPacket | None:
        packet = self._packets.pop(seq, None)
        if packet is not None:
            self.bytes -= packet.size_bytes
        return packet
