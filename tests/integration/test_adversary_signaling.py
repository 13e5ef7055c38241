"""An attacker who holds the broker: reads everything, writes everything, and gets nowhere.

Real agent, real portal, real Mosquitto that lets everybody in. What was refused shows in the agent's and the
portal's logs with its reason, and nobody starts a camera or hears an answer.
"""

import base64
import json
import re
import time
from contextlib import contextmanager

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client
from parts.mosquitto import mosquitto
from parts.stack import running_stack
from parts.trust import make_offer, peek, seal

from agent.model.signal import Answer, Bye, Candidate, Command, Restart
from agent.signaling.signing import SigningFolder
from agent.signaling.trust import SigningKey, make_signing_key

IN, OUT = "pinhole/v1/cam/signal/{}/in", "pinhole/v1/cam/signal/{}/out"
LATE = 2**31 - 2
"""A number that no message of the session has reached: the portal's begin at the time."""
WAIT_S = 45.0
QUIET_S = 1.1
HEALTH_S = 40.0
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


class Attacker:
    """Everything that a broker's operator can do."""

    def __init__(self, broker, stack):
        self.stack = stack
        self.past = []
        self.logged_s = {}
        self.written = set()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="mallory")
        self.client.on_message = lambda _c, _u, message: self.past.append((message.topic, message.payload))
        self.client.connect("127.0.0.1", broker.ports["mqtt"])
        self.client.subscribe("#", qos=1)
        self.client.loop_start()
        # What only the portal has: the attacks that need it show that the rest of a message matters too.
        self.portal_key = SigningFolder(stack.folder / "portal-state").current
        self.boot_id = self.until(self.newest_state)["boot_id"]

    def newest_state(self):
        states = [payload for topic, payload in self.past if topic == "pinhole/v1/cam/state"]
        return peek(states[-1]) if states else None

    def until(self, condition):
        deadline_s = time.monotonic() + WAIT_S
        while not (value := condition()):
            assert time.monotonic() < deadline_s, self.stack.log("agent") + self.stack.log("portal")
            time.sleep(0.02)
        return value

    def write(self, topic, payload):
        self.written.add(payload)
        self.client.publish(topic, payload, qos=1).wait_for_publish(WAIT_S)

    def messages(self, topic):
        return [payload for heard, payload in self.past if heard == topic]

    def offer(self, **changes):
        fields = {"boot_id": self.boot_id, "sdp": SDP, "user": "mallory"}
        return make_offer(**(fields | changes))

    def expect_refusal(self, code, act, log="agent"):
        """It is logged with this reason, once more than before; no viewer begins and no answer is heard."""
        pattern = rf"refused \({code}, (\d+) so far\)"

        def count():
            return len(re.findall(pattern, self.stack.log(log)))

        pause_s = self.logged_s.get((code, log), 0.0) + QUIET_S - time.monotonic()
        time.sleep(max(0.0, pause_s))  # a reason is logged once a second
        before, viewers = count(), self.stack.log("agent").count("asks for video")
        answers = self.answers()
        act()
        self.until(lambda: count() > before)
        self.logged_s[code, log] = time.monotonic()
        assert self.stack.log("agent").count("asks for video") == viewers
        assert self.answers() == answers

    def answers(self):
        """How often the camera has answered; what we wrote does not count."""
        said = [sealed for topic, sealed in list(self.past) if topic.endswith("/out")]
        return sum(sealed not in self.written and peek(sealed)["type"] == "answer" for sealed in said)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def attacker():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        one = Attacker(broker, stack)
        yield one
        one.close()


def parts(sealed):
    return sealed.split(b".")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def unb64(text):
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def altered(sealed, change):
    """The same signature over another message."""
    head, body, signature = parts(sealed)
    message = json.loads(unb64(body))
    change(message)
    return b".".join((head, b64(json.dumps(message).encode()), signature))


@contextmanager
def playing(attacker):
    """Somebody who may watch does; yields the session."""
    known = {topic for topic, _ in attacker.past}
    viewer = attacker.stack.start_watch("--seconds", "60")
    try:
        pattern = re.compile(r"pinhole/v1/cam/signal/([0-9a-f]+)/out")

        def begun():
            new = (pattern.fullmatch(topic) for topic, _ in list(attacker.past) if topic not in known)
            return next((found[1] for found in new if found), None)

        session = attacker.until(begun)
        attacker.until(lambda: f"viewer {session}" in attacker.stack.log("agent"))
        yield session
        assert viewer.poll() is None, "the viewer still watches"
    finally:
        viewer.terminate()
        viewer.communicate(timeout=30)


def test_forged_offers_are_refused(attacker):
    own = SigningKey(make_signing_key())
    topic = IN.format("forged1")
    attacker.expect_refusal("unknown-key", lambda: attacker.write(topic, seal(topic, attacker.offer(), own)))

    def under_the_portals_name():
        head, body, _ = parts(seal(topic, attacker.offer(), own))
        header = json.loads(unb64(head)) | {"kid": attacker.portal_key.kid}
        forged = b64(json.dumps(header).encode()) + b"." + body
        signature = b64(own._jwk.private_key.sign(forged))
        attacker.write(topic, forged + b"." + signature)

    attacker.expect_refusal("bad-signature", under_the_portals_name)
    attacker.expect_refusal("unsigned", lambda: attacker.write(topic, b'{"v":1,"type":"offer","seq":0}'))
    assert attacker.messages(OUT.format("forged1")) == [], "not even a reject"


@pytest.mark.parametrize("alg", ["none", "HS256", "EdDSA"])
def test_downgraded_signatures_are_refused(attacker, alg):
    topic = IN.format(f"down{alg}")
    head, body, signature = parts(seal(topic, attacker.offer(), attacker.portal_key))
    header = b64(json.dumps(json.loads(unb64(head)) | {"alg": alg}).encode())
    sent = b".".join((header, body, b"" if alg == "none" else signature))
    attacker.expect_refusal("bad-algorithm", lambda: attacker.write(topic, sent))


def test_altered_and_fingerprint_swapped_offers_are_refused(attacker):
    topic = IN.format("altered")
    good = seal(topic, attacker.offer(sdp=SDP + "a=fingerprint:sha-256 AA:BB\r\n"), attacker.portal_key)

    def swap(message):
        message["sdp"] = message["sdp"].replace("AA:BB", "CC:DD")

    for change in (swap, lambda message: message.update(user="admin"), lambda m: m.update(relay_only=True)):
        sent = altered(good, change)
        attacker.expect_refusal("bad-signature", lambda sent=sent: attacker.write(topic, sent))


def test_retargeted_offers_are_refused(attacker):
    """One that was signed for another session, another device, or the other direction."""
    window = "pinhole/v1/window/signal/moved/in"
    for signed_for in (IN.format("other"), window, OUT.format("moved")):
        sent = seal(signed_for, attacker.offer(), attacker.portal_key)
        attacker.expect_refusal("wrong-topic", lambda sent=sent: attacker.write(IN.format("moved"), sent))


def test_expired_offers_and_those_for_an_earlier_start_are_refused(attacker):
    topic = IN.format("old")
    late = seal(topic, attacker.offer(now=time.time() - 60), attacker.portal_key)
    attacker.expect_refusal("expired", lambda: attacker.write(topic, late))
    other = seal(topic, attacker.offer(seq=1, boot_id="0" * 16), attacker.portal_key)
    attacker.expect_refusal("wrong-boot", lambda: attacker.write(topic, other))


def test_offers_of_who_may_not_watch_are_refused(attacker):
    topic = IN.format("denied")
    sent = seal(topic, attacker.offer(permissions=("control",)), attacker.portal_key)
    attacker.expect_refusal("not-allowed", lambda: attacker.write(topic, sent))


def test_what_was_heard_starts_nothing_when_it_is_said_again(attacker):
    with playing(attacker) as session:
        heard = list(attacker.messages(IN.format(session)))
        attacker.expect_refusal("duplicate", lambda: attacker.write(IN.format(session), heard[0]))
        attacker.expect_refusal("wrong-topic", lambda: attacker.write(IN.format("again"), heard[0]))
    attacker.until(lambda: f"viewer {session} ended" in attacker.stack.log("agent"))
    attacker.expect_refusal("duplicate", lambda: attacker.write(IN.format(session), heard[0]))


def test_nobody_injects_candidates_byes_or_restarts(attacker):
    own = SigningKey(make_signing_key())
    with playing(attacker) as session:
        inside, outside = IN.format(session), OUT.format(session)
        for message in (Candidate(LATE, "candidate:1 1 udp 1 192.0.2.1 9 typ host"), Bye(LATE, "go")):
            sent = seal(inside, message, own)
            attacker.expect_refusal("unknown-key", lambda sent=sent: attacker.write(inside, sent))
        restart = seal(inside, attacker.offer(seq=LATE, restart=True), own)
        attacker.expect_refusal("unknown-key", lambda: attacker.write(inside, restart))
        stolen = seal(inside, attacker.offer(seq=LATE, restart=True), attacker.portal_key)
        attacker.expect_refusal("not-allowed", lambda: attacker.write(inside, stolen))
        for message in (Bye(LATE, "go"), Restart(LATE, "move"), Answer(LATE, "n" * 22, SDP)):
            sent = seal(outside, message, own)
            attacker.expect_refusal("unknown-key", lambda sent=sent: attacker.write(outside, sent), "portal")


def test_an_altered_or_swapped_answer_does_not_reach_the_browser(attacker):
    with playing(attacker) as session:
        topic = OUT.format(session)
        answer = next(said for said in attacker.messages(topic) if peek(said)["type"] == "answer")

        def swap(message):
            message["seq"] = LATE
            message["sdp"] = re.sub(r"(a=fingerprint:sha-256 )\S\S", r"\g<1>00", message["sdp"])

        sent = altered(answer, swap)
        attacker.expect_refusal("bad-signature", lambda: attacker.write(topic, sent), "portal")


def test_nobody_else_says_how_a_camera_is(attacker):
    """A state under another key: another camera's, with the same broker."""
    own = SigningKey(make_signing_key())
    state = next(said for topic, said in attacker.past if topic == "pinhole/v1/cam/state")
    for topic in ("pinhole/v1/cam/state", "pinhole/v1/ghost/state"):
        sent = seal(topic, unb64(parts(state)[1]), own)

        def act(topic=topic, sent=sent):
            attacker.write(topic, sent)

        attacker.expect_refusal("unknown-key", act, "portal")


def test_commands_that_were_sent_past_the_portals_check_are_refused_by_the_camera(attacker):
    def send(command, name, key=attacker.portal_key, **changes):
        now = time.time()
        fields = {"issued_at": now, "expires_at": now + 60, "boot_id": attacker.boot_id, "user": "mallory"}
        message = Command(name=name, **(fields | {"permissions": ("watch",)} | changes))
        topic = IN.format(command)
        attacker.write(topic, seal(topic, message, key))

    def results(command):
        said = map(peek, attacker.messages(OUT.format(command)))
        return [message["code"] for message in said if message["type"] == "result"]

    for name in ("look", "identify", "restart-agent", "reboot", "set"):
        attacker.expect_refusal("not-allowed", lambda name=name: send(f"past-{name}", name))
        assert results(f"past-{name}") == []
    operator = {"permissions": ("watch", "control")}
    stranger = SigningKey(make_signing_key())
    attacker.expect_refusal("unknown-key", lambda: send("forged", "look", stranger, **operator))
    attacker.expect_refusal("wrong-boot", lambda: send("old", "look", boot_id="boot0", **operator))
    send("twice", "look", **operator)
    attacker.until(lambda: results("twice"))
    [sealed] = attacker.messages(IN.format("twice"))
    attacker.write(IN.format("twice"), sealed)
    attacker.until(lambda: results("twice") == ["done", "done"])
    assert attacker.stack.log("agent").count("had it look for a new release") == 1


def test_refusals_are_counted_in_the_cameras_health(attacker):
    codes = {"unknown-key", "bad-signature", "bad-algorithm", "wrong-topic", "expired"}
    healths = attacker.messages("pinhole/v1/cam/health")
    deadline_s = time.monotonic() + HEALTH_S
    while not any(codes <= set(peek(said)["refused"]) for said in healths):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
        healths = attacker.messages("pinhole/v1/cam/health")


def test_a_state_of_an_earlier_start_ends_nothing_that_plays():
    """It is signed, and was true once; a camera that really begins anew is believed at once."""
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        attacker = Attacker(broker, stack)
        topic, former = "pinhole/v1/cam/state", attacker.boot_id
        old = attacker.messages(topic)[-1]
        stack.restart_agent()
        attacker.until(lambda: attacker.newest_state()["boot_id"] != former)
        viewer = stack.start_watch("--seconds", "6")
        attacker.until(lambda: stack.log("agent").count("viewer connected") == 1)
        for _ in range(20):
            attacker.client.publish(topic, old, qos=1, retain=True).wait_for_publish(WAIT_S)
            time.sleep(0.1)
        code, seen, said = stack.end_watch(viewer)
        assert code == 0, said
        assert seen["frames"] > 0
        viewer = stack.start_watch("--seconds", "30")
        # No state tells it: the newest may still be of the first viewer.
        attacker.until(lambda: stack.log("agent").count("viewer connected") == 2)
        stack.restart_agent()
        code, _, said = stack.end_watch(viewer)
        assert code != 0
        assert "restarted" in said
        code, _, said = stack.watch("--seconds", "1")
        assert code == 0, said
        attacker.close()
