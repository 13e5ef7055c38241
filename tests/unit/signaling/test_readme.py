"""The wire protocol's page must stay true."""

import json
import re
from pathlib import Path

import pytest

from agent.errors import MessageError
from agent.signaling import messages
from agent.signaling.schema import schemas

README = Path(messages.__file__).with_name("README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)\n```", README, re.DOTALL)
PARSERS = {
    "offer": messages.parse_to_device,
    "candidate": messages.parse_to_device,
    "renew": messages.parse_to_device,
    "bye": messages.parse_to_device,
    "command": messages.parse_to_device,
    "result": messages.parse_from_device,
    "answer": messages.parse_from_device,
    "reject": messages.parse_from_device,
    "restart": messages.parse_from_device,
    "state": messages.parse_state,
    "sections": messages.parse_sections,
    "event": messages.parse_bare_event,
    "events": messages.parse_events,
    "confirm": messages.parse_confirm,
    "health": messages.parse_health,
    "keys": messages.parse_keys,
    "look": messages.parse_look,
}


def test_every_message_has_one_example():
    assert sorted(json.loads(example)["type"] for example in EXAMPLES) == sorted(schemas())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: json.loads(example)["type"])
def test_an_example_is_what_goes_on_the_wire(example):
    message = PARSERS[json.loads(example)["type"]](example.encode())
    assert json.loads(messages.encode(message)) == json.loads(example)


@pytest.mark.parametrize("payload", [b" " * 70_000, b"", b"{}", b'{"v":1}', b'{"v":1,"type":"bye"}'])
def test_every_code_of_the_parser_is_listed(payload):
    with pytest.raises(MessageError) as caught:
        messages.parse_to_device(payload)
    assert f"| `{caught.value.code}` |" in README
