"""Requests on the data channel `control`."""

import inspect
import json

from fuzz.target import Target

from agent.model.signal import JsonObject, Result
from agent.rtc import channel

STATS = channel.Stats(
    **{
        name: {"str": "x", "int": 1, "float": 1.0}.get(str(field.type).partition(" |")[0], "main")
        for name, field in channel.Stats.__dataclass_fields__.items()
    }
)
MAX_ANSWER_BYTES = 2048
HANDLERS = [
    name
    for name, parameter in inspect.signature(channel.reply).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in ("unix_ms", "stats", "command")
]


def _do(command: str, name: str, _: JsonObject, __: object) -> Result:
    return Result(0, command, name, ok=True, code="done")


def check(data: bytes) -> None:
    """One small JSON answer, or none where the request was carried out; never both and never neither."""
    for message in (data, data.decode(errors="replace")):
        done: list[tuple[object, ...]] = []

        def note(*arguments: object, done: list[tuple[object, ...]] = done) -> None:
            done.append(arguments)

        handlers = dict.fromkeys(HANDLERS, note)
        answer = channel.reply(message, unix_ms=1.8e12, stats=lambda: STATS, command=_do, **handlers)
        assert (answer is None) == (len(done) == 1)
        if answer is not None:
            assert len(answer) < MAX_ANSWER_BYTES
            assert json.loads(answer)["type"] in ("pong", "stats", "error", "result")


def seeds() -> list[bytes]:
    """Each request."""
    return [
        b'{"type":"ping","id":7}',
        b'{"type":"stats"}',
        b'{"type":"keyframe"}',
        b'{"type":"stream","name":"preview"}',
        b'{"type":"ping","id":-1}',
        b'{"type":"command","id":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","name":"look","arguments":{"a":[1.5]}}',
        b"[" * 500,
    ]


TARGET = Target("control-channel", "Requests on the data channel: the viewer.", check, seeds, max_bytes=1500)
