"""The agent's log and `pinhole doctor` say the same of the same fault."""

import socket
import ssl

import pytest
from aioice import stun

from agent.rtc.refusal import SERVER_FAULTS, server_fault


def refused(code, phrase):
    response = stun.Message(message_method=stun.Method.ALLOCATE, message_class=stun.Class.ERROR)
    response.attributes["ERROR-CODE"] = (code, phrase)
    return stun.TransactionFailed(response)


def untrusted():
    error = ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refused(486, "Allocation Quota Reached"), "has no room for another allocation"),
        (refused(499, "Odd"), "refused with 499 Odd"),
        (stun.TransactionTimeout(), "no answer"),
        (ConnectionRefusedError(111, "Connect call failed ('192.0.2.1', 3478)"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (untrusted(), "its certificate is not trusted (self-signed certificate)"),
        (KeyError("XOR-RELAYED-ADDRESS"), "its answer holds no XOR-RELAYED-ADDRESS"),
        (ValueError("STUN message length does not match"), "STUN message length does not match"),
    ],
)
def test_each_fault_of_a_server_has_words(error, words):
    assert isinstance(error, SERVER_FAULTS)
    assert words in server_fault(error)
