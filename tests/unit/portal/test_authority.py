"""The broker's files may be made again at any time: what is still good stays as it is."""

import contextlib
import datetime as dt
import ssl

import pytest
from cryptography import x509

from agent.errors import PortalError
from agent.portal import authority as authorities
from agent.portal.authority import PORTAL_NAME, Authority, read_request
from agent.portal.mosquitto import BrokerPlan, write_broker_files
from agent.signaling.trust import SigningKey, make_signing_key

NO_IDS = (
    PORTAL_NAME,
    "x\n2030-01-01 INFO all is well",
    "\x1b[2Jx",
    "+",
    "#",
    "a/b",
    "../x",
    "$SYS",
    "a b",
    "ä",
)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "state")


@pytest.fixture
def plan(tmp_path):
    return BrokerPlan(tmp_path / "broker", ("mqtt.example.org", "127.0.0.1"))


def contents(plan):
    return {file.name: file.read_bytes() for file in plan.folder.iterdir()}


def test_a_second_time_changes_nothing(authority, plan):
    write_broker_files(plan, authority, [7, 9])
    first = contents(plan)
    write_broker_files(plan, authority, [9, 7])
    assert contents(plan) == first


def test_what_it_issues_is_proven_as_strictly_as_rfc_5280_says(authority, plan):
    """Python 3.13's default, which an agent of the last release has."""
    write_broker_files(plan, authority, [])
    strict = ssl.create_default_context(cadata=(plan.folder / "ca.pem").read_text())
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(plan.folder / "server.pem", plan.folder / "server-key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict.wrap_bio(to_client, to_server, server_hostname="mqtt.example.org")
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert client.version()


def test_another_name_is_another_certificate(authority, plan, tmp_path):
    write_broker_files(plan, authority, [])
    first = contents(plan)
    write_broker_files(BrokerPlan(plan.folder, ("broker.example.org",)), authority, [])
    changed = {name for name, data in contents(plan).items() if data != first[name]}
    assert changed == {"server.pem"}
    first = contents(plan)
    write_broker_files(BrokerPlan(plan.folder, ("broker.example.org",)), Authority(tmp_path / "another"), [])
    assert {"server.pem", "ca.pem", "crl.pem"} <= {
        n for n, data in contents(plan).items() if data != first[n]
    }


def test_a_certificate_that_ends_soon_is_replaced_in_time(authority, plan, monkeypatch):
    write_broker_files(plan, authority, [])
    first = contents(plan)
    now = dt.datetime.now(dt.UTC)
    for days, is_kept in ((290, True), (300, False)):
        monkeypatch.setattr(authorities, "_now", lambda days=days: now + dt.timedelta(days=days))
        write_broker_files(plan, authority, [])
        assert (contents(plan)["server.pem"] == first["server.pem"]) is is_kept, f"after {days} days"


def test_a_revocation_is_written(authority, plan):
    write_broker_files(plan, authority, [7])
    write_broker_files(plan, authority, [7, 9])
    listed = x509.load_pem_x509_crl((plan.folder / "crl.pem").read_bytes())
    assert {one.serial_number for one in listed} == {7, 9}


@pytest.mark.parametrize("file", ["server.pem", "crl.pem"])
@pytest.mark.parametrize("junk", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_damaged_is_made_anew(authority, plan, file, junk):
    write_broker_files(plan, authority, [7])
    (plan.folder / file).write_bytes(junk)
    write_broker_files(plan, authority, [7])
    assert contents(plan)[file].startswith(b"-----BEGIN ")
    assert contents(plan)[file] != junk


@pytest.mark.parametrize("name", NO_IDS, ids=ascii)
def test_a_request_under_a_name_that_is_no_id_is_refused_in_one_line(name):
    request = SigningKey(make_signing_key()).make_request(name)
    with pytest.raises(PortalError) as caught:
        read_request(request.encode())
    assert str(caught.value).isprintable()


def test_a_request_under_an_id_is_read():
    device, public = read_request(SigningKey(make_signing_key()).make_request("front-door_2").encode())
    assert (device, len(public)) == ("front-door_2", 32)
