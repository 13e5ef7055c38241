"""Commands from `pinhole do` over a real broker to a real agent; who may, and what the audit log says."""

import json
import time

import aiohttp
import pytest
from fakes.bus import state
from parts.fleet_broker import fleet
from parts.portal import PASSWORD, USER, portal

from agent.model.signal import Command, Result

PATIENCE_S = 30.0


def until(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_command_is_done_by_the_camera_that_was_named_and_its_answer_is_printed():
    with fleet() as one:
        one.enroll("door", one.claim())
        one.start_agent("door")
        password = one.folder / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        who = ("--portal", one.url, "--user", USER, "--password-file", password)

        def do(*words):
            return one.pinhole("do", *words, *who, check=False)

        until(lambda: do("door", "look").stdout == "done\n")
        assert "'ann' had it look for a new release" in one.log("door")
        failed = do("door", "reboot", "--yes")
        assert (failed.returncode, failed.stdout[:11]) == (1, "no-service:")
        one.stop_agent("door")

        def away():
            done = do("door", "look", "--expires", "1", "--json")
            return (done.returncode, json.loads(done.stdout or "{}").get("code")) == (1, "away")

        until(away)  # the portal hears of it a moment later


class Company:
    """A portal with a camera `front`, which answers; `orders` is what reached it."""

    def __init__(self, part):
        self.part, self.orders = part, []
        part.bus.devices["front"] = self._do
        part.gateway.on_state("front", state(understands=("lease", "command")))
        part.desk.add_user("viewer", None, cameras=["front"], password=PASSWORD)
        part.desk.add_user("operator", None, password=PASSWORD)
        part.desk.grant("operator", "operator", camera="front", group=None)

    def _do(self, session, message):
        assert isinstance(message, Command)
        self.orders.append((message.name, message.user, message.permissions))
        value = {"settings": [], "versions": []} if message.name == "settings" else {}
        result = Result(0, session, message.name, ok=True, code="done", value=value)
        self.part.gateway.on_signal("front", session, result)


@pytest.fixture
async def company():
    async with portal() as part:
        yield Company(part)


async def sign_in(part, user):
    http = aiohttp.ClientSession(base_url=part.url, cookie_jar=aiohttp.CookieJar(unsafe=True))
    answer = await http.post("/api/login", json={"user": user, "password": PASSWORD})
    assert answer.status == 200
    return http


async def do(http, name, device="front", **wish):
    answer = await http.post(f"/api/devices/{device}/commands/{name}", json=wish)
    return answer.status, await answer.json()


async def test_each_may_do_what_the_table_says_and_the_audit_log_holds_it(company):
    part = company.part
    viewer, operator, admin = [await sign_in(part, name) for name in ("viewer", "operator", USER)]
    async with viewer, operator, admin:
        assert (await do(viewer, "identify"))[0] == 403
        status, said = await do(viewer, "identify", "Front door")
        assert (status, "no camera with the id Front door; " in said["message"]) == (404, True)
        assert (await do(operator, "reboot", confirmed=True))[0] == 403
        status, said = await do(operator, "fly")
        assert status == 404
        assert "There are: " in said["message"]
        assert "look, " in said["message"]
        assert (await do(operator, "keyframe"))[0] == 404, "a viewer's alone"
        assert (await do(operator, "identify", arguments={"seconds": 999}))[0] == 400
        assert company.orders == []
        assert (await do(operator, "identify", arguments={"seconds": 5}))[1]["ok"]
        status, said = await do(admin, "reboot")
        assert (status, said["code"]) == (409, "ask-first")
        for _ in range(2):
            assert (await do(admin, "reboot", confirmed=True, id="0f" * 16))[1]["ok"]
        assert company.orders == [
            ("identify", "operator", ("watch", "control")),
            ("reboot", USER, ("watch", "control", "manage")),
        ], "once"
        assert (await do(admin, "settings"))[1]["ok"], "not noted: nobody else notices"
        assert (await do(operator, "identify", id="0f" * 16))[0] == 409, "another's"
        shown = await (await operator.get("/api/devices/front/commands")).json()
        names = {kind["name"] for kind in shown["commands"]}
        assert names >= {"look", "identify", "restart-stream"}
        assert not names & {"reboot", "restart-agent", "set", "keyframe"}
        await part.accounts.audit.flush()
        entries = (await (await admin.get("/api/audit?about=commands")).json())["entries"]
        noted = [(entry["actor"], entry["action"], entry["detail"]) for entry in reversed(entries)]
        assert noted == [
            ("viewer", "command-refused", "identify"),
            ("operator", "command-refused", "reboot"),
            ("operator", "commanded", "identify seconds=5"),
            ("operator", "command-done", "identify"),
            (USER, "commanded", "reboot"),
            (USER, "command-done", "reboot"),
        ]
