"""A file to a viewer: of what is there, and never what a link leads to."""

import json

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
