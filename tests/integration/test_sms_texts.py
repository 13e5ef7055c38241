"""The text of a command by SMS: who gets one, what it proves, and what the audit log says."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from fakes.bus import state
from parts.portal import PASSWORD, USER, portal

from agent.model.sections import SectionsMessage
from agent.model.sms import parse_command
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


@pytest.mark.parametrize(("source", "is_noted"), [("modemmanager", False), ("at", True)])
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
    await part.stop()
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
