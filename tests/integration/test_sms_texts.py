"""The text of a command by SMS: who gets one, what it proves, what the audit log says, what a camera does."""

import asyncio
import contextlib
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from fakes.bus import state
from fakes.modem import PluggedModem, SimModem
from parts.portal import PASSWORD, USER, portal
from parts.terminal import Terminal

from agent.config import ModemSettings
from agent.model.sections import SectionsMessage
from agent.model.sms import parse_command
from agent.serial.modem.acts import Acts
from agent.serial.modem.data import DataCount, Forgets
from agent.serial.modem.sms import Heard, Lifeline, Now
from agent.serial.modem.wire import WireModem
from agent.signaling.signing import SigningFolder
from agent.signaling.trust import KeyRing


@pytest.fixture
async def part():
    async with portal() as part:
        part.gateway.on_state("front", state())
        part.desk.add_user("operator", None, password=PASSWORD)
        part.desk.grant("operator", "operator", camera="front", group=None)
        part.desk.add_user("stranger", None, password=PASSWORD)
        yield part


async def ask(part, user, device="front", **wish):
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base_url=part.url, cookie_jar=jar) as http:
        assert (await http.post("/api/login", json={"user": user, "password": PASSWORD})).status == 200
        answer = await http.post(f"/api/devices/{device}/sms", json=wish)
        return answer.status, await answer.json()


async def test_who_manages_the_camera_gets_a_text_that_the_camera_believes(part):
    status, said = await ask(part, USER, verb="apn", argument="internet.example")
    assert status == 200
    command, signature = parse_command(said["text"])
    assert (command.verb, command.argument) == ("apn", "internet.example")
    ring = KeyRing.of(SigningFolder(part.folder / "state").key_set().publics)
    assert ring.verifies_bytes(command.signed_by("front"), signature)
    assert not ring.verifies_bytes(command.signed_by("back"), signature)


@pytest.mark.parametrize(("source", "is_noted"), [("modemmanager", False), ("at", False), ("", True)])
async def test_a_camera_whose_modem_takes_none_is_noted(part, source, is_noted):
    part.gateway.on_sections("front", SectionsMessage("boot-1", 1, {"modem": {"source": source}}))
    _, answer = await ask(part, USER, verb="status")
    assert bool(answer["note"]) == is_noted


@pytest.mark.parametrize(
    ("user", "device", "status"),
    [("operator", "front", 403), ("stranger", "front", 404), (USER, "none", 404)],
)
async def test_nobody_else_does(part, user, device, status):
    assert (await ask(part, user, device, verb="status"))[0] == status


@pytest.mark.parametrize("wish", [{"verb": "format"}, {"verb": "apn"}, {"verb": "apn", "argument": "a b"}])
async def test_what_no_camera_takes_is_not_signed(part, wish):
    status, said = await ask(part, USER, **wish)
    assert (status, said["code"]) == (400, "invalid")


async def test_each_is_in_the_audit_log_and_so_is_who_may_not(part):
    _, said = await ask(part, USER, verb="reboot")
    nonce = parse_command(said["text"])[0].nonce
    await ask(part, "operator", verb="reboot")
    await part.accounts.audit.flush()
    entries = (part.folder / "audit.jsonl").read_text()
    assert f"reboot {nonce}" in entries
    assert '"sms-made"' in entries
    assert '"command-refused"' in entries


async def test_pinhole_sms_prints_it(part, tmp_path):
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)

    async def pinhole(*words):
        run = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "pinhole", "sms", *words, "--portal", part.url, "--user", USER,
            "--password-file", password, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await run.communicate()
        return run.returncode, out.decode(), err.decode()

    code, out, err = await pinhole("front", "status")
    assert code == 0
    assert "modem.backend" in err, "no modem was told of"
    assert parse_command(out)[0].verb == "status"
    code, out, err = await pinhole("front", "format")
    assert (code, out) == (1, "")
    assert "no such verb" in err


class Disk:
    """What outlives an agent."""

    value: Heard | None = None

    def load(self):
        return self.value

    def keep(self, value, _now_s):
        self.value = value

    def write(self, value):
        self.value = value


@pytest.fixture
async def camera(part, tmp_path):
    """One whose modem dials by itself, and by a wrong access point name: modem, and what the lifeline did."""
    loop, sim, terminal = asyncio.get_running_loop(), SimModem(), Terminal(tmp_path / "pinhole-modem")
    sim.power_cycle(loop.time() - 60)
    sim.needs_apn = "iot.example"
    ring = KeyRing.of(SigningFolder(part.folder / "state").key_set().publics)
    modem = WireModem(
        ModemSettings(backend="at", port=str(terminal.link)),
        DataCount(Forgets(), str, bool),
        lambda: None,
        lambda *_: None,
        on_sms=lambda text: lifeline.on_sms(text),  # noqa: PLW0108  # which there is not yet
    )
    acts = Acts("1.2.3", modem, str, lambda: None, lambda: None, modem.set_apn)
    lifeline = Lifeline(
        "front",
        ring.verifies_bytes,
        acts.by_verb(),
        Disk(),
        lambda: Now(time.time(), True, time.monotonic()),
    )
    tasks = [asyncio.create_task(PluggedModem(sim, terminal).run()), asyncio.create_task(modem.run())]
    try:
        yield sim, lifeline
    finally:
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        terminal.unplug()


async def test_a_text_of_the_portals_reaches_the_camera_over_its_modems_port_and_is_answered(part, camera):
    """Over a pseudo terminal: signed by the portal, kept by the modem, read, done, answered."""
    sim, lifeline = camera
    _, said = await ask(part, USER, verb="apn", argument="iot.example")
    _, other = await ask(part, USER, verb="reboot")
    forged = other["text"].replace(" reboot ", " status ")
    nonce = parse_command(said["text"])[0].nonce
    sim.deliver("You won a telephone!\r\nOK\r\n+CPIN: SIM PUK", "+41790000000")
    sim.deliver(forged, "+41790000000")
    sim.deliver(said["text"], "+4915140075573")
    sim.deliver(said["text"], "+41790000000")
    async with asyncio.timeout(60):
        while not (sim.messages.sent and sim.has_data(asyncio.get_running_loop().time())):
            await asyncio.sleep(0.1)
        while sim.messages.kept or not lifeline.heard.refused.get("replayed"):  # read after the answer went
            await asyncio.sleep(0.1)
    assert sim.messages.sent == [("+4915140075573", f"front {nonce} connects by iot.example")]
    assert (sim.apn, sim.messages.kept) == ("iot.example", {})
    assert (lifeline.heard.done, lifeline.heard.refused) == (1, {"forged": 1, "replayed": 1})
