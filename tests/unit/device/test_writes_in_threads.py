"""Whoever is told something by the portal does not hold up the loop, and so the live picture, by the card."""

import asyncio
import contextlib
import dataclasses

import pytest
from parts.trust import key_set
from pydantic import TypeAdapter

from agent.app import Agent
from agent.config import Settings
from agent.control.allowance import DataAllowance
from agent.control.budget import Plan, Usage
from agent.device import ledger
from agent.device.changes import FILE, RemoteSettings
from agent.model import disk
from agent.model.command import Order
from agent.model.health import Health
from agent.model.signal import Result
from agent.model.threads import in_background
from agent.signaling.identity import (
    PORTAL_KEYS_FILE,
    load_or_make_key,
    load_portal_keys,
    save_portal_keys,
)

MAY = ("watch", "control", "manage")


@pytest.fixture
async def agent(tmp_path):
    """One that runs, with a camera that rests."""
    settings = Settings.model_validate(
        {"device": {"id": "door", "state_dir": tmp_path}, "camera": {"source": "synthetic"}}
    )
    load_or_make_key(tmp_path)
    save_portal_keys(tmp_path, key_set())
    agent = Agent(settings, RemoteSettings(tmp_path / FILE, settings))
    running = asyncio.create_task(agent.run())
    await asyncio.sleep(0)
    yield agent
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def on_loop(monkeypatch):
    """What was brought to the card on the event loop."""
    found = []

    def fsync(descriptor):
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            found.append(descriptor)

    monkeypatch.setattr(disk.os, "fsync", fsync)
    return found


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("file", "act"),
    [
        (FILE, lambda it: it.on_command(Order("c" * 16, "set", {"camera.fps": 10.0}, "ann", MAY, "broker"))),
        ("commands.json", lambda it: it.commands.finish(Result(0, "c1", "reboot", ok=True, code="done"))),
        (
            PORTAL_KEYS_FILE,
            lambda it: it.on_portal_keys(dataclasses.replace(key_set(), version=key_set().version + 1)),
        ),
    ],
)
async def test_what_the_portal_has_kept_is_written_in_a_thread(agent, on_loop, tmp_path, file, act):
    before = (tmp_path / file).stat().st_ino if (tmp_path / file).exists() else 0
    act(agent)
    await until(lambda: (tmp_path / file).exists() and (tmp_path / file).stat().st_ino != before)
    assert on_loop == []


async def test_keys_that_the_disk_did_not_take_are_written_once_it_does(agent, monkeypatch, tmp_path, caplog):
    """Else a restart would go back to keys that the portal may have retired since."""

    def refuse(*_):
        raise OSError(28, "No space left on device")

    newer = dataclasses.replace(key_set(), version=key_set().version + 1)
    monkeypatch.setattr(ledger, "WRITE_INTERVAL_S", 0.0)
    with monkeypatch.context() as full:
        full.setattr(ledger, "write_whole", refuse)
        agent.on_portal_keys(newer)
        await until(lambda: f"{PORTAL_KEYS_FILE} cannot be written" in caplog.text)
    assert load_portal_keys(tmp_path) == key_set()

    def is_written():  # who writes may still be at what was refused, and is told again, as every 30 s
        agent._publish_health(Health(0.0, "open", is_carrier=False, faults=()))
        return load_portal_keys(tmp_path) == newer

    await until(is_written)


async def test_what_was_sent_last_is_written_though_nothing_more_is_sent(agent, monkeypatch, tmp_path):
    """Else a power cut forgets it, however long after."""
    file = tmp_path / "data-usage.json"
    record = ledger.Ledger(file, TypeAdapter(Usage), in_background)
    agent.allowance = DataAllowance(Plan(1_000_000, 0.8, 1), 300_000, record, lambda *_: None)
    agent.allowance.on_sent(5)
    await until(lambda: file.exists() and '"sent_bytes":5' in file.read_text())
    agent.allowance.on_sent(7)
    monkeypatch.setattr(ledger, "WRITE_INTERVAL_S", 0.0)  # a minute has passed
    agent._publish_health(Health(0.0, "open", is_carrier=False, faults=()))
    await until(lambda: '"sent_bytes":12' in file.read_text())
