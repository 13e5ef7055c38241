"""The certificate for the broker is renewed while the agent runs, whatever the card does."""

import asyncio
import contextlib
import threading
import time

import pytest
from parts.trust import key_set
from pydantic import TypeAdapter

from agent.errors import ConfigError
from agent.model.disk import write_private
from agent.model.enrolment import Enrolment
from agent.signaling import enrolment
from agent.signaling.enrolment import CERTIFICATE_FILE, ENROLMENT_FILE, keep_fresh, load_enrolment
from agent.signaling.identity import PORTAL_KEYS_FILE, load_or_make_key, save_portal_keys


class Device:
    """One whose certificate ends soon, and a portal that gives it another."""

    def __init__(self, folder):
        self.folder, self.asked, self.keys, self.has_keys = folder, 0, [], asyncio.Event()
        load_or_make_key(folder)
        save_portal_keys(folder, key_set())
        known = TypeAdapter(Enrolment).dump_json(self.enrolled("old", 86_400.0))
        write_private(folder / ENROLMENT_FILE, b"https://portal.example\n" + known)

    def enrolled(self, certificate, life_s, version=1):
        ends_s = time.time() + life_s
        return Enrolment("door", certificate, ends_s, key_set(version=version), "mqtts://b")

    async def ask(self, *_):
        self.asked += 1
        return self.enrolled("new", 90 * 86_400.0, version=2)

    def hear(self, keys):
        self.keys.append(keys)
        self.has_keys.set()

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(keep_fresh(self.folder, self.hear))
        async with asyncio.timeout(60):
            yield
        task.cancel()


@pytest.fixture
def device(tmp_path, monkeypatch):
    device = Device(tmp_path)
    monkeypatch.setattr(enrolment, "_ask", device.ask)
    monkeypatch.setattr(enrolment, "RETRY_S", 0.0)
    return device


async def test_the_keys_are_left_to_who_also_hears_of_them_from_the_broker(device):
    """Two who write one file could bring an older set back."""
    before = (device.folder / PORTAL_KEYS_FILE).read_bytes()
    async with device.running():
        await device.has_keys.wait()
    assert (device.folder / CERTIFICATE_FILE).read_text() == "new"
    assert (device.folder / PORTAL_KEYS_FILE).read_bytes() == before
    assert [keys.version for keys in device.keys] == [2]


async def test_what_the_disk_did_not_take_is_asked_for_again(device, monkeypatch):
    faults, write = [ConfigError("device.pem: No space left on device")], enrolment.write_private

    def full_once(*arguments):
        if faults:
            raise faults.pop()
        write(*arguments)

    monkeypatch.setattr(enrolment, "write_private", full_once)
    async with device.running():
        await device.has_keys.wait()
    assert device.asked == 2
    assert load_enrolment(device.folder)[1].certificate == "new"


async def test_a_card_that_never_answers_is_not_waited_for(device, monkeypatch):
    is_free = threading.Event()
    with monkeypatch.context() as hung:
        hung.setattr(enrolment, "SAVE_S", 0.0)
        hung.setattr(enrolment, "write_private", lambda *_: is_free.wait(60))
        async with device.running():
            while device.asked < 2:
                await asyncio.sleep(0)
    is_free.set()
    assert device.keys == []
