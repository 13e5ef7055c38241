"""`pinhole doctor` as a person runs it, beside a real broker, TURN server, portal and agent."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from queue import Queue

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from parts.coturn import SECRET, coturn
from parts.mosquitto import PASSWORD, mosquitto
from parts.stack import ROOT, running_stack

from agent.signaling.identity import load_or_make_key, save_portal_keys
from agent.signaling.signing import SigningFolder

LONGEST_S = 40  # 20 s are promised; a busy machine may need as long to load Python


@pytest.fixture(scope="module")
def broker():
    with mosquitto() as running:
        yield running


@pytest.fixture(scope="module")
def turn():
    with coturn() as running:
        yield running


def doctor(config: Path, *arguments: str, env: dict[str, str] | None = None):
    """Its exit code, and its findings by check."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "doctor", "--config", str(config), "--json", *arguments],
        cwd=ROOT,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def of(report, check):
    return [finding for finding in report["findings"] if finding["check"] == check]


def settings(tmp_path, broker, transport="mqtt", *, extra="", **overrides):
    """A device's settings file for one of the broker's listeners."""
    given = broker.settings(transport, **overrides)
    lines = [
        f'{key} = "{value}"' if not isinstance(value, (int, float)) else f"{key} = {value}"
        for key, value in given.model_dump(exclude_defaults=True).items()
    ]
    file = tmp_path / "pinhole.toml"
    load_or_make_key(tmp_path / "state")
    save_portal_keys(tmp_path / "state", SigningFolder(tmp_path / "portal").key_set())
    file.write_text(
        "\n".join(
            [
                "[device]",
                'id = "front-door"',
                'state_dir = "state"',
                "[broker]",
                *lines,
                '[camera]\nsource = "synthetic"',
                extra,
            ]
        )
    )
    return file


def secret(tmp_path, name, text):
    file = tmp_path / name
    file.touch(mode=0o600)
    file.write_text(text)
    return file


def test_a_device_that_can_serve(tmp_path, broker):
    code, report = doctor(settings(tmp_path, broker))
    assert (code, report["can_serve"], report["device"]) == (0, True, "front-door")
    (camera,) = of(report, "camera")
    assert camera["verdict"] == "good"
    assert camera["details"]["is_software"] is True
    assert camera["details"]["fps"] > 0
    assert camera["details"]["keyframes"] >= 1
    (found,) = of(report, "broker")
    assert found["verdict"] == "good"
    assert found["details"]["tcp_ms"] <= found["details"]["mqtt_ms"]
    assert {finding["check"] for finding in report["findings"]} >= {
        "config",
        "clock",
        "network",
        "board",
        "nat",
    }
    for finding in report["findings"]:
        assert bool(finding["advice"]) == (finding["verdict"] != "good"), finding


def test_what_was_changed_from_afar_counts(tmp_path, broker):
    file = settings(tmp_path, broker)
    changes = {"camera.width_px": 320, "camera.height_px": 240}
    version = {"number": 3, "at": 1.0, "by": "ann", "changes": changes}
    secret(tmp_path, "state/settings.json", json.dumps({"versions": [version]}))
    _, report = doctor(file)
    (camera,) = of(report, "camera")
    assert (camera["details"]["width_px"], camera["details"]["height_px"]) == (320, 240)
    (config,) = of(report, "config")
    assert "from afar (version 3)" in config["message"]


def test_the_certificate_of_the_broker_and_its_days(tmp_path, broker):
    code, report = doctor(settings(tmp_path, broker, "mqtts"), "--no-camera")
    (found,) = of(report, "broker")
    assert code == 0, found
    assert found["details"]["certificate_days"] > 0
    assert "certificate is valid for" in found["message"]
    assert not of(report, "camera")


def test_a_certificate_nobody_signed_is_a_fault(tmp_path, broker):
    file = settings(tmp_path, broker, "mqtts")
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "ca_file" not in line))
    code, report = doctor(file, "--no-camera")
    (found,) = of(report, "broker")
    assert (code, found["verdict"]) == (1, "fault")
    assert "not trusted" in found["message"]
    assert "ca_file" in found["advice"]


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("wrong", 1)])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_brokers_password(tmp_path, broker, password, code, version):
    secret(tmp_path, "password", password)
    file = settings(tmp_path, broker, "password", password_file=tmp_path / "password", version=version)
    got, report = doctor(file, "--no-camera")
    (found,) = of(report, "broker")
    assert got == code, found
    if code:
        assert found["message"] in ("wrong user name or password", "not authorised")
        assert "password_file" in found["advice"]


def test_it_leaves_the_running_agent_alone(broker):
    with running_stack(f'url = "{broker.settings().url}"') as stack:
        code, report = doctor(stack.folder / "pinhole.toml", "--no-camera")
        assert code == 0, report
        seen, _, said = stack.watch("--seconds", "0.5")
        assert seen == 0, said
        assert stack.log("agent").count("connected to") == 1, "it was not thrown out by a twin"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_it_leaves_no_session_behind(tmp_path, broker, version):
    doctor(settings(tmp_path, broker, version=version), "--no-camera")
    assert not has_session(broker.ports["mqtt"], "pinhole-front-door-doctor")
    assert has_session(broker.ports["mqtt"], "pinhole-front-door-doctor"), "so the question is the right one"


def has_session(port: int, client_id: str) -> bool:
    """Whether the broker keeps a session of this client (MQTT 3.1.1 section 3.2.2.2); who asks leaves one."""
    client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False)
    present = Queue()
    client.on_connect = lambda _client, _data, flags, _code, _properties: present.put(flags.session_present)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        return present.get(timeout=60)
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_turn_over_each_transport_by_the_portals_credentials(tmp_path, broker, turn, transport):
    secret(tmp_path, "turn-secret", SECRET)
    portal = f'[portal.turn]\nurls = ["{turn.url(transport)}"]\nsecret_file = "{tmp_path}/turn-secret"\n'
    with running_stack(f'url = "{broker.settings().url}"', portal=portal, ca_file=turn.ca_file) as stack:
        code, report = doctor(
            settings(tmp_path, broker), "--no-camera", "--portal", stack.url,
            *stack.sign_in, env={"SSL_CERT_FILE": str(turn.ca_file)},
        )  # fmt: skip
        (found,) = of(report, "ice")
        assert (code, found["verdict"]) == (0, "good"), found
        assert found["details"]["transport"] == transport
        assert found["details"]["is_relay"] is True
        assert found["details"]["relayed"].startswith("127.0.0.1 ")
        reached, sign_in = of(report, "portal")
        assert (reached["verdict"], sign_in["verdict"]) == ("good", "good")
        (clock,) = of(report, "clock")
        assert abs(clock["details"]["skew_s"]) < 5


@pytest.mark.parametrize(
    ("username", "password"),
    [("viewer", "wrong"), (f"{int(time.time()) - 60}:viewer", "expired")],
    ids=["wrong", "expired"],
)
def test_turn_that_refuses_us_says_why(tmp_path, broker, turn, username, password):
    credential = secret(tmp_path, "credential", password)
    extra = (
        f'[[portal.ice_servers]]\nurls = ["{turn.url("udp")}"]\nusername = "{username}"\n'
        f'credential_file = "{credential}"\n'
    )
    code, report = doctor(settings(tmp_path, broker, extra=extra), "--no-camera")
    (found,) = of(report, "ice")
    assert (code, found["verdict"]) == (0, "warning"), "viewers on the same network can still be served"
    assert "401 Unauthorized: user name or password is wrong or has expired" in found["message"]


def test_a_wrong_portal_password_is_a_warning_and_the_clock_is_compared_all_the_same(tmp_path, broker):
    with running_stack(f'url = "{broker.settings().url}"', agent=False) as stack:
        code, report = doctor(
            settings(tmp_path, broker), "--no-camera", "--portal", stack.url,
            "--user", "ann", "--password-file", str(secret(tmp_path, "wrong", "wrong")),
        )  # fmt: skip
        assert code == 0
        assert [finding["verdict"] for finding in of(report, "portal")] in (
            ["good", "warning"],
            ["warning", "good"],
        )
        assert "skew_s" in of(report, "clock")[0]["details"]


def test_broken_settings_are_a_fault_with_every_key(tmp_path):
    file = tmp_path / "pinhole.toml"
    file.write_text("[camera]\nsource = 'x'\nfps = 0\n")
    code, report = doctor(file)
    (found,) = report["findings"]
    assert (code, found["check"], found["verdict"]) == (1, "config", "fault")
    assert "camera.source" in found["message"]
    assert "camera.fps" in found["message"]


def test_a_person_reads_lines(tmp_path, broker):
    file = settings(tmp_path, broker, extra='[[portal.ice_servers]]\nurls = ["stun:nowhere.invalid"]')
    done = subprocess.run(
        [sys.executable, "-m", "agent", "doctor", "--config", str(file), "--no-camera"],
        cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "This device can serve: 0 faults" in done.stdout
    assert "nowhere.invalid: unknown host" in done.stdout
    assert "→ check the name" in done.stdout
