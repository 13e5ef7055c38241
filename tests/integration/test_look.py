"""An operator has cameras look for a new release: the signed word over Mosquitto, who may, how often."""

import time

import aiohttp
import pytest
from fakes.bus import FakeBus, state
from parts.fleet_broker import fleet
from parts.portal import PASSWORD, USER, portal

from agent.portal.api.releases import LOOKS_PER_MINUTE
from agent.portal.gateway import Gateway
from agent.portal.turn import IceServers

PATIENCE_S = 30.0


def until(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_the_word_of_a_new_release_reaches_the_camera_that_was_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))  # as systemd gives it to a service
    with fleet() as one:
        for name in ("door", "yard"):
            one.enroll(name, one.claim())
            one.start_agent(name)
        password = one.folder / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        sign_in = ("--portal", one.url, "--user", USER, "--password-file", password)
        until(lambda: one.pinhole("fleet", *sign_in).stdout.count("online") >= 2)
        said = one.pinhole("fleet", "look", "door", *sign_in).stdout
        assert said == "door  asked\n"
        until(lambda: "there may be a new release" in one.log("door"))
        assert "there may be a new release" not in one.log("yard")
        refused = one.pinhole("fleet", "look", "shed", *sign_in, check=False)
        assert refused.returncode == 1
        assert "no camera of this name" in refused.stderr
        one.stop_agent("yard")
        until(lambda: one.pinhole("fleet", *sign_in).stdout.count("offline") == 1)
        said = one.pinhole("fleet", "look", *sign_in).stdout.splitlines()
        assert said == ["door  asked", "yard  offline: it looks when it is back"]


class Company:
    """A portal with two cameras and a third that is away; `asked` is what went out."""

    def __init__(self):
        self.asked = []
        self.gateway = Gateway(FakeBus().send, IceServers(), "1", ask_to_look=self._ask)

    def _ask(self, device, boot_id):
        self.asked.append((device, boot_id))
        return True

    def portal(self):
        return portal(gateway=self.gateway)

    def fill(self, part):
        for device in ("front", "back", "away"):
            self.gateway.on_state(device, state(name=device, online=device != "away"))
        part.desk.add_user("viewer", None, cameras=["front"], password=PASSWORD)
        part.desk.add_user("operator", None, cameras=["back"], password=PASSWORD)
        part.desk.grant("operator", "operator", camera="front", group=None)


@pytest.fixture
def company():
    return Company()


async def sign_in(part, user):
    http = aiohttp.ClientSession(base_url=part.url, cookie_jar=aiohttp.CookieJar(unsafe=True))
    answer = await http.post("/api/login", json={"user": user, "password": PASSWORD})
    assert answer.status == 200
    return http


async def look(http, *devices):
    answer = await http.post("/api/look", json={"devices": list(devices)} if devices else {})
    return answer.status, await answer.json()


async def test_operators_alone_have_cameras_look_and_the_audit_log_says_so(company):
    async with company.portal() as part:
        company.fill(part)
        viewer, operator, admin = [await sign_in(part, name) for name in ("viewer", "operator", USER)]
        async with viewer, operator, admin:
            assert (await look(viewer, "front"))[0] == 403
            assert (await look(viewer))[0] == 403
            assert (await look(viewer, "back"))[0] == 404, "not even its existence is told"
            assert (await look(operator, "back"))[0] == 403
            assert (await look(operator, "front", "back"))[0] == 403
            assert company.asked == []
            assert await look(operator) == (200, {"asked": ["front"], "missed": []})
            assert company.asked == [("front", "boot-1")]
            assert await look(admin) == (200, {"asked": ["front", "back"], "missed": ["away"]})
            await part.accounts.audit.flush()
            entries = (await (await admin.get("/api/audit")).json())["entries"]
            noted = [(e["actor"], e["device"], e["detail"]) for e in entries if e["action"] == "look-asked"]
            assert noted == [(USER, "", "2 cameras: front, back"), ("operator", "front", "")]


async def test_who_asks_too_often_waits(company):
    async with company.portal() as part:
        company.fill(part)
        async with await sign_in(part, "operator") as http:
            for _ in range(LOOKS_PER_MINUTE):
                assert (await look(http, "front"))[0] == 200
            status, said = await look(http, "front")
            assert (status, said["code"]) == (429, "too-many-looks")
            assert len(company.asked) == LOOKS_PER_MINUTE


async def test_without_a_broker_the_portal_says_so(company):
    async with company.portal() as part:
        company.fill(part)
        company.gateway.on_broker(connected=False)
        async with await sign_in(part, "operator") as http:
            status, said = await look(http, "front")
            assert (status, said["code"]) == (503, "broker-away")
            assert company.asked == []
