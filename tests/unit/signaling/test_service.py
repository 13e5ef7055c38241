"""The device's end: what reaches whoever answers, and what the portal gets to read."""

import json
import logging

import pytest
from parts.trust import BOOT, DEVICE, PORTAL, key_set, make_offer, seal, unseal

from agent.errors import MessageError, NegotiationError
from agent.model.command import Order
from agent.model.event import Confirm, Event
from agent.model.flat import state_of
from agent.model.health import Health, HealthFault
from agent.model.sections import CameraSection, read_sections
from agent.model.signal import Answer, Bye, Candidate, Command, Look, Reject, Renew, Result, State
from agent.signaling.asked import MAX_TOLD_PER_S
from agent.signaling.messages import (
    encode,
    parse_events,
    parse_from_device,
    parse_health,
    parse_sections,
    parse_state,
)
from agent.signaling.service import (
    MAX_REJECTS_PER_S,
    UNRENEWED,
    SignalingService,
)
from agent.signaling.session_table import MAX_SESSIONS
from agent.signaling.trust import SKEW_S

NOW_S = 1_800_000_000.0
NONCE = "n" * 22
STATE = State("boot1", online=True, since=NOW_S, name="Door", camera="live", viewers=2)


class Handler:
    """Remembers what reached it; raises `fault` at an offer."""

    def __init__(self):
        self.heard = []
        self.fault = None
        self.results = {}

    def on_offer(self, session, offer):
        if self.fault is not None:
            raise self.fault
        self.heard.append(("offer", session, offer.sdp))

    def on_candidate(self, session, candidate):
        self.heard.append(("candidate", session, candidate))

    def on_bye(self, session, reason):
        self.heard.append(("bye", session, reason))

    def on_portal_keys(self, keys):
        self.heard.append(("keys", keys.version))

    def on_look(self):
        self.heard.append(("look",))

    def answered(self, command):
        return self.results.get(command)

    def on_command(self, order):
        if "control" not in order.permissions:
            raise MessageError("not-allowed", f"{order.user} may not")
        self.heard.append(("command", order.name, order.way))
        result = self.results[order.id] = Result(0, order.id, order.name, ok=True, code="done")
        return result

    def on_confirmed(self, events):
        self.heard.append(("confirmed", events))


def make_service(publish, handler, device="door"):
    return SignalingService(
        "pinhole", device, publish, handler, key=DEVICE, portal_keys=key_set(), boot_id=BOOT
    )


class Bench:
    """A service with both ends in hand."""

    def __init__(self):
        self.published = []
        self.handler = Handler()
        self.service = make_service(self._publish, self.handler)

    def _publish(self, topic, payload, *, qos=1, retain=False, expiry_s=None, is_urgent=False):  # noqa: ARG002
        self.published.append((topic, payload, qos, retain, expiry_s))
        return True

    def receive(self, message, session="s1", now_s=NOW_S, key=PORTAL, mono_s=None):
        topic = f"pinhole/v1/door/signal/{session}/in"
        self.service.on_message(topic, seal(topic, message, key), now_s, now_s if mono_s is None else mono_s)

    def opened(self, number=-1):
        topic, payload, *_ = self.published[number]
        return unseal(topic, payload)

    @property
    def sent(self):
        return [
            (topic.split("/")[4], parse_from_device(unseal(topic, payload)))
            for topic, payload, *_ in self.published
        ]


@pytest.fixture
def bench():
    return Bench()


def offer(seq=0, sdp="v=0", **changes):
    return make_offer(seq, now=NOW_S, sdp=sdp, **changes)


def test_a_session_reaches_the_handler_in_order(bench):
    for message in (offer(), Candidate(1, "candidate:1"), Candidate(2, ""), Bye(3, "closed")):
        bench.receive(message)
    assert bench.handler.heard == [
        ("offer", "s1", "v=0"),
        ("candidate", "s1", "candidate:1"),
        ("candidate", "s1", ""),
        ("bye", "s1", "closed"),
    ]
    assert bench.sent == [("s1", Bye(0, "closed"))], "so that the portal need not say it again"
    assert not bench.service.refused


def test_what_is_still_to_say_of_a_session_comes_before_its_end(bench):
    done = Result(0, "c1", "play", ok=True, code="done", message="saw all")
    bench.handler.on_bye = lambda session, _: bench.service.tell_asked(session, done)
    for message in (offer(), Bye(1, "closed")):
        bench.receive(message)
    assert [(type(sent), sent.seq) for _, sent in bench.sent] == [(Result, 0), (Bye, 1)]


def test_what_is_sent_is_numbered_by_session_and_expires(bench):
    bench.service.send_answer("s1", NONCE, "v=0")
    bench.service.send_candidate("s1", "candidate:1")
    bench.service.send_answer("s2", NONCE, "v=0")
    bench.service.send_bye("s1", "camera failed")
    assert bench.sent == [
        ("s1", Answer(0, NONCE, "v=0")),
        ("s1", Candidate(1, "candidate:1")),
        ("s2", Answer(0, NONCE, "v=0")),
        ("s1", Bye(2, "camera failed")),
    ]
    assert {item[2:] for item in bench.published} == {(1, False, 30.0)}
    assert bench.published[0][0] == "pinhole/v1/door/signal/s1/out"


def test_a_copy_and_a_late_message_fall_out_in_silence(bench):
    first = offer(5)
    for message in (first, first, Candidate(7, "b"), Candidate(6, "a"), Candidate(7, "b")):
        bench.receive(message)
    assert bench.handler.heard == [("offer", "s1", "v=0"), ("candidate", "s1", "b")]
    assert bench.service.refused == {"duplicate": 3}
    assert bench.published == []


def test_an_expired_offer_is_refused_with_both_times(bench):
    bench.receive(offer(issued_at=NOW_S - 30, expires_at=NOW_S - SKEW_S - 1))
    assert bench.handler.heard == []
    [(session, reject)] = bench.sent
    assert (session, reject.code) == ("s1", "expired")
    assert "2027-01-15T07:59:54" in reject.message
    assert "2027-01-15T08:00:00" in reject.message


def test_a_clock_that_is_a_little_off_refuses_nothing(bench):
    bench.receive(offer(issued_at=NOW_S - 30, expires_at=NOW_S - SKEW_S))
    assert len(bench.handler.heard) == 1


def test_a_device_whose_clock_is_behind_still_answers(bench):
    bench.receive(offer(), now_s=NOW_S - 10 * 365 * 86400)
    assert len(bench.handler.heard) == 1


def test_a_device_whose_clock_is_ahead_challenges_answers_and_says_so(bench):
    ahead_s = NOW_S + 3600
    bench.receive(offer(), now_s=ahead_s)
    [(_, refusal)] = bench.sent
    assert (refusal.code, bench.handler.heard) == ("expired", [])
    bench.receive(offer(1, challenge=refusal.challenge), now_s=ahead_s)
    assert len(bench.handler.heard) == 1
    bench.service.publish_health(Health(NOW_S, "symmetric"))
    topic, payload = bench.published[-1][:2]
    [fault] = parse_health(unseal(topic, payload)).faults
    assert (fault.check, fault.message[:26]) == ("clock", "3600 s ahead of the portal")


@pytest.mark.parametrize("step_s", [-3600, 3600], ids=["back", "forward"])
def test_a_step_of_the_clock_ends_no_session_and_offers_are_taken_when_it_is_right_again(bench, step_s):
    bench.receive(offer())
    stepped_s = NOW_S + step_s
    bench.receive(Candidate(1, "candidate:1"), now_s=stepped_s)
    bench.receive(offer(2, sdp="v=0 restart"), now_s=stepped_s)
    bench.receive(offer(0), "s2", now_s=NOW_S)
    assert [heard[:2] for heard in bench.handler.heard if heard[0] != "offer"] == [("candidate", "s1")]
    assert bench.handler.heard[-1] == ("offer", "s2", "v=0")
    assert bench.sent == [], "not even a restart that looks expired ends what plays"


def test_a_session_can_be_renegotiated(bench):
    bench.receive(offer(0))
    bench.receive(offer(1, sdp="v=0 restart"))
    assert [heard[2] for heard in bench.handler.heard] == ["v=0", "v=0 restart"]


def test_a_candidate_of_an_unknown_session_is_counted_and_dropped(bench):
    bench.receive(Candidate(0, "candidate:1"))
    assert bench.handler.heard == []
    assert bench.service.refused == {"unknown-session": 1}
    assert bench.published == []


@pytest.mark.parametrize("end", ["bye in", "bye out", "reject"])
def test_after_its_end_a_session_hears_why_once_and_that_is_no_fault(bench, end, caplog):
    bench.receive(offer())
    if end == "bye in":
        bench.receive(Bye(1))
    elif end == "bye out":
        bench.service.send_bye("s1", "over")
    else:
        bench.service.send_reject("s1", "busy", "8 viewers already", 5.0)
    bench.handler.heard.clear()
    bench.receive(Candidate(2, "candidate:1"))
    bench.receive(Bye(3, "the viewer may no longer come in"))
    bench.receive(Bye(4, "the viewer may no longer come in"))
    assert not caplog.records, "both ends may leave at once"
    bench.receive(offer())
    told = [("bye", "s1", "the viewer may no longer come in")]
    assert bench.handler.heard == ([] if end == "bye in" else told)
    assert bench.service.refused == {"duplicate": 1}


def test_a_viewer_may_leave_who_was_never_here(bench, caplog):
    """A portal ends what it asked of an agent that has started anew since."""
    bench.receive(Bye(0))
    assert bench.handler.heard == []
    assert not caplog.records


def test_a_viewer_is_told_that_the_broker_does_not_take_the_answer(bench):
    bench.receive(offer())
    bench.service.send_answer("s1", "n" * 22, "v=0 answer")
    topic = bench.published[-1][0]
    bench.service.on_refused(topic, "it is too large")
    bench.service.on_refused(topic, "and what says so as well")
    assert bench.handler.heard[-1] == ("bye", "s1", "it is too large")
    assert [sent for _, sent in bench.sent[1:]] == [Reject(1, "broker-refuses", "it is too large")]


def test_a_state_that_the_broker_does_not_take_is_nobodys_session(bench):
    bench.service.publish_state(STATE)
    bench.service.on_refused(bench.published[-1][0], "it is too large")
    assert len(bench.published) == 1


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x00\xff", "malformed"),
        (b'{"v":2,"type":"offer"}', "unknown-version"),
        (b'{"v":1,"type":"answer","seq":0,"sdp":"x"}', "unknown-type"),
        (b'{"v":1,"type":"offer","seq":0}', "invalid"),
    ],
)
def test_junk_is_answered_with_its_code_once_a_message(bench, payload, code):
    bench.receive(payload)
    assert [(session, type(sent), sent.code) for session, sent in bench.sent] == [("s1", Reject, code)]
    assert bench.service.refused == {code: 1}
    assert bench.handler.heard == []


def test_junk_does_not_end_a_session_that_plays(bench):
    bench.receive(offer())
    bench.receive(b"junk")
    bench.receive(offer(1, issued_at=0.0, expires_at=1.0))
    bench.receive(Candidate(2, "candidate:1"))
    assert bench.handler.heard[-1] == ("candidate", "s1", "candidate:1")
    assert bench.published == []


@pytest.mark.parametrize(
    "topic",
    [
        "pinhole/v1/door/signal/s1/out",
        "pinhole/v1/window/signal/s1/in",
        "pinhole/v1/door/state",
        "pinhole/v2/door/signal/s1/in",
        "other/v1/door/signal/s1/in",
        "pinhole/v1/door/signal/a b/in",
        "",
    ],
)
def test_topics_that_are_not_ours_are_counted_and_dropped(bench, topic):
    bench.service.on_message(topic, seal(topic, offer()), NOW_S, 0.0)
    assert bench.handler.heard == []
    assert bench.published == []
    assert bench.service.refused == {"unknown-topic": 1}


def test_an_offer_that_cannot_be_answered_is_rejected_with_the_handlers_code(bench):
    bench.handler.fault = NegotiationError("no-h264", "the browser offers no H.264")
    bench.receive(offer())
    assert bench.sent == [("s1", Reject(0, "no-h264", "the browser offers no H.264"))]
    bench.handler.fault = None
    bench.receive(offer(1))
    assert bench.handler.heard == [("offer", "s1", "v=0")]


def test_a_bug_that_one_offer_finds_harms_no_other_viewer(bench, caplog):
    bench.handler.fault = ZeroDivisionError("deep inside")
    bench.receive(offer())
    bench.handler.fault = None
    bench.receive(offer(), session="s2")
    assert [(session, sent.code) for session, sent in bench.sent] == [("s1", "internal")]
    assert "deep inside" not in bench.sent[0][1].message
    assert "deep inside" in caplog.text
    assert bench.handler.heard == [("offer", "s2", "v=0")]


def test_a_handler_may_reject_while_it_is_called(bench):
    bench.handler.on_offer = lambda session, _: bench.service.send_reject(session, "busy", "full", 5.0)
    bench.receive(offer())
    bench.receive(Candidate(1, "candidate:1"))
    assert bench.sent == [("s1", Reject(0, "busy", "full", 5.0))]
    assert not bench.service.refused


def test_made_up_sessions_do_not_push_out_who_watches(bench):
    bench.receive(offer(), session="viewer")
    for i in range(3 * MAX_SESSIONS):
        bench.receive(b"junk", session=f"x{i}", now_s=NOW_S + i)
    bench.receive(Candidate(1, "candidate:1"), session="viewer")
    assert bench.handler.heard[-1] == ("candidate", "viewer", "candidate:1")


def test_memory_of_sessions_is_bounded(bench):
    for i in range(MAX_SESSIONS + 1):
        bench.receive(make_offer(now=NOW_S + i), session=f"s{i}", now_s=NOW_S + i)
    bench.receive(Candidate(1, "x"), session="s0")
    bench.receive(Candidate(1, "x"), session="s1")
    assert bench.service.refused == {"unknown-session": 1}


def test_a_flood_of_junk_is_not_answered_without_end(bench):
    for i in range(1000):
        bench.receive(b"junk", session=f"x{i}", now_s=NOW_S + i / 1000)
    assert len(bench.published) == MAX_REJECTS_PER_S
    assert bench.service.refused == {"malformed": 1000}


def test_refusals_are_logged_once_a_second_and_code(bench, caplog):
    with caplog.at_level(logging.WARNING):
        for i in range(30):
            bench.receive(b"junk", now_s=NOW_S + i / 10)
            bench.receive(Candidate(0, "x"), session="none", now_s=NOW_S + i / 10)
    codes = [record.args[0] for record in caplog.records]
    assert codes == ["malformed", "unknown-session"] * 3


def test_a_clock_that_was_set_back_does_not_silence_the_log(bench, caplog):
    bench.receive(b"junk", now_s=NOW_S)
    bench.receive(b"junk", now_s=NOW_S - 86400)
    assert len(caplog.records) == 2


def test_state_is_retained_and_sent_only_when_it_changes(bench):
    bench.service.publish_state(STATE)
    bench.service.publish_state(STATE)
    bench.service.publish_state(State("boot1", online=False, since=NOW_S))
    assert [item[0] for item in bench.published] == ["pinhole/v1/door/state"] * 2
    assert all(retain for _, _, _, retain, _ in bench.published)
    assert parse_state(bench.opened(0)) == STATE


def test_state_is_sent_again_after_a_connection(bench):
    bench.service.republish_state()
    assert bench.published == []
    bench.service.publish_state(STATE)
    bench.service.republish_state()
    assert [parse_state(bench.opened(i)) for i in range(2)] == [STATE, STATE]


def test_what_the_state_has_no_key_for_is_retained_beside_it(bench):
    for sections in (
        {},
        {"plan": {"used_bytes": 1}},
        {"plan": {"used_bytes": 1}},
        {"plan": {"used_bytes": 2}},
    ):
        bench.service.publish_sections(sections)
    assert [(topic, retain) for topic, _, _, retain, _ in bench.published] == [
        ("pinhole/v1/door/sections", True)
    ] * 2
    bench.service.republish_state()
    told = [parse_sections(bench.opened(i)) for i in range(3)]
    assert [(one.boot_id, one.seq, one.sections["plan"]["used_bytes"]) for one in told] == [
        (BOOT, 0, 1),
        (BOOT, 1, 2),
        (BOOT, 2, 2),
    ]


def test_sections_that_the_broker_refuses_are_not_told_again(bench):
    bench.service.publish_sections({"plan": {"used_bytes": 1}})
    bench.service.on_refused("pinhole/v1/door/sections", "not authorized")
    bench.service.publish_sections({"plan": {"used_bytes": 2}})
    bench.service.republish_state()
    assert len(bench.published) == 1


def test_a_room_that_says_what_cannot_be_sent_ends_nothing(bench, caplog):
    bench.service.publish_sections({"modem": {f"cell{number}": number for number in range(99)}})
    assert parse_sections(bench.opened(0)).sections == {}
    assert "is not told of this device's modem" in caplog.text


BIG = {"presets": [{"number": number, "name": "\x01" * 40} for number in range(32)]}
"""8643 bytes: JSON writes each of these characters as six."""


@pytest.mark.parametrize(
    ("said", "left_out"),
    [
        ({"plan": {"used_bytes": 1}, "ptz": BIG, "modem": {"state": "connected"}}, {"ptz"}),
        (
            {
                "ptz": BIG,
                "modem": dict.fromkeys(map("cell{}".format, range(99)), 1),
                "plan": {"used_bytes": 1},
            },
            {"ptz", "modem"},
        ),
        ({"a": {"x": "a" * 500}, "b": {f"x{n}": "b" * 500 for n in range(15)}, "c": {"x": 1}}, {"b"}),
        ({f"room{number}": {"x": number} for number in range(33)}, None),
    ],
)
def test_a_section_that_cannot_be_sent_silences_no_other(bench, said, left_out):
    bench.service.publish_sections(said)
    told = parse_sections(bench.opened(0)).sections
    if left_out is None:
        assert len(told) == 32
    else:
        assert told == {name: section for name, section in said.items() if name not in left_out}


def test_a_long_problem_is_clipped_rather_than_lost(bench):
    failed = CameraSection("failed", "v4l2", "é\ud800" * 2000, has_stamp=False)
    bench.service.publish_state(
        state_of(read_sections({"camera": lambda: failed}), boot_id="boot1", online=True, since=NOW_S)
    )
    assert len(parse_state(bench.opened(0)).problem) == 512
    bench.service.send_reject("s1", "busy", "x" * 2000)
    bench.service.send_bye("s1", "x" * 2000)
    assert len(json.loads(bench.opened())["reason"]) == 512


def test_the_will_is_the_state_offline_under_the_same_boot(bench):
    will = bench.service.will(STATE)
    state = parse_state(unseal(will.topic, will.payload))
    assert (will.topic, will.qos, will.retain) == ("pinhole/v1/door/state", 1, True)
    assert (state.boot_id, state.online, state.name) == ("boot1", False, "Door")
    assert (state.camera, state.viewers) == ("idle", 0)


def test_only_the_portals_own_word_confirms_an_event(bench):
    event = Event("boot0-1", "camera-failed", "error", "camera", NOW_S, "no frame for 3 s", "running")
    bench.service.tell_events((event,), NOW_S)
    [(topic, payload, qos, retain, _)] = bench.published
    assert (topic, qos, retain) == ("pinhole/v1/door/signal/events/out", 1, False)
    assert parse_events(unseal(topic, payload)).events == (event,)

    confirm, asked = encode(Confirm(("boot0-1",))), "pinhole/v1/door/signal/events/in"
    for forged in (confirm, DEVICE.seal(asked, confirm), PORTAL.seal(topic, confirm)):
        bench.service.on_message(asked, forged, NOW_S, 0.0)
    assert bench.handler.heard == []
    bench.service.on_message(asked, PORTAL.seal(asked, confirm), NOW_S, 0.0)
    assert bench.handler.heard == [("confirmed", ("boot0-1",))]
    assert len(bench.published) == 1, "nobody waits for an answer"


def test_a_device_name_that_is_no_topic_level_is_refused_at_once():
    with pytest.raises(MessageError):
        make_service(lambda *_, **__: True, Handler(), "front/door")


def test_health_may_be_lost_and_is_not_kept(bench):
    health = Health(NOW_S, "symmetric", faults=(HealthFault("clock", "9 s behind"),))
    bench.service.publish_health(health)
    [(topic, payload, qos, retain, expiry_s)] = bench.published
    assert (topic, qos, retain) == ("pinhole/v1/door/health", 0, False)
    assert expiry_s == 60
    assert parse_health(unseal(topic, payload)) == health


def test_a_word_of_a_new_release_counts_once_and_only_from_the_portal(bench):
    topic = "pinhole/v1/door/command/look/in"

    def say(message, key=PORTAL, signed_for=topic):
        bench.service.on_message(topic, seal(signed_for, message, key), NOW_S, 0.0)

    say(Look(NOW_S, BOOT))
    assert bench.handler.heard == [("look",)]
    say(Look(NOW_S, BOOT))
    say(Look(NOW_S - 1, BOOT))
    say(Look(NOW_S + 1, "boot0"))
    say(Look(NOW_S + 1, BOOT), key=DEVICE)
    say(Look(NOW_S + 1, BOOT), signed_for="pinhole/v1/yard/command/look/in")
    say(b'{"v": 1, "type": "look", "issued_at": 1.0, "boot_id": "boot1", "run": "reboot"}')
    bench.service.on_message(topic, b"", NOW_S, 0.0)
    assert bench.handler.heard == [("look",)]
    assert bench.service.refused == {
        "replayed": 2, "wrong-boot": 1, "unknown-key": 1, "wrong-topic": 1, "invalid": 1, "unsigned": 1
    }  # fmt: skip
    assert bench.published == [], "nobody waits for an answer"
    say(Look(NOW_S + 2, BOOT))
    assert bench.handler.heard == [("look",)] * 2


def command(user="ann", permissions=("watch", "control"), **changes):
    fields = {"issued_at": NOW_S, "expires_at": NOW_S + 60, "boot_id": BOOT, "name": "identify"}
    return Command(user=user, permissions=permissions, **(fields | changes))


def test_a_command_is_done_once_and_answered_each_time(bench):
    for _ in range(2):
        bench.receive(command(), "c1")
    bench.receive(command(expires_at=NOW_S + 1), "c1", NOW_S + 600)  # late, and known
    assert bench.handler.heard == [("command", "identify", "broker")]
    assert bench.sent == [("c1", Result(0, "c1", "identify", ok=True, code="done"))] * 3
    assert not bench.service.refused


def test_what_is_said_in_nobodys_name_comes_from_the_portal_itself(bench):
    bench.receive(command(user=""), "c1")
    assert bench.handler.heard == [("command", "identify", "portal")]


@pytest.mark.parametrize(
    ("changes", "late_s", "code"),
    [
        ({"permissions": ("watch",)}, 0, "not-allowed"),
        ({"permissions": ()}, 0, "not-allowed"),
        ({"boot_id": "boot0"}, 0, "wrong-boot"),
        ({}, 66, "expired"),
        ({"expires_at": NOW_S + 3601}, 0, "expired"),
        ({"expires_at": NOW_S - 1}, 0, "expired"),
    ],
)
def test_a_command_that_may_not_be_is_refused_counted_and_answered(bench, changes, late_s, code):
    bench.receive(command(**changes), "c1", NOW_S + late_s)
    [(session, reject)] = bench.sent
    assert (session, reject.code) == ("c1", code)
    assert (reject.challenge is not None) == (code == "expired"), "its clock may be wrong"
    assert bench.service.refused == {code: 1}
    assert bench.handler.heard == []


def test_a_command_in_a_viewers_session_or_of_another_device_is_none(bench):
    bench.receive(offer())
    bench.receive(command(), "s1")
    bench.service.on_message(
        "pinhole/v1/door/signal/c1/in", seal("pinhole/v1/yard/signal/c1/in", command()), NOW_S, 0.0
    )
    bench.service.on_message(
        "pinhole/v1/door/signal/c1/in", seal("pinhole/v1/door/signal/c2/in", command()), NOW_S, 0.0
    )
    assert [kind for kind, *_ in bench.handler.heard] == ["offer"]
    assert bench.service.refused == {"not-allowed": 1, "wrong-topic": 2}


def test_what_a_viewer_asks_in_its_session_the_portal_hears_of(bench):
    bench.receive(offer())

    def ask(name, number, permissions=("watch", "control")):
        order = Order(number, name, {}, "ann", permissions, "session", "s1")
        return bench.service.asked.run(order, NOW_S, lambda _: None)

    done, again, refused = ask("identify", "c1"), ask("identify", "c1"), ask("reboot", "c2", ("watch",))
    assert (done.ok, again, refused.ok, refused.code) == (True, done, False, "not-allowed")
    assert bench.handler.heard[1:] == [("command", "identify", "session")], "once"
    told = [message for session, message in bench.sent if session == "s1"]
    assert [message.code for message in told] == ["done", "not-allowed"], "once each"
    assert [message.seq for message in told] == [0, 1]
    for number in range(100):
        assert not ask("fly", f"n{number}", ()).ok
    assert len(bench.sent) == 1 + MAX_TOLD_PER_S, "beside what was done, a flood has the camera say no more"
    assert bench.service.refused == {"not-allowed": 101}
    assert ask("identify", "c3").ok
    assert bench.sent[-1][1].id == "c3", "what is done is in the audit log, whoever floods"


def test_what_takes_a_while_in_a_session_is_answered_there_and_told_where_it_is_audited(bench):
    bench.receive(offer())
    bench.handler.on_command = lambda _: None
    answers = []
    for name, number in (("snapshot", "c1"), ("identify", "c2"), ("snapshot", "c3")):
        order = Order(number, name, {}, "ann", ("watch", "control"), "session", "s1")
        assert bench.service.asked.run(order, NOW_S, answers.append) is None
        ok = number != "c3"
        result = Result(0, number, name, ok=ok, code="done" if ok else "failed")
        bench.service.asked.finish(order, result, NOW_S)
        bench.service.asked.finish(order, result, NOW_S)
    assert [(result.id, result.ok) for result in answers] == [("c1", True), ("c2", True), ("c3", False)]
    told = [message.id for session, message in bench.sent if session == "s1"]
    assert "c1" not in told, "a snapshot is nothing that others notice"
    assert {"c2", "c3"} <= set(told)


LEASE_S = 180.0


def renewal(seq=1, after_s=60.0, lease_s=LEASE_S, user="ann", permissions=("watch",)):
    return Renew(seq, NOW_S + after_s, lease_s, user, permissions)


class Leased(Bench):
    """A session that plays, under a lease that began with it; time is what has passed since."""

    def __init__(self, *, taken_s=0.0):
        super().__init__()
        self.receive(offer(lease_s=LEASE_S), mono_s=taken_s)
        self.handler.heard.clear()

    def ends_at(self, until_s=10 * LEASE_S):
        """The first second in which it is over; None where that is not in sight."""
        for now_s in range(int(until_s)):
            self.service.end_unrenewed(float(now_s))
            if self.handler.heard:
                return now_s
        return None


def test_a_session_that_nobody_renews_ends_with_its_lease_and_says_why():
    bench = Leased()
    assert bench.ends_at() == LEASE_S
    assert bench.handler.heard == [("bye", "s1", UNRENEWED)]
    assert bench.sent == [("s1", Bye(0, UNRENEWED))]
    bench.receive(Candidate(1, "candidate:1"))
    bench.receive(renewal(2, LEASE_S), mono_s=LEASE_S)
    assert bench.handler.heard == [("bye", "s1", UNRENEWED)], "it does not come back"


def test_leases_are_looked_at_while_there_are_sessions_alone(bench):
    assert not bench.service.has_sessions.is_set()
    bench.receive(offer(lease_s=LEASE_S), mono_s=0.0)
    bench.service.end_unrenewed(1.0)
    assert bench.service.has_sessions.is_set()
    bench.service.end_unrenewed(LEASE_S)
    assert not bench.service.has_sessions.is_set()
    bench.receive(offer(seq=0), session="s2")
    assert bench.service.has_sessions.is_set()


def test_a_portal_of_before_there_were_leases_ends_sessions_by_bye_alone(bench):
    bench.receive(offer())
    bench.receive(renewal())
    bench.service.end_unrenewed(1e9)
    assert [heard[0] for heard in bench.handler.heard] == ["offer"]
    assert bench.sent == []


def test_a_renewed_session_plays_on_from_when_the_renewal_was_issued():
    bench = Leased()
    for number in range(1, 6):
        bench.receive(renewal(number, 60.0 * number), mono_s=60.0 * number)
    assert bench.ends_at() == 300 + LEASE_S
    assert not bench.service.refused


def test_a_renewal_that_was_held_back_extends_nothing_beyond_what_it_says():
    bench = Leased()
    bench.receive(renewal(1, 60.0), mono_s=LEASE_S - 1)
    bench.receive(renewal(2, 70.0), mono_s=LEASE_S - 1)
    assert bench.ends_at() == 70 + LEASE_S


def test_a_renewal_that_is_heard_again_or_out_of_order_is_a_copy():
    bench = Leased()
    bench.receive(renewal(2, 60.0), mono_s=60.0)
    bench.receive(renewal(2, 60.0), mono_s=200.0)
    bench.receive(renewal(1, 150.0), mono_s=200.0)
    assert bench.service.refused == {"duplicate": 2}
    assert bench.ends_at() == 60 + LEASE_S


def test_a_clock_of_the_portals_that_steps_neither_ends_a_session_nor_makes_it_last():
    ahead, behind = Leased(), Leased()
    ahead.receive(renewal(1, 60 + 365 * 86400.0), mono_s=60.0)
    assert ahead.ends_at() == 60 + LEASE_S
    behind.receive(renewal(1, 60 - 3600.0), mono_s=60.0)
    assert behind.ends_at() == LEASE_S


def test_an_offer_that_was_under_way_for_long_gives_no_longer_lease_than_from_when_it_came():
    bench = Leased(taken_s=20.0)
    assert bench.ends_at() == 20 + LEASE_S


@pytest.mark.parametrize(
    "wrong",
    [{"user": "bob"}, {"permissions": ("watch", "control")}, {"permissions": ()}],
    ids=["another user", "more rights", "no rights"],
)
def test_a_session_is_renewed_for_who_opened_it_alone(wrong):
    bench = Leased()
    bench.receive(renewal(**wrong), mono_s=60.0)
    assert bench.service.refused == {"not-allowed": 1}
    assert bench.ends_at() == LEASE_S


def test_nobody_but_the_portal_renews():
    bench = Leased()
    bench.receive(renewal(), key=DEVICE, mono_s=60.0)
    topic = "pinhole/v1/door/signal/s1/in"
    other = seal("pinhole/v1/door/signal/s2/in", renewal())
    bench.service.on_message(topic, other, NOW_S, 60.0)
    assert bench.service.refused == {"unknown-key": 1, "wrong-topic": 1}
    assert bench.ends_at() == LEASE_S


def test_a_restart_renews_as_well():
    bench = Leased()
    bench.receive(offer(1, restart=True, lease_s=LEASE_S), mono_s=100.0)
    bench.handler.heard.clear()
    assert bench.ends_at() == 100 + LEASE_S


def test_a_portal_that_goes_on_with_a_session_that_is_over_is_told_again(caplog):
    """The `bye` of a camera whose link was away is lost after 30 s."""
    bench = Leased()
    bench.ends_at()
    for message in (renewal(2), Bye(3, "the viewer has left")):
        bench.receive(message, mono_s=LEASE_S)
    bench.receive(renewal(), session="never-seen")
    assert [(session, type(sent)) for session, sent in bench.sent] == [("s1", Bye)] * 3 + [
        ("never-seen", Bye)
    ]
    assert "refused" not in caplog.text


def test_what_is_over_is_not_told_without_end(bench):
    for number in range(1000):
        bench.receive(Bye(number), now_s=NOW_S)
    assert len(bench.published) == MAX_REJECTS_PER_S
