"""`pinhole doctor` behind each kind of NAT, with the lab's portal, broker and TURN server."""

import json
import sys

import pytest
from netlab.internet import internet
from netlab.namespaces import LabError
from netlab.nat import NATS
from netlab.plan import CARRIER_IP, Plan
from netlab.servers import BROKER_PORT, PORTAL_PORT, TURN_PORT, start_broker, start_service, start_turn
from parts.portal import USER

from agent.config import load
from agent.demo.enrolment import enroll_here

EXPECTED = {
    "none": "open",
    "full-cone": "full-cone",
    "port-restricted": "port-restricted",
    "symmetric": "symmetric",
    "udp-blocked": "udp-blocked",
}


def doctor(lab, *arguments, config="agent.toml"):
    """What it finds on the device. Raises LabError with its JSON where the device cannot serve."""
    folder = lab.spaces.folder
    argv = [
        sys.executable,
        "-m",
        "agent",
        "doctor",
        "--config",
        str(folder / config),
        "--json",
        "--no-camera",
    ]
    env = f"SSL_CERT_FILE={folder / 'ca.pem'}"
    return json.loads(lab.spaces.run("device", "env", env, *argv, *arguments, timeout_s=40))


def signed_in(lab):
    return (
        "--portal", f"http://portal.test:{PORTAL_PORT}",
        "--user", USER, "--password-file", str(lab.spaces.folder / "portal-password"),
    )  # fmt: skip


@pytest.mark.parametrize("kind", NATS)
def test_the_nat_is_named_and_every_server_tried(kind):
    with internet(Plan(kind, kind)) as lab:
        start_service(lab)
        report = doctor(lab, *signed_in(lab))
        assert report["nat"] == EXPECTED[kind]
        (nat,) = [finding for finding in report["findings"] if finding["check"] == "nat"]
        works = {
            finding["subject"]: finding["verdict"] == "good"
            for finding in report["findings"]
            if finding["check"] == "ice"
        }
        assert len(works) == 4, "STUN, and TURN over udp, tcp and tls"
        for url, is_good in works.items():
            needs_udp = url.startswith("stun:") or url.endswith("transport=udp")
            assert is_good == (kind != "udp-blocked" or not needs_udp), url
        assert report["can_serve"], "over TURN at least"
        if kind == "udp-blocked":
            assert nat["verdict"] == "warning"
            assert nat["details"]["relays"] == "tcp tls"
        else:
            assert nat["verdict"] == "good"
            assert nat["details"]["public_ip"] == (
                nat["details"]["local_ip"] if kind == "none" else CARRIER_IP
            )


def test_without_udp_and_without_a_relay_nobody_can_be_served():
    with internet(Plan("none", "udp-blocked")) as lab:
        start_service(lab, ["udp"])
        with pytest.raises(LabError, match=r'"can_serve": false'):
            doctor(lab, *signed_in(lab))


def test_a_symmetric_nat_without_a_relay_costs_some_viewers():
    with internet(Plan("none", "symmetric")) as lab:
        start_broker(lab)
        start_turn(lab, "secret")
        file = lab.spaces.folder / "alone.toml"
        file.write_text(
            f'[broker]\nurl = "mqtt://broker.test:{BROKER_PORT}"\n[device]\nstate_dir = "camera"\n'
            f'[[portal.ice_servers]]\nurls = ["stun:turn.test:{TURN_PORT}"]\n'
        )
        settings = load(file)
        enroll_here(settings.device, settings.portal)
        report = doctor(lab, config="alone.toml")
        assert report["nat"] == "symmetric"
        assert [f["verdict"] for f in report["findings"] if f["check"] == "nat"] == ["warning"]


def test_ipv6_alone_behind_a_firewall():
    with internet(Plan("none", "port-restricted", family="ipv6")) as lab:
        start_service(lab)
        report = doctor(lab, *signed_in(lab))
        assert report["nat"] == "firewall"
        (network,) = [finding for finding in report["findings"] if finding["check"] == "network"]
        assert network["verdict"] == "warning"
        assert "IPv6 alone" in network["message"]
