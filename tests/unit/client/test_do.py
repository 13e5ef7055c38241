"""`pinhole do`: what somebody types, and what is said while the camera is waited for."""

import asyncio
import contextlib

import pytest

from agent.client import commands
from agent.client.commands import do_command, parse_arguments
from agent.client.session import SignIn
from agent.errors import PortalError
from agent.model.command import COMMANDS
from agent.model.command import parse_arguments as parse_wish


def test_values_are_json_where_they_can_be_and_else_text():
    given = ["camera.fps=15", "device.name=Garden gate", "camera.audio=true", "log.level=null"]
    assert list(parse_arguments(given).values()) == [15, "Garden gate", True, None]


def test_a_list_is_what_commas_part_where_the_command_takes_one():
    tour = COMMANDS["ptz-tour"]
    for given, presets in {"1,2": [1, 2], "3": [3], "[1, 2]": [1, 2]}.items():
        assert parse_arguments([f"presets={given}"], tour) == {"presets": presets}
    for given, polygons in {
        "0,0 1,0 1,1": 1,
        "0,0 1,0 1,1; 0,0 1,0 0,1": 2,
        "": 0,
        '["0,0 1,0 1,1"]': 1,
    }.items():
        wish = parse_arguments([f"polygons={given}"], COMMANDS["set-masks"])
        assert len(parse_wish(COMMANDS["set-masks"], wish).polygons) == polygons
    assert parse_arguments(["device.name=1,2"], COMMANDS["set"]) == {"device.name": "1,2"}


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "[NaN]"])
def test_a_number_that_json_does_not_have_is_refused_by_the_name_of_its_argument(value):
    with pytest.raises(PortalError, match=r"camera\.fps: a number must be finite"):
        parse_arguments([f"camera.fps={value}"])


@pytest.mark.parametrize(("name", "wait_s"), [("identify", 3), ("set", 180)])
async def test_who_has_to_wait_is_told_for_whom_and_how_long(monkeypatch, name, wait_s):
    said, told = [], asyncio.Event()

    @contextlib.asynccontextmanager
    async def signed_in(_url, _sign_in):
        async def ask(_path, _body):
            await told.wait()
            return 200, '{"id": "1", "ok": true, "code": "done"}'

        yield ask

    def say(words):
        said.append(words)
        told.set()

    monkeypatch.setattr(commands, "signed_in", signed_in)
    monkeypatch.setattr(commands, "SOON_S", 0.0)
    who = SignIn("ann", "secret")
    done = await do_command("", who, "door", name, {}, expires_s=3.0, is_confirmed=True, say=say)
    assert done.ok
    assert said == [f"asked; waits for door, {wait_s} s at most"]
