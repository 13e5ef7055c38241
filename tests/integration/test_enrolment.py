"""A camera's whole life with a real portal and Mosquitto: claim, enrol, watch, rotate, renew, revoke."""

import contextlib
import json
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request

import pytest
from parts.fleet_broker import fleet
from parts.portal import PASSWORD, USER
from parts.stack import ROOT

CUT_OFF_S = 5.0
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def shared():
    with fleet() as one:
        yield one


def until(condition, patience_s=PATIENCE_S, what=""):
    deadline_s = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"{what or condition} did not come true"
        time.sleep(0.05)
    return value


def watch(one, device):
    """`pinhole watch` for a second: exit code and JSON."""
    password = one.folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    done = subprocess.run(
        [sys.executable, "-m", "agent", "watch", "--portal", one.url, "--user", USER, "--password-file",
         str(password), "--device", device, "--seconds", "1", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_a_claimed_camera_is_watched_and_its_code_works_once(shared):
    code = shared.claim()
    assert re.fullmatch(r"([A-Z2-9]{5}-){3}[A-Z2-9]{5}", code)
    said = shared.enroll("door", code).stdout
    assert "made" in said
    assert f"mqtts://127.0.0.1:{shared.port}" in said
    for name in ("device-key.pem", "device.pem", "portal-keys.json", "enrolment.json"):
        assert (shared.state("door") / name).stat().st_mode & 0o777 == 0o600
    shared.start_agent("door")
    exit_code, seen, errors = watch(shared, "door")
    assert exit_code == 0, errors + shared.log("door") + shared.log("portal")
    assert seen["device"] == "door"

    again = shared.enroll("door", code)
    assert "is there" in again.stdout, "safe to repeat"
    other = shared.enroll("window", code, check=False)
    assert other.returncode == 1
    assert "unknown, expired or used" in other.stderr


def test_nobody_takes_a_name_over_without_a_code_for_it(shared):
    shared.enroll("gate", shared.claim())
    key = (shared.state("gate") / "device-key.pem").read_bytes()
    (shared.state("gate") / "device-key.pem").unlink()
    taken = shared.enroll("gate", shared.claim(), check=False)
    assert "there is a camera gate already" in taken.stderr
    wrong = shared.enroll("gate", shared.claim("--device", "other"), check=False)
    assert "is not for gate" in wrong.stderr
    shared.enroll("gate", shared.claim("--device", "gate"))
    assert (shared.state("gate") / "device-key.pem").read_bytes() != key


def test_an_expired_code_is_refused(shared):
    from agent.portal.claims import make_claim
    from agent.portal.store import Store

    store = Store.open(f"sqlite:///{shared.folder}/portal.db")
    code = store.run_here(lambda db: make_claim(db, None, by="test", now=time.time() - 100, lifetime_s=60))
    store.close()
    refused = shared.enroll("late", code, check=False)
    assert (refused.returncode, "expired" in refused.stderr) == (1, True)


def test_codes_for_many_come_as_a_table(shared):
    file = shared.folder / "cameras.csv"
    file.write_text("device,place\nyard-1,north\nyard-2,south\n")
    printed = shared.claim("--csv", file, "--expires", "7d").splitlines()
    assert printed[0] == "device,code,expires"
    assert [line.split(",")[0] for line in printed[1:]] == ["yard-1", "yard-2"]
    shared.enroll("yard-1", printed[1].split(",")[1])
    file.write_text("device\nyard/1\nyard-2\nyard-2\n")
    refused = shared.pinhole("portal", "claim", "--csv", file, "-c", shared.config, check=False)
    assert "line 2" in refused.stderr
    assert "line 4" in refused.stderr


def test_rotated_keys_reach_a_camera_and_a_retired_one_counts_no_more(shared):
    shared.enroll("rota", shared.claim())
    shared.start_agent("rota")
    file = shared.state("rota") / "portal-keys.json"

    def known():
        return json.loads(file.read_bytes())["keys"]

    [first] = known()
    shared.pinhole("portal", "keys", "rotate", "-c", shared.config)
    until(lambda: len(known()) == 2)
    assert first in known()
    listed = shared.pinhole("portal", "keys", "list", "-c", shared.config).stdout.splitlines()
    assert "signs" in listed[0], "the new one waits until it is known"
    shared.pinhole("portal", "keys", "retire", listed[0].split()[0], "-c", shared.config)
    until(lambda: len(known()) == 1)
    assert known() != [first]
    assert watch(shared, "rota")[0] == 0
    shared.stop_agent("rota")


def test_a_certificate_is_renewed_before_it_ends(shared):
    from agent.signaling.enrolment import ENROLMENT_FILE, load_enrolment

    shared.enroll("renew", shared.claim())
    folder = shared.state("renew")
    url, enrolment = load_enrolment(folder)
    text = (folder / ENROLMENT_FILE).read_text()
    soon = time.time() + 86400
    (folder / ENROLMENT_FILE).write_text(text.replace(str(enrolment.expires_at), str(soon)))
    (folder / "device.pem").unlink()
    (folder / "device.pem").write_text(enrolment.certificate)
    shared.start_agent("renew")
    until(lambda: "certificate for the broker was renewed" in shared.log("renew"))
    assert load_enrolment(folder)[1].expires_at > soon
    assert url == shared.url
    shared.stop_agent("renew")


def test_nothing_on_the_device_takes_the_running_agents_place_at_the_broker(shared):
    """Mosquitto knows whoever has the camera's certificate as the camera."""
    shared.enroll("busy", shared.claim())
    config = shared.camera("busy")
    idle = shared.pinhole("doctor", "-c", config, "--no-camera", "--json")
    assert "connected and subscribed" in the_brokers(idle)["message"]
    shared.start_agent("busy")
    until((shared.state("busy") / "broker.json").exists, what="what the agent says of its broker")
    said = shared.pinhole("doctor", "-c", config, "--no-camera", "--json")
    assert the_brokers(said)["verdict"] == "good"
    assert "the running agent is connected" in the_brokers(said)["message"]
    second = shared.pinhole("run", "-c", config, check=False)
    assert second.returncode == 1
    assert "another agent runs" in second.stderr
    assert watch(shared, "busy")[0] == 0
    assert shared.log("busy").count("connected to") == 1, "nobody pushed it out"
    shared.stop_agent("busy")


def the_brokers(done):
    return next(one for one in json.loads(done.stdout)["findings"] if one["check"] == "broker")


def tls_of(shared, name):
    """TLS as the camera `name` would begin it."""
    folder = shared.state(name)
    context = ssl.create_default_context(cafile=folder / "broker-ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refusal is then told within the handshake
    context.load_cert_chain(folder / "device.pem", folder / "device-key.pem")
    return context


def test_a_revoked_camera_is_cut_off_within_seconds(shared):
    shared.enroll("stolen", shared.claim())
    shared.start_agent("stolen")
    context = tls_of(shared, "stolen")
    with (
        socket.create_connection(("127.0.0.1", shared.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        resumed = tls.session
    before = shared.log("stolen").count("connected to mqtts")
    start_s = time.monotonic()
    shared.pinhole("portal", "device", "revoke", "stolen", "-c", shared.config)
    until(lambda: "the connection was lost" in shared.log("stolen"), CUT_OFF_S)
    print(f"cut off {time.monotonic() - start_s:.1f} s after the command began")
    time.sleep(3)
    assert shared.log("stolen").count("connected to mqtts") == before, "it does not come back"

    with socket.create_connection(("127.0.0.1", shared.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1", session=resumed)
    code, _, errors = watch(shared, "stolen")
    assert code == 1, errors
    listed = shared.pinhole("portal", "device", "list", "-c", shared.config).stdout
    assert re.search(r"stolen.*\d{4}-\d\d-\d\d.*\d{4}-\d\d-\d\d", listed)
    assert shared.enroll("stolen", "not-a-code", check=False).returncode == 1


def health(one):
    with urllib.request.urlopen(f"{one.url}/healthz", timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("fault", ["mode", "gone"])
def test_a_fault_in_the_folder_of_keys_ends_no_running_portal(shared, fault):
    name = f"keeper-{fault}"
    shared.enroll(name, shared.claim())
    shared.start_agent(name)
    folder = shared.folder / "portal-state"
    files = list(folder.glob("signing-*.pem"))
    for file in files:
        if fault == "mode":
            file.chmod(0o644)
        else:
            file.rename(f"{file}.away")
    try:
        if fault == "gone":  # what is known is read again only where it changed
            until(lambda: health(shared)["status"] == "fault")
            assert "keys" in shared.log("portal")
        exit_code, _, errors = watch(shared, name)
        assert exit_code == 0, errors
        assert shared.portal.poll() is None
    finally:
        for file in files:
            if fault == "mode":
                file.chmod(0o600)
            else:
                file.with_name(f"{file.name}.away").rename(file)
        shared.stop_agent(name)
    until(lambda: health(shared)["status"] == "ok")


def test_a_revocation_that_the_broker_was_not_told_is_told_later(shared):
    """The list cannot be written at first; the dashboard says so, and nobody has to ask again."""
    shared.enroll("lost", shared.claim())
    shared.start_agent("lost")
    crl = shared.folder / "broker" / "crl.pem"
    former = crl.read_bytes()
    crl.unlink()
    crl.mkdir()  # nobody writes a file in its place, not even root
    try:
        said = shared.pinhole("portal", "device", "revoke", "lost", "-c", shared.config, check=False)
        assert said.returncode == 1
        until(lambda: health(shared)["status"] == "fault")
        assert "tried again" in shared.log("portal")
        assert shared.portal.poll() is None
    except BaseException:
        crl.rmdir()
        crl.write_bytes(former)  # the other tests go on with it
        raise
    crl.rmdir()  # and nothing put back: the portal may have written the new list by then
    until(lambda: crl.is_file() and crl.read_bytes() != former)
    until(lambda: health(shared)["status"] == "ok")
    shared.stop_agent("lost")


def test_lost_keys_are_not_made_anew_in_silence(shared, tmp_path):
    shared.enroll("holder", shared.claim())
    config = tmp_path / "portal.toml"
    text = shared.config.read_text().replace("port = 0\n", f'port = 0\nstate_dir = "{tmp_path}/fresh"\n')
    config.write_text(text + f'database_url = "sqlite:///{shared.folder}/portal.db"\n')
    said = shared.pinhole("portal", "-c", config, check=False)
    assert said.returncode == 1
    assert "are lost, and cameras hold certificates" in said.stderr
    assert not (tmp_path / "fresh" / "ca.pem").exists()


def test_a_name_that_a_former_release_let_in_ends_no_portal(shared):
    """It cannot be a level of a topic, so there is nothing to wipe of it at the broker."""
    shared.enroll("later", shared.claim())
    shared.start_agent("later")
    until(lambda: watch(shared, "later")[0] == 0, what="a portal that knows this one")
    with contextlib.closing(sqlite3.connect(shared.folder / "portal.db")) as db, db:
        db.execute(
            "INSERT INTO devices (id, public_key, enrolled_at, enrolled_by) VALUES ('a/+', x'00', 0, 'ann')"
        )
        db.execute("UPDATE device_revision SET number = number + 1")
    shared.pinhole("portal", "device", "revoke", "later", "-c", shared.config)
    until(lambda: "camera later is shut out" in shared.log("portal"), what="a portal that has seen either")
    shared.stop_agent("later")
    shared.pinhole("portal", "device", "revoke", "a/+", "-c", shared.config)
    until(lambda: "camera a/+ is shut out" in shared.log("portal"))
    until(lambda: health(shared)["status"] == "ok")
    time.sleep(3)
    assert shared.portal.poll() is None
    assert health(shared)["status"] == "ok"
