"""What a viewer says of the packets that it takes, as Chromium says it: RTCP, without the agent's code."""

import struct


def transport_seq(packet, extension_id):
    """The transport-wide number, from one-byte header extensions (RFC 8285 section 4.2); None without one."""
    if not packet[0] & 0x10:
        return None
    at, end = 16, 16 + 4 * int.from_bytes(packet[14:16], "big")
    while at < end:
        number, length = packet[at] >> 4, (packet[at] & 15) + 1
        if number == extension_id:
            return int.from_bytes(packet[at + 1 : at + 3], "big")
        at += 1 + length if number else 1
    return None


class Reports:
    """Of one stream to one viewer."""

    def __init__(self, extension_id):
        self.ssrc = 0
        self._extension_id = extension_id
        self._arrivals = {}
        self._base = None
        self._count = 0

    def note(self, packet, at_us):
        """A packet arrived."""
        (self.ssrc,) = struct.unpack_from("!I", packet, 8)
        seq = transport_seq(packet, self._extension_id)
        if seq is not None:
            self._arrivals[seq] = at_us

    def receiver_report(self):
        """Nothing is lost."""
        return struct.pack("!BBHI6I", 0x81, 201, 7, 1, self.ssrc, 0, 0, 0, 0, 0)

    def remb(self):
        """A link that carries all."""
        exponent, mantissa = 8, 20_000_000 >> 8
        bps = struct.pack("!BBH", 1, exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
        return struct.pack("!BBHII4s", 0x8F, 206, 5, 1, 0, b"REMB") + bps + struct.pack("!I", self.ssrc)

    def feedback(self):
        """Of all that arrived since the last one, transport-wide; None where nothing did."""
        arrivals, self._arrivals = self._arrivals, {}
        if not arrivals:
            return None
        first, last = next(iter(arrivals)), next(reversed(arrivals))
        base = first if self._base is None else self._base
        self._base = last + 1 & 0xFFFF
        seqs = [base + i & 0xFFFF for i in range((last - base & 0xFFFF) + 1)]
        reference = arrivals[first] // 64_000
        symbols, deltas, before_us = [], b"", reference * 64_000
        for seq in seqs:
            at_us = arrivals.get(seq)
            if at_us is None:
                symbols.append(0)
                continue
            delta = (at_us - before_us) // 250
            before_us += delta * 250
            symbols.append(1 if 0 <= delta < 256 else 2)
            deltas += struct.pack("!B" if symbols[-1] == 1 else "!h", delta)
        chunks = b""
        for start in range(0, len(symbols), 7):
            word = 0xC000
            for place, symbol in enumerate(symbols[start : start + 7]):
                word |= symbol << (12 - 2 * place)
            chunks += struct.pack("!H", word)
        word = (reference & 0xFFFFFF) << 8 | self._count
        body = struct.pack("!IIHHI", 1, self.ssrc, base, len(seqs), word)
        self._count = self._count + 1 & 0xFF
        body += chunks + deltas
        body += bytes(-len(body) % 4)
        return struct.pack("!BBH", 0x8F, 205, len(body) // 4) + body
