"""A mobile link on loopback: so much a second and so far away, in front of any TCP server."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 1460
MAX_CHUNKS = 256
"""In flight on each way of a connection; a sender beyond it waits, as for a window."""


class _Way:
    """One way of the link, shared by all connections: its rate, then half the round trip."""

    def __init__(self, rate_bps, delay_s):
        self._rate_bps = rate_bps
        self._delay_s = delay_s
        self._free_at = 0.0

    def arrival(self, size):
        self._free_at = max(time.monotonic(), self._free_at) + size * 8 / self._rate_bps
        return self._free_at + self._delay_s

    async def carry(self, reader, writer):
        queue = asyncio.Queue(MAX_CHUNKS)

        async def deliver():
            while chunk := await queue.get():
                due, data = chunk
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(deliver())
            while data := await reader.read(CHUNK_BYTES):
                await queue.put((self.arrival(len(data)), data))
            await queue.put(None)


@asynccontextmanager
async def paced(port, *, rate_bps=1_600_000, round_trip_s=0.15):
    """Yield a port that leads to `port` over the link; each connection costs a round trip of its own."""
    up, down = _Way(rate_bps, round_trip_s / 2), _Way(rate_bps, round_trip_s / 2)
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await asyncio.sleep(round_trip_s)  # the handshake: loopback's own is over at once
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ExceptionGroup):  # either end broke the connection
                async with asyncio.TaskGroup() as group:
                    group.create_task(up.carry(reader, far_writer))
                    group.create_task(down.carry(far_reader, writer))
            far_writer.close()
        finally:
            writer.close()
            tasks.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
