"""What the routes of commands cost the portal."""

import asyncio
import json
import threading

from agent.model.command import COMMANDS
from agent.portal.api import commands
from agent.portal.api.commands import CommandRoutes


async def test_settings_are_explained_once_and_beside_the_event_loop(monkeypatch):
    made_in = []

    def explained():
        made_in.append(threading.current_thread())
        return [{"key": "camera.fps"}]

    monkeypatch.setattr(commands, "explained", explained)
    routes = CommandRoutes(None, None)
    answers = await asyncio.gather(*(routes.explain(None, None) for _ in range(3)))
    answers.append(await routes.explain(None, None))
    assert [json.loads(answer.body) for answer in answers] == [{"settings": [{"key": "camera.fps"}]}] * 4
    assert {answer.content_type for answer in answers} == {"application/json"}
    assert len(made_in) == 1
    assert made_in[0] is not threading.main_thread()


def test_the_schemas_of_commands_are_made_once(monkeypatch):
    first = [commands._shown(kind) for kind in COMMANDS.values()]
    monkeypatch.setattr(commands, "arguments_schema", made_again)
    assert [commands._shown(kind) for kind in COMMANDS.values()] == first


def made_again(_kind):
    raise AssertionError
