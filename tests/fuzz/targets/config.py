"""`pinhole.toml`, and the files of secrets."""

import functools
import tempfile
from pathlib import Path

from fuzz.target import Target

from agent.config import Settings, load, read_secret
from agent.config.document import example
from agent.errors import ConfigError

MAX_WORDS_PER_BYTE = 200


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pinhole-fuzz-")


def check(data: bytes) -> None:
    """Settings or an error that lists the faults; a secret or an error. Neither error shows a secret."""
    file = Path(_folder().name) / "pinhole.toml"
    file.write_bytes(data)
    file.chmod(0o600)
    try:
        settings = load(file)
    except ConfigError as exc:
        assert len(str(exc)) < 2000 + MAX_WORDS_PER_BYTE * len(data)
    else:
        assert Settings.model_validate(settings.model_dump()) == settings
    try:
        secret = read_secret(file)
    except ConfigError as exc:
        assert len(data) < 12 or data.decode(errors="replace") not in str(exc)
    else:
        assert secret.encode() in data
        assert "\n" not in secret


def seeds() -> list[bytes]:
    """The whole example, and every way of being wrong."""
    return [
        example().encode(),
        b"[broker]\nurl = 'mqtts://b.example:8883'\nusername = 'a'\npassword_file = 'p'\n",
        b"[camera]\nsource = 'replay:x.mp4'\nwidth_px = 640\nheight_px = 480\n",
        b"[[portal.ice_servers]]\nurls = ['stun:s']\n[portal.turn]\nurls = ['turn:t']\nsecret_file = 's'\n",
        b"[device]\nid = 'a/b'\nname = 3\n[devise]\nx = 1\n",
        b"a = " + b"[" * 4000,
        b"hunter2\n",
    ]


TARGET = Target("config", "pinhole.toml and secrets: whoever wrote the files.", check, seeds, max_bytes=32768)
