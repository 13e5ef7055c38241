"""WebSocket frames of a signed-in browser, from the bytes on the wire to the gateway."""

import asyncio
import struct

from aiohttp._websocket.models import WebSocketError, WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.base_protocol import BaseProtocol
from fuzz.gateway import World
from fuzz.loop import run
from fuzz.target import Target

from agent.portal.messages import MAX_MESSAGE_BYTES


def check(data: bytes) -> None:
    """Text of at most 64 KiB, or an error of WebSocket; the gateway raises nothing on any of it."""
    run(_check(data))


async def _check(data: bytes) -> None:
    loop = asyncio.get_running_loop()
    queue = WebSocketDataQueue(BaseProtocol(loop), MAX_MESSAGE_BYTES, loop=loop)
    reader = WebSocketReader(queue, MAX_MESSAGE_BYTES, compress=False, decode_text=True)
    world = World()
    half = len(data) // 2  # the wire cuts where it likes
    reader.feed_data(data[:half])
    reader.feed_data(data[half:])
    while queue._buffer:
        message = await queue.read()
        if message.type is WSMsgType.TEXT:
            assert len(message.data.encode()) <= MAX_MESSAGE_BYTES
            world.say(0, message.data)
    error = queue.exception()
    assert error is None or isinstance(error, WebSocketError), error
    world.check()


def _frame(payload: bytes, opcode: int = 1, final: bool = True) -> bytes:
    head = struct.pack("!B", (0x80 if final else 0) | opcode)
    length = len(payload)
    head += struct.pack("!B", 0x80 | length) if length < 126 else struct.pack("!BH", 0x80 | 126, length)
    return head + bytes(4) + payload  # a mask of zeros leaves the payload readable for the fuzzer


def seeds() -> list[bytes]:
    """Text, fragments, control frames, and lengths that lie."""
    offer = b'{"type":"offer","session":"' + b"a" * 32 + b'","device":"front","sdp":"v=0"}'
    return [
        _frame(offer) + _frame(b'{"type":"ping"}'),
        _frame(offer[:20], final=False) + _frame(b"", 9) + _frame(offer[20:], 0),
        _frame(b"\x03\xe8bye", 8),
        b"\x81\xff" + struct.pack("!Q", 2**63 - 1),
        b"\x81\x7f" + struct.pack("!Q", 70_000) + bytes(30),
        _frame(b"\xff\xfe"),
    ]


TARGET = Target("websocket", "WebSocket frames: a signed-in browser.", check, seeds)
