"""A file to a viewer: of what is there, and never what a link leads to."""

import asyncio
import contextlib
import gc
import json
import threading
from pathlib import Path

import pytest

from agent.rtc.download import Download
from agent.rtc.give_way import Link


class Channel:
    """What a download uses of a data channel; all is taken at once."""

    def __init__(self):
        self.readyState, self.bufferedAmount, self.sent = "open", 0, []

    def on(self, *_):
        pass

    def send(self, message):
        self.sent.append(message)


async def sent(file):
    channel = Channel()
    await Download(channel, lambda: file, 2, Link, lambda _: None).run()
    return channel.sent


async def test_a_file_comes_from_its_offset_on(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"0123456789")
    first, data, last = await sent(tmp_path / "film.mp4")
    assert json.loads(first) == {"type": "file", "size_bytes": 10}
    assert (data, json.loads(last)) == (b"23456789", {"type": "end"})


@pytest.mark.parametrize("link", ["file", "folder"])
async def test_no_link_is_followed(tmp_path, link):
    secret, folder = tmp_path / "secret", tmp_path / "exports"
    secret.mkdir()
    (secret / "film.mp4").write_bytes(b"secret")
    if link == "folder":
        folder.symlink_to(secret)
    else:
        folder.mkdir()
        (folder / "film.mp4").symlink_to(secret / "film.mp4")
    [only] = await sent(folder / "film.mp4")
    assert json.loads(only)["code"] == "no-file"


async def test_a_file_that_is_found_after_its_viewer_has_gone_is_closed(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"0123456789")
    gate, begun = threading.Event(), threading.Event()

    def find():
        begun.set()
        gate.wait(60.0)
        return film

    task = asyncio.create_task(Download(Channel(), find, 0, Link, lambda _: None).run())
    await asyncio.sleep(0)
    begun.wait(60.0)
    [thread] = [one for one in threading.enumerate() if one.name == "download"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    thread.join(60.0)
    await asyncio.sleep(0)
    del task, thread
    gc.collect()
    assert film not in open_files()


def open_files():
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            yield descriptor.readlink()
