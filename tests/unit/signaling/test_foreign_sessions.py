"""All portals at a broker hear what is said in any session: each minds its own alone."""

import pytest

from agent.model.signal import Candidate
from agent.model.topics import Topic, encode_topic
from agent.signaling.messages import encode
from agent.signaling.portal import PortalSignaling
from agent.signaling.quota import BURST
from agent.signaling.trust import SigningKey, VerifyKey, make_signing_key

NOW_S = 1_800_000_000.0
DEVICE = SigningKey(make_signing_key())
OURS, FOREIGN = "a" * 32, "b" * 32
MESSAGE = Candidate(0, "candidate:1")


class Portal:
    """It has one session, with the camera `cam`."""

    def __init__(self):
        self.heard = []
        self.signaling = PortalSignaling(
            "pinhole", lambda *_, **__: True, self, self, signing=None, device_key=lambda _: DEVICE.public
        )

    def expects(self, device, session):
        return (device, session) == ("cam", OURS)

    def on_signal(self, device, session, message):
        self.heard.append((device, session, message))

    def says(self, device, session, message=None):
        topic = encode_topic("pinhole", Topic(device, "out", session))
        sealed = DEVICE.seal(topic, encode(MESSAGE)) if message is None else message
        self.signaling.on_message(topic, sealed, NOW_S)


@pytest.fixture
def verified(monkeypatch):
    counted = []
    verifies = VerifyKey.verifies
    monkeypatch.setattr(VerifyKey, "verifies", lambda key, it: counted.append(1) or verifies(key, it))
    return counted


def test_what_is_said_in_another_portals_session_costs_no_signature(verified):
    portal = Portal()
    portal.says("cam", OURS)
    assert (portal.heard, len(verified)) == ([("cam", OURS, MESSAGE)], 1)
    portal.says("cam", FOREIGN)
    portal.says("other", OURS)
    assert (len(portal.heard), len(verified)) == (1, 1)
    assert not portal.signaling.refused, "it is no fault of anybody"


def test_what_is_said_in_a_session_of_ours_is_proven_as_ever():
    portal = Portal()
    portal.says("cam", OURS, b"forged")
    assert (portal.heard, portal.signaling.refused) == ([], {"unsigned": 1})


def test_a_device_that_says_much_in_foreign_sessions_is_loud_all_the_same():
    portal = Portal()
    for _ in range(int(BURST) + 1):
        portal.says("cam", FOREIGN, b"noise")
    assert portal.signaling.refused.keys() == {"too-fast"}
