"""A file of the device reaches its viewer whole, beside the live picture, and only one who may have it."""

import asyncio
import hashlib
import json
import random

from parts.stock_viewer import device, viewer

NUMBER = "0f" * 16
MAY = {"user": "ann", "permissions": ("watch", "recordings")}


def a_file(tmp_path, size_bytes=600_000):
    file = tmp_path / "export.mp4"
    file.write_bytes(random.Random(5).randbytes(size_bytes))
    return file


async def fetch(one, protocol, *, on_channel=lambda _: None):
    """All that comes over a channel up to its last word."""
    channel, arrived = one.pc.createDataChannel("file", protocol=protocol), asyncio.Queue()
    channel.on("message", arrived.put_nowait)
    on_channel(channel)
    data, words = bytearray(), []
    while not words or words[-1]["type"] == "file":
        async with asyncio.timeout(60):
            message = await arrived.get()
        if isinstance(message, bytes):
            assert len(message) <= 16 * 1024
            data += message
        else:
            words.append(json.loads(message))
    return bytes(data), words


async def test_it_comes_whole_while_the_picture_goes_on(tmp_path):
    async with device() as cam, viewer(cam, **MAY) as one:
        cam.files[NUMBER] = file = a_file(tmp_path)
        await one.connect()
        fetching = asyncio.create_task(fetch(one, f"{NUMBER}@0"))
        while not fetching.done():
            await one.next_frame()
        data, words = await fetching
        assert hashlib.sha256(data).digest() == hashlib.sha256(file.read_bytes()).digest()
        assert words == [{"type": "file", "size_bytes": 600_000}, {"type": "end"}]
        assert cam.sent_bytes >= 600_000, "it counts for the data plan"
        rest, _ = await fetch(one, f"{NUMBER}@500000")
        assert rest == data[500_000:], "what broke off goes on where it was"


async def test_who_may_not_have_it_gets_nothing(tmp_path):
    async with device() as cam, viewer(cam, user="bob", permissions=("watch",)) as one:
        cam.files[NUMBER] = a_file(tmp_path)
        await one.connect()
        data, words = await fetch(one, f"{NUMBER}@0")
        assert (data, words[-1]["code"]) == (b"", "no-file")


async def test_what_is_no_file_is_told(tmp_path):
    async with device() as cam, viewer(cam, **MAY) as one:
        cam.files[NUMBER] = a_file(tmp_path, 100)
        await one.connect()
        for protocol, code in (("", "invalid"), ("../secret@0", "invalid"), (f"{'ab' * 16}@0", "no-file")):
            data, words = await fetch(one, protocol)
            assert (data, words[-1]["code"]) == (b"", code)
        data, words = await fetch(one, f"{NUMBER}@99999")
        assert (data, words[-1]["type"]) == (b"", "end")


async def test_one_at_a_time_and_a_right_that_goes_ends_it(tmp_path):
    async with device() as cam, viewer(cam, **MAY) as one:
        cam.files[NUMBER] = a_file(tmp_path, 4_000_000)
        await one.connect()
        fetching = asyncio.create_task(fetch(one, f"{NUMBER}@0"))
        await one.next_frame()
        _, words = await fetch(one, f"{NUMBER}@0")
        assert words[-1]["code"] == "busy"
        del cam.files[NUMBER]
        _, words = await fetching
        assert words[-1]["code"] == "no-file"
