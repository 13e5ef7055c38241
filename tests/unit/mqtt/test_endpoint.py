import socket
import ssl

import pytest
import trustme

from agent.config import BrokerSettings
from agent.errors import BrokerError
from agent.mqtt.endpoint import Endpoint, code_words, explain, make_tls_context, parse_endpoint

SOMEWHERE = parse_endpoint("mqtt://broker.example.org")


@pytest.mark.parametrize(
    ("url", "port", "tls", "path"),
    [
        ("mqtt://h.example", 1883, False, None),
        ("mqtts://h.example", 8883, True, None),
        ("ws://h.example", 80, False, "/mqtt"),
        ("wss://h.example/", 443, True, "/mqtt"),
        ("wss://h.example:8084/broker/ws", 8084, True, "/broker/ws"),
        ("mqtt://h.example:99/ignored", 99, False, None),
    ],
)
def test_a_url_says_where_and_how(url, port, tls, path):
    assert parse_endpoint(url) == Endpoint(url, "h.example", port, tls, path)


def test_an_ipv6_address_loses_its_brackets():
    assert parse_endpoint("mqtt://[::1]:1884").host == "::1"


@pytest.mark.parametrize("url", ["mqtt://[", "mqtt://", "mqtt:", "http://h.example"])
def test_what_is_no_address_is_a_clear_error(url):
    with pytest.raises(BrokerError, match="no broker URL"):
        parse_endpoint(url)


def test_a_port_that_is_none_is_a_clear_error():
    with pytest.raises(BrokerError, match="no broker URL"):
        parse_endpoint("mqtt://h.example:99999")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "is the broker running"),
        (TimeoutError(), "no answer in time"),
        (socket.gaierror(-2, "Name or service not known"), "unknown host"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
        (OSError("Multiple exceptions: …"), "Multiple exceptions"),
    ],
)
def test_a_fault_on_the_way_says_what_to_look_at(error, words):
    assert explain(error, SOMEWHERE).startswith("mqtt://broker.example.org: ")
    assert words in explain(error, SOMEWHERE)


def test_a_refusal_names_the_setting():
    assert "broker.username" in code_words(0x86, "5", "door")
    assert "door" in code_words(0x8E, "5", "door")
    assert "MQTT 5" in code_words(0x84, "5", "door")
    assert "0xff" in code_words(0xFF, "5", "door")


@pytest.mark.parametrize("code", range(0x80, 0xA3))
def test_every_reason_code_of_mqtt_5_has_words(code):
    words = code_words(code, "5", "door")
    assert f"0x{code:02x}" not in words
    assert "{" not in words


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    client = ca.issue_cert("door.example.org")
    client.private_key_pem.write_to_path(str(folder / "key.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (folder / "junk.pem").write_text("junk")
    return folder


def settings(pems, **names):
    files = {key: pems / name for key, name in names.items()}
    return BrokerSettings.model_validate({"url": "mqtts://h.example"} | files)


def test_tls_trusts_the_ca_file_alone_and_nothing_older_than_1_2(pems):
    context = make_tls_context(settings(pems, ca_file="ca.pem", cert_file="cert.pem", key_file="key.pem"))
    assert context is not None
    assert len(context.get_ca_certs()) == 1
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT, (
        "which our own authority's certificates do not meet"
    )
    assert context.check_hostname


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"ca_file": "none.pem"}, "broker.ca_file .*none.pem.*No such file"),
        ({"ca_file": "junk.pem"}, "broker.ca_file .*junk.pem"),
        ({"cert_file": "none.pem", "key_file": "key.pem"}, "broker.cert_file .*No such file"),
        ({"cert_file": "cert.pem", "key_file": "junk.pem"}, "broker.cert_file .*key_file .*junk.pem"),
    ],
)
def test_an_unusable_file_is_named_with_its_setting(pems, files, words):
    with pytest.raises(BrokerError, match=words):
        make_tls_context(settings(pems, **files))


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for(pems):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((pems / "key.pem").read_bytes(), None)
    (pems / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(BrokerError, match="passphrase"):
        make_tls_context(settings(pems, cert_file="cert.pem", key_file="locked.pem"))
