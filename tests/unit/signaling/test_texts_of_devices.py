"""What cameras say reaches people without its tricks, by whatever message it came."""

import pytest

from agent.model.event import Event, Events
from agent.model.health import Health, HealthFault
from agent.model.sections import SectionsMessage
from agent.model.signal import Answer, BareEvent, Bye, Reject, Restart, Result, State
from agent.model.topics import Topic, encode_topic
from agent.signaling.messages import encode
from agent.signaling.portal import PortalSignaling
from agent.signaling.trust import SigningKey, make_signing_key

NOW_S = 1_800_000_000.0
DEVICE = SigningKey(make_signing_key())
ODD, CLEAN = "a\u202eb\x1b[2J", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2J"
SESSION = "a" * 32


def state(text):
    return State("boot-1", online=True, since=1.0, name=text, version=text, problem=text)


def sections(text):
    motion = {
        "state": "moving",
        "zones": [text, "Käthes Tür"],
        "labels": [text],
        "of_tomorrow": [{"is": text}],
    }
    return SectionsMessage("boot-1", 1, {"motion": motion})


def health(text):
    return Health(1.0, "open", faults=(HealthFault("clock", text, text),))


def events(text):
    one = Event(
        "b-1", "motion", "info", "motion", 1.0, text, "running", thumbnail=text, details={"zones": text}
    )
    return Events(1.0, (one,))


def bare_event(text):
    return BareEvent("camera-failed", 1.0, text, {"why": text})


def result(text):
    return Result(0, SESSION, "motion", ok=True, code="done", message=text, value={"zones": [{"name": text}]})


class Portal:
    """It listens to all that a camera can say."""

    def __init__(self):
        self.heard = []
        self.signaling = PortalSignaling(
            "pinhole", lambda *_, **__: True, self, self, signing=None, device_key=lambda _: DEVICE.public
        )
        self.on_state = self.on_sections = self.on_health = self.on_events = self._hear
        self.on_bare_event = lambda device, event, _digest: self._hear(device, event)
        self.on_signal = lambda device, _session, message: self._hear(device, message)

    def expects(self, *_):
        return True

    def _hear(self, _device, message):
        self.heard.append(message)

    def hears(self, channel, name, message):
        topic = encode_topic("pinhole", Topic("cam", channel, name))
        self.signaling.on_message(topic, DEVICE.seal(topic, encode(message)), NOW_S)
        assert not self.signaling.refused
        return self.heard


@pytest.mark.parametrize(
    ("channel", "name", "says"),
    [
        ("state", "", state),
        ("sections", "", sections),
        ("health", "", health),
        ("events", "", events),
        ("event", "camera-failed", bare_event),
        ("out", SESSION, result),
        ("out", SESSION, lambda text: Reject(0, "busy", text)),
        ("out", SESSION, lambda text: Restart(0, text)),
        ("out", SESSION, lambda text: Bye(0, text)),
    ],
    ids=["state", "sections", "health", "events", "event", "result", "reject", "restart", "bye"],
)
def test_no_text_of_a_camera_reverses_a_line_or_reaches_a_terminal(channel, name, says):
    assert Portal().hears(channel, name, says(ODD)) == [says(CLEAN)]


def test_lines_and_letters_of_every_script_stay():
    plain = "Käthes Tür\n\t犬 שלום"
    assert Portal().hears("state", "", state(plain)) == [state(plain)]


def test_an_answer_keeps_the_line_ends_of_its_sdp():
    answer = Answer(0, "n" * 22, "v=0\r\ns=-\r\n")
    assert Portal().hears("out", SESSION, answer) == [answer]
