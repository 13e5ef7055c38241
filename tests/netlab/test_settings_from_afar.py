"""Settings from afar over real links: what cuts a device off from its portal comes back by itself."""

import json
import sys

import pytest
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import MOSQUITTO, TURNSERVER, start_service
from parts.need import need
from parts.portal import USER

BACK_WITHIN_S = 90
KNOWN_WITHIN = 20


@pytest.fixture(autouse=True)
def _has_parts():
    need(MOSQUITTO, "needs mosquitto: sudo apt-get install mosquitto")
    need(TURNSERVER, "needs coturn: sudo apt-get install coturn")


def test_a_change_that_cuts_the_device_off_comes_back_by_itself_and_the_portal_says_so():
    with internet(Plan()) as lab:
        service = start_service(lab, ["udp"])
        password = lab.spaces.folder / "portal-password"
        who = ["--portal", service.url, "--user", USER, "--password-file", password]

        def pinhole(*words):
            argv = [sys.executable, "-m", "agent", *map(str, (*words, *who)), "--json"]
            anyhow = ["sh", "-c", '"$@" || true', "sh"]  # a command that failed says so in its JSON
            return json.loads(lab.spaces.run("server", *anyhow, *argv, timeout_s=BACK_WITHIN_S))

        for _ in range(KNOWN_WITHIN):  # each takes a second
            if pinhole("fleet")["devices"]:
                break
        told = pinhole("do", "cam", "set", "camera.fps=10", "device.name=Yard")
        assert (told["ok"], told["value"]["version"]) == (True, 1), told
        told = pinhole("do", "cam", "set", "broker.connect_timeout_s=0.001")
        assert (told["ok"], told["code"]) == (False, "went-back"), told
        assert "the portal did not confirm it within 60 s" in told["message"]
        for _ in range(KNOWN_WITHIN):  # it says so by itself, too
            said = pinhole("fleet")["devices"][0]["sections"]["settings"]
            if said["went_back"] == 2:
                break
        assert (said["version"], said["on_trial"], said["went_back"]) == (1, False, 2)
        shown = pinhole("do", "cam", "settings")["value"]
        values = {each["key"]: each["value"] for each in shown["settings"]}
        assert (values["camera.fps"], values["broker.connect_timeout_s"]) == (10, 20)
        assert "settings of version 2 are rolled back" in service.agent.log()
