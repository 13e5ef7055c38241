import json
import secrets

import pytest
from fakes.bus import FakeBus, state

from agent.errors import MessageError
from agent.model.health import Health, HealthFault
from agent.model.sections import SectionsMessage
from agent.model.signal import Answer, Bye, Candidate, IceServer, Offer, Reject, Renew, Restart
from agent.portal import farewells
from agent.portal.accounts.access import Access, Identity
from agent.portal.client import Clock
from agent.portal.farewells import LONGEST_PAUSE_S
from agent.portal.gateway import EVENTS_PER_MINUTE, PAST_OF_DEVICE, Gateway
from agent.portal.limits import (
    MAX_CANDIDATES,
    MAX_CLIENTS,
    MAX_CLIENTS_PER_OWNER,
    MAX_LINK_CLIENTS,
    MAX_SESSIONS,
    MESSAGES_AT_ONCE,
    OFFERS_PER_MINUTE,
)
from agent.portal.messages import DeviceEvent
from agent.portal.outbox import MAX_QUEUED
from agent.portal.rebirths import MAX_TRIES
from agent.portal.session_table import RENEW_AGAIN_S
from agent.portal.sessions import ANSWER_TIMEOUT_S, LEASE_S, ORPHAN_S
from agent.portal.turn import IceServers, TurnSecret

STUN = IceServer(("stun:s.example:3478",))
TURN = IceServers((STUN,), TurnSecret(("turn:t.example:3478",), "hush", 3600))


EVERYTHING = Access("viewer")
FOREVER = 1e12


def identity(user="viewer", access=EVERYTHING, expires_at=FOREVER):
    return Identity(f"session of {user}", user, access, expires_at, user_id=sum(user.encode()))


class Browser:
    """One client of a gateway, and what it was told."""

    def __init__(self, gateway, user="viewer", access=EVERYTHING):
        self.gateway = gateway
        self.client = gateway.join(identity(user, access))
        self.stream = self.client.outbox.stream()

    def say(self, **message):
        self.gateway.receive(self.client, json.dumps(message))

    def offer(self, session="a" * 32, device="front", **fields):
        self.say(type="offer", session=session, device=device, sdp="v=0 offer", **fields)
        return session

    async def heard(self):
        """Everything queued by now."""
        self.client.outbox.put('"mark"')
        messages = []
        async for text in self.stream:
            message = json.loads(text)
            if message == "mark":
                break
            messages.append(message)
        return messages


class World:
    """A gateway with a camera `front`, a broker that is there, and time that stands still."""

    def __init__(self, ice=TURN):
        self.now = 10_000.0
        self.step_s = 0.0
        """How far the wall clock has stepped."""
        self.bus = FakeBus()
        clock = Clock(unix_s=lambda: self.now + self.step_s, mono_s=lambda: self.now)
        self.gateway = Gateway(self.bus.send, ice, "1.2.3", clock)
        self.gateway.on_broker(connected=True)
        self.gateway.on_state("front", state())

    async def browser(self):
        browser = Browser(self.gateway)
        await browser.heard()
        return browser

    def pass_time(self, seconds):
        self.now += seconds
        self.gateway.tick()

    def answer(self, session, seq, sdp, device="front"):
        """To the newest offer of the session."""
        offers = [offer for _, to, offer in self.sent(Offer) if to == session]
        self.gateway.on_signal(device, session, Answer(seq, offers[-1].nonce, sdp))

    def questions(self):
        """What the device was asked to find out whether it has begun anew."""
        return [asked for asked in self.sent(Offer) if asked[2].user == "portal"]

    def reborn(self, new):
        """The device begins anew, and says so when it is asked."""
        self.gateway.on_state("front", new)
        _, asked, question = self.questions()[-1]
        assert question.restart
        self.gateway.on_signal("front", asked, Reject(0, "session-over", "no such session"))

    def sent(self, kind):
        return [(device, session, m) for device, session, m in self.bus.sent if isinstance(m, kind)]


@pytest.fixture
def world():
    return World()


async def test_hello_holds_all_that_a_click_needs(world):
    [hello] = await Browser(world.gateway).heard()
    assert hello["type"] == "hello"
    assert (hello["version"], hello["user"], hello["broker"]) == ("1.2.3", "viewer", True)
    assert hello["ice_servers"][0] == {"urls": ["stun:s.example:3478"]}
    assert hello["ice_servers"][1]["username"] == "13600:viewer"
    assert hello["ice_expires_at"] == 13_600
    assert [device["id"] for device in hello["devices"]] == ["front"]


async def test_an_offer_reaches_the_device_with_what_the_portal_adds(world):
    browser = await world.browser()
    session = browser.offer(relay_only=True)
    [(device, to, offer)] = world.sent(Offer)
    assert (device, to) == ("front", session)
    assert (offer.sdp, offer.user, offer.relay_only) == ("v=0 offer", "viewer", True)
    assert offer.expires_at == world.now + 30
    assert [server.username for server in offer.ice_servers] == [None, "13600:front"]


async def test_the_answer_and_candidates_go_both_ways(world):
    browser = await world.browser()
    session = browser.offer()
    browser.say(type="candidate", session=session, candidate="candidate:1")
    browser.say(type="candidate", session=session, candidate="")
    [(_, _, offer)] = world.sent(Offer)
    sent = [(m.seq - offer.seq, m.candidate) for _, _, m in world.sent(Candidate)]
    assert sent == [(1, "candidate:1"), (2, "")]
    world.answer(session, 0, "v=0 answer")
    world.gateway.on_signal("front", session, Candidate(1, "candidate:2"))
    assert await browser.heard() == [
        {"type": "answer", "session": session, "sdp": "v=0 answer"},
        {"type": "candidate", "session": session, "candidate": "candidate:2"},
    ]


async def test_duplicates_from_the_broker_fall_out(world):
    browser = await world.browser()
    session = browser.offer()
    for seq in (0, 0, 1, 0, 1):
        world.gateway.on_signal("front", session, Candidate(seq, f"candidate:{seq}"))
    assert [m["candidate"] for m in await browser.heard()] == ["candidate:0", "candidate:1"]


async def test_only_the_socket_that_opened_a_session_hears_of_it(world):
    browser, other = await world.browser(), await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0 answer")
    assert await other.heard() == []
    assert len(await browser.heard()) == 1


async def test_nobody_else_can_speak_in_a_session(world):
    browser, thief = await world.browser(), await world.browser()
    session = browser.offer()
    thief.say(type="candidate", session=session, candidate="candidate:evil")
    thief.say(type="bye", session=session)
    thief.offer(session=session)
    assert [(m["code"], m["session"]) for m in await thief.heard()] == [
        ("unknown-session", session),
        ("session-taken", session),
    ]
    assert world.sent(Candidate) == []
    assert world.sent(Bye) == []
    world.answer(session, 0, "v=0")
    assert [m["type"] for m in await browser.heard()] == ["answer"]


async def test_a_second_offer_in_a_session_restarts_its_ice(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0 first")
    world.gateway.on_signal("front", session, Restart(1, "the camera's network changed"))
    browser.offer(session=session, restart=True)
    world.answer(session, 2, "v=0 second")
    first, second = (m for _, _, m in world.sent(Offer))
    assert (first.restart, second.restart, second.seq - first.seq) == (False, True, 1)
    assert [m["type"] for m in await browser.heard()] == ["answer", "restart", "answer"]


async def test_a_user_who_asks_too_often_waits(world):
    browser, other = await world.browser(), Browser(world.gateway, "other")
    session = browser.offer()
    world.answer(session, 0, "v=0")
    for _ in range(OFFERS_PER_MINUTE - 1):
        world.pass_time(0.1)
        browser.offer(session=session, restart=True)
    await browser.heard()
    browser.offer(session=session, restart=True)
    assert [m["code"] for m in await browser.heard()] == ["too-many-offers"]
    other.offer(session="f" * 32)
    assert [m["type"] for m in await other.heard()] == ["hello"], "nobody else waits"
    world.pass_time(60)
    browser.offer(session=session, restart=True)
    assert len(world.sent(Offer)) == OFFERS_PER_MINUTE + 2


async def test_an_answer_to_an_older_offer_is_refused(world):
    browser = await world.browser()
    session = browser.offer()
    [(_, _, first)] = world.sent(Offer)
    browser.offer(session=session, restart=True)
    with pytest.raises(MessageError, match="newest") as caught:
        world.gateway.on_signal("front", session, Answer(0, first.nonce, "v=0"))
    assert caught.value.code == "stale-answer"
    assert await browser.heard() == []


async def test_each_offer_is_new_and_for_one_start_of_the_camera(world):
    browser = await world.browser()
    for _ in range(3):
        browser.offer(session=secrets.token_hex(16))
    offers = [offer for _, _, offer in world.sent(Offer)]
    assert len({offer.nonce for offer in offers}) == 3
    assert {len(offer.nonce) for offer in offers} == {22}, "128 bits"
    assert {(offer.boot_id, offer.permissions) for offer in offers} == {("boot-1", ("watch",))}
    assert {(offer.issued_at, offer.expires_at) for offer in offers} == {(world.now, world.now + 30)}


async def test_a_revoked_camera_is_cut_off_and_shown_as_gone(world):
    browser = await world.browser()
    session = browser.offer()
    world.gateway.on_revoked("front")
    heard = await browser.heard()
    heard.append(json.loads(await anext(browser.stream)))
    assert ("bye", session) in {(m["type"], m.get("session")) for m in heard}
    [device] = [m["device"] for m in heard if m["type"] == "device"]
    assert (device["online"], "revoked" in device["problem"]) == (False, True)
    assert [(d, s) for d, s, _ in world.sent(Bye)] == [("front", session)]
    browser.offer(session="f" * 32)
    assert [m["code"] for m in await browser.heard()] == ["offline"]


async def test_another_device_cannot_answer(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0 evil", device="evil")
    assert await browser.heard() == []


async def test_a_bye_of_the_viewer_reaches_the_device_once(world):
    browser = await world.browser()
    session = browser.offer()
    browser.say(type="bye", session=session)
    browser.say(type="bye", session=session)
    assert [(d, s) for d, s, _ in world.sent(Bye)] == [("front", session)]
    world.answer(session, 0, "too late")
    assert await browser.heard() == []


async def test_sessions_outlive_their_socket_for_a_while(world):
    browser = await world.browser()
    sessions = {browser.offer(session=digit * 32) for digit in "abc"}
    for session in sessions:
        world.answer(session, 0, "v=0")
    world.gateway.leave(browser.client)
    world.gateway.leave(browser.client)
    world.pass_time(29)
    assert world.sent(Bye) == []
    world.pass_time(2)
    assert {session for _, session, _ in world.sent(Bye)} == sessions
    world.pass_time(60)
    assert len(world.sent(Bye)) == 3


async def test_a_restart_over_a_new_socket_takes_the_session_along(world):
    browser, other = await world.browser(), await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    world.gateway.leave(browser.client)
    other.offer(session=session, restart=True)
    world.answer(session, 1, "v=0 again")
    assert [m["type"] for m in await other.heard()] == ["answer"]
    world.pass_time(60)
    assert world.sent(Bye) == []


async def test_the_end_of_the_socket_that_a_session_left_does_not_end_the_session(world):
    browser, other = await world.browser(), await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    other.offer(session=session, restart=True)
    world.gateway.leave(browser.client)
    world.pass_time(60)
    assert world.sent(Bye) == []


async def test_what_comes_late_on_an_older_socket_does_not_take_the_session_back(world):
    browser, other = await world.browser(), await world.browser()
    session = browser.offer()
    other.offer(session=session, restart=True)
    browser.offer(session=session, restart=True)
    assert len(world.sent(Offer)) == 2
    world.answer(session, 0, "v=0")
    assert [m["type"] for m in await other.heard()] == ["answer"]
    assert [m.get("code") for m in await browser.heard()] == ["session-taken"]


async def test_nobody_takes_a_session_over_whose_number_they_have_heard(world):
    """A newer WebSocket is not enough: it must be the same user's, or have come with the same link."""
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    await browser.heard()
    thief = Browser(world.gateway, "eve")
    await thief.heard()
    thief.offer(session=session, restart=True)
    assert len(world.sent(Offer)) == 1
    assert [m.get("code") for m in await thief.heard()] == ["session-taken"]
    world.gateway.on_signal("front", session, Candidate(1, "candidate:2"))
    assert [m["type"] for m in await browser.heard()] == ["candidate"]


async def test_a_restart_that_nobody_answers_leaves_the_session_playing(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    browser.offer(session=session, restart=True)
    world.pass_time(60)
    assert world.sent(Bye) == []


async def test_another_portals_session_can_be_restarted_here(world):
    browser = await world.browser()
    session = browser.offer(session="d" * 32, restart=True)
    [(_, _, offer)] = [sent for sent in world.bus.sent if isinstance(sent[2], Offer)]
    assert offer.restart
    assert offer.seq > 1_000, "above what the other portal may have sent"
    world.answer(session, 12, "v=0")
    assert [m["type"] for m in await browser.heard()] == ["answer"]


async def test_a_ping_is_answered(world):
    browser = await world.browser()
    browser.say(type="ping")
    assert await browser.heard() == [{"type": "pong"}]


async def test_when_the_portal_stops_streams_play_on(world):
    browser = await world.browser()
    browser.offer()
    world.gateway.close()
    world.gateway.leave(browser.client)
    assert browser.client.outbox.close_code == 1001
    assert world.sent(Bye) == []


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (
            Reject(0, "busy", "full", 30.0),
            {"type": "reject", "code": "busy", "message": "full", "retry_after_s": 30.0},
        ),
        (Bye(0, "restart"), {"type": "bye", "reason": "restart"}),
    ],
)
async def test_the_device_can_end_a_session(world, message, heard):
    browser = await world.browser()
    session = browser.offer()
    world.gateway.on_signal("front", session, message)
    assert await browser.heard() == [heard | {"session": session}]
    browser.offer(session=session)
    assert len(world.sent(Offer)) == 2, "the session is free again"


@pytest.mark.parametrize(("device", "code"), [("gone", "offline"), ("never-seen", "unknown-camera")])
async def test_an_offer_to_a_camera_that_is_not_there_is_refused_at_once(world, device, code):
    world.gateway.on_state("gone", state(online=False))
    browser = await world.browser()
    browser.offer(device=device)
    [reject] = await browser.heard()
    assert (reject["type"], reject["code"]) == ("reject", code)
    assert reject["message"]
    assert world.bus.sent == []


@pytest.mark.parametrize("known", [True, False], ids=["known to be away", "found out by sending"])
async def test_without_a_broker_an_offer_is_refused(world, known):
    browser = await world.browser()
    if known:
        world.gateway.on_broker(connected=False)
    world.bus.up = False
    session = browser.offer()
    *_, reject = await browser.heard()
    assert (reject["type"], reject["code"]) == ("reject", "broker-away")
    world.bus.up = True
    world.gateway.on_broker(connected=True)
    browser.offer(session=session)
    assert len(world.sent(Offer)) == 1


async def test_a_message_that_the_codec_refuses_is_an_error_and_no_session(world):
    def refuse(_session, _message):
        raise MessageError("too-large", "65 KiB")

    world.bus.devices["front"] = refuse
    browser = await world.browser()
    session = browser.offer()
    assert await browser.heard() == [
        {"type": "error", "code": "too-large", "message": "65 KiB", "session": session}
    ]
    browser.say(type="candidate", session=session, candidate="")
    assert (await browser.heard())[0]["code"] == "unknown-session"


async def test_an_offer_that_nobody_answers_is_given_up(world):
    browser = await world.browser()
    session = browser.offer()
    world.now += ANSWER_TIMEOUT_S - 0.1
    world.gateway.tick()
    assert await browser.heard() == []
    world.now += 0.1
    world.gateway.tick()
    [reject] = await browser.heard()
    assert (reject["code"], reject["session"]) == ("no-answer", session)
    assert "did not answer" in reject["message"]
    assert len(world.sent(Bye)) == 1, "the device need not start for a viewer that has gone"


async def test_an_answered_session_lasts(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    await browser.heard()
    world.now += 1000
    world.gateway.tick()
    assert [m for m in await browser.heard() if m["type"] == "reject"] == []


async def test_a_restarted_camera_ends_the_sessions_of_its_former_life(world):
    browser = await world.browser()
    old = browser.offer()
    world.answer(old, 0, "v=0")
    world.reborn(state(boot_id="boot-2"))
    new = browser.offer(session="b" * 32)
    assert [(m["session"], m["type"]) for m in await browser.heard() if "session" in m] == [
        (old, "answer"),
        (old, "bye"),
    ]
    world.answer(new, 0, "v=0")
    assert [m["type"] for m in await browser.heard() if "session" in m] == ["answer"]


async def playing(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    await browser.heard()
    return browser, session


@pytest.mark.parametrize(
    "since", [1.0, 1000.0, 9e9], ids=["clock was behind", "same time", "clock was ahead"]
)
async def test_a_state_of_an_earlier_start_that_is_said_again_ends_nothing(world, since):
    browser, session = await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-0", since=since))
    [(device, asked, question)] = world.questions()
    assert (device, question.boot_id, question.permissions) == ("front", "boot-0", ("watch",))
    world.gateway.on_signal("front", asked, Reject(0, "wrong-boot", "the offer is for another start"))
    world.pass_time(60)
    assert await browser.heard() == []
    assert len(world.questions()) == 1
    browser.offer(session=session, restart=True)
    assert world.sent(Offer)[-1][2].boot_id == "boot-1"


async def test_what_only_another_says_of_a_start_proves_nothing(world):
    browser, _ = await playing(world)
    world.gateway.on_state("back", state(boot_id="boot-9"))
    world.gateway.on_state("front", state(boot_id="boot-0"))
    [(_, asked, _)] = world.questions()
    world.gateway.on_signal("back", asked, Reject(0, "session-over", "no such session"))
    world.gateway.on_signal("front", asked, Bye(1, "no such session"))
    assert "bye" not in [m["type"] for m in await browser.heard()]


async def test_a_camera_that_does_not_answer_is_asked_again_and_not_for_ever(world):
    browser, _ = await playing(world)
    world.bus.up = False
    world.gateway.on_state("front", state(boot_id="boot-2"))
    world.bus.up = True
    for _ in range(600):
        world.pass_time(1)
    assert len(world.questions()) == MAX_TRIES - 1
    assert await browser.heard() == []
    world.reborn(state(boot_id="boot-2"))
    assert "bye" in [m["type"] for m in await browser.heard()]


async def test_states_said_again_in_a_flood_cost_one_question_a_second(world):
    await playing(world)
    for number in range(1000):
        world.gateway.on_state("front", state(boot_id=f"boot-{number % 7 + 2}"))
    for _ in range(10):
        world.pass_time(0.5)
    assert len(world.questions()) <= 6


async def test_a_camera_with_a_wrong_clock_is_asked_with_its_challenge(world):
    browser, _ = await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-2"))
    [(_, asked, first)] = world.questions()
    world.gateway.on_signal("front", asked, Reject(0, "expired", "another hour", challenge=CHALLENGE))
    _, (_, to, again) = world.questions()
    assert (to, again.challenge, again.seq > first.seq) == (asked, CHALLENGE, True)
    world.gateway.on_signal("front", asked, Reject(1, "session-over", "no such session"))
    assert "bye" in [m["type"] for m in await browser.heard()]


async def test_a_viewer_whose_offer_reaches_a_new_start_proves_it(world):
    browser, _ = await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-2"))
    other = browser.offer(session="b" * 32)
    world.gateway.on_signal("front", other, Reject(0, "wrong-boot", "the offer is for another start"))
    assert [m["type"] for m in await browser.heard() if "session" in m] == ["reject", "bye"]
    browser.offer(session="c" * 32)
    assert world.sent(Offer)[-1][2].boot_id == "boot-2"


async def test_where_no_session_is_left_to_lose_a_new_start_is_believed(world):
    browser, session = await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-2"))
    browser.say(type="bye", session=session)
    world.gateway.on_signal("front", session, Bye(5, ""))
    world.pass_time(1)
    browser.offer(session="c" * 32)
    assert world.sent(Offer)[-1][2].boot_id == "boot-2"


async def test_a_late_will_of_the_former_start_hides_no_new_one(world):
    browser, _ = await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-2"))
    world.gateway.on_state("front", state(online=False))
    _, asked, _ = world.questions()[-1]
    world.gateway.on_signal("front", asked, Reject(0, "session-over", "no such session"))
    assert "bye" in [m["type"] for m in await browser.heard()]
    browser.offer(session="b" * 32)
    assert world.sent(Offer)[-1][2].boot_id == "boot-2"


async def test_what_a_camera_said_before_it_was_revoked_does_not_bring_it_back(world):
    await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-2"))
    world.gateway.on_revoked("front")
    world.pass_time(1)
    hello, *_ = await Browser(world.gateway).heard()
    [device] = hello["devices"]
    assert (device["online"], "revoked" in device["problem"]) == (False, True)


async def test_a_state_said_again_does_not_silence_a_bye(leasing):
    browser = await leasing.watching()
    leasing.gateway.apply({}, {browser.client.identity.session})
    before = len(leasing.byes())
    leasing.gateway.on_state("front", state(boot_id="boot-0", understands=("lease",)))
    leasing.run(60)
    assert len(leasing.byes()) > before


async def test_a_camera_that_goes_offline_keeps_its_sessions(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    world.gateway.on_state("front", state(online=False))
    assert [m["type"] for m in await browser.heard() if "session" in m] == ["answer"]
    assert world.sent(Bye) == [], "media may well flow while MQTT is away"


async def test_presence_reaches_every_browser_once(world):
    browsers = [await world.browser(), await world.browser()]
    yard = state(name="Yard")
    for _ in range(3):
        world.gateway.on_state("yard", yard)
    for browser in browsers:
        message = json.loads(await anext(browser.stream))
        assert (message["type"], message["device"]["name"]) == ("device", "Yard")
        assert await browser.heard() == []


async def test_events_and_the_broker_reach_every_browser(world):
    browser = await world.browser()
    world.gateway.on_event(DeviceEvent("front", "camera-failed", "no frames", 9_999.0, "error"))
    world.gateway.on_broker(connected=True)
    world.gateway.on_broker(connected=False)
    assert await browser.heard() == [
        {
            "type": "event",
            "device": "front",
            "kind": "camera-failed",
            "message": "no frames",
            "at": 9_999.0,
            "severity": "error",
        },
        {"type": "broker", "connected": False},
    ]


async def test_a_camera_that_says_much_closes_no_browser_and_hides_no_others_events(two):
    browser = Browser(two.gateway)
    await browser.heard()
    two.gateway.on_event(DeviceEvent("back", "camera-failed", "stuck", 1.0, "error"))
    for number in range(2 * MAX_QUEUED):
        two.gateway.on_event(DeviceEvent("front", "camera-failed", "boo", float(number), "error"))
        two.gateway.on_state("front", state(online=bool(number % 2), since=float(number)))
    assert browser.client.outbox.close_code is None
    told = [one for one in await browser.heard() if one["type"] == "event"]
    assert len(told) == 1 + EVENTS_PER_MINUTE
    _, past = await Browser(two.gateway).heard()
    devices = [one["device"] for one in past["events"]]
    assert (devices.count("back"), devices.count("front")) == (1, PAST_OF_DEVICE)
    two.pass_time(61)
    two.gateway.on_event(DeviceEvent("front", "camera-failed", "again", 1000.0, "error"))
    assert [one["message"] for one in await browser.heard() if one["type"] == "event"] == ["again"]


async def test_who_has_no_camera_to_watch_gets_nothing_to_relay_with(world):
    nobody = Access()
    browser = Browser(world.gateway, "cy", nobody)
    [hello] = await browser.heard()
    assert hello["ice_servers"] == [{"urls": ["stun:s.example:3478"]}]

    session = browser.client.identity.session
    world.gateway.apply({session: identity("cy", EVERYTHING)}, {session})
    [granted] = [message for message in await browser.heard() if message["type"] == "ice"]
    assert len(granted["ice_servers"]) == 2
    world.gateway.apply({session: identity("cy", nobody)}, {session})
    [taken] = [message for message in await browser.heard() if message["type"] == "ice"]
    assert taken["ice_servers"] == hello["ice_servers"]


async def test_ice_credentials_are_good_no_longer_than_their_bearer(world):
    client = world.gateway.join(identity("link:porch", expires_at=world.now + 60))
    assert client.ice.expires_at == world.now + 60
    world.pass_time(50)
    assert client.ice.expires_at == 10_060, "there is nothing to renew"
    assert client.outbox.close_code is None


async def test_ice_credentials_are_renewed_before_they_expire(world):
    browser = await world.browser()
    world.now += 3600 * 0.75
    world.gateway.tick()
    assert await browser.heard() == []
    world.now += 1
    world.gateway.tick()
    world.gateway.tick()
    [ice] = await browser.heard()
    assert ice["type"] == "ice"
    assert ice["ice_expires_at"] == int(world.now) + 3600
    assert ice["ice_servers"][1]["username"].startswith(str(int(world.now) + 3600))


async def test_whose_sign_in_expires_is_closed(world):
    browser = await world.browser()
    browser.client.identity = identity(expires_at=world.now + 5)
    session = browser.offer()
    world.pass_time(4)
    assert browser.client.outbox.close_code is None
    world.pass_time(1)
    assert browser.client.outbox.close_code == 1008
    assert [to for _, to, _ in world.sent(Bye)] == [session]


async def test_bad_messages_are_answered_and_harm_nothing(world):
    browser = await world.browser()
    session = browser.offer()
    for text in ("", "{", "[]", '{"type":"launch"}', '{"type":"offer"}', "\ud800", "x" * 70_000):
        world.gateway.receive(browser.client, text)
    errors = await browser.heard()
    assert [m["type"] for m in errors] == ["error"] * 7
    assert errors[3]["code"] == "unknown-type"
    assert errors[6]["code"] == "too-large"
    world.answer(session, 0, "v=0")
    assert [m["type"] for m in await browser.heard()] == ["answer"]


async def test_a_flood_is_closed(world):
    browser = await world.browser()
    for _ in range(int(MESSAGES_AT_ONCE)):
        browser.say(type="bye", session="f" * 32)
    assert browser.client.outbox.close_code is None
    browser.say(type="bye", session="f" * 32)
    assert browser.client.outbox.close_code == 1008


async def test_a_steady_talker_is_not_a_flood(world):
    browser = await world.browser()
    for _ in range(2000):
        world.now += 0.02
        browser.say(type="bye", session="f" * 32)
    assert browser.client.outbox.close_code is None


async def test_sessions_of_a_socket_are_bounded(world):
    browser = await world.browser()
    for number in range(MAX_SESSIONS):
        browser.offer(session=f"{number:032x}")
    assert await browser.heard() == []
    browser.offer(session="f" * 32)
    [reject] = await browser.heard()
    assert reject["code"] == "too-many-sessions"
    assert len(world.sent(Offer)) == MAX_SESSIONS


async def test_sockets_are_bounded(world):
    clients = [world.gateway.join(identity(f"user{n // 30}")) for n in range(MAX_CLIENTS)]
    assert world.gateway.join(identity("ann")) is None
    world.gateway.leave(clients[0])
    assert world.gateway.join(identity("ann")) is not None


async def test_one_user_cannot_take_every_socket(world):
    clients = [world.gateway.join(identity("greedy")) for _ in range(MAX_CLIENTS_PER_OWNER)]
    assert world.gateway.join(identity("greedy")) is None
    assert world.gateway.join(identity("ann")) is not None
    world.gateway.leave(clients[0])
    assert world.gateway.join(identity("greedy")) is not None


async def test_an_administrator_finds_room_whoever_else_came(world):
    admin = Access("admin")
    joined = [world.gateway.join(identity(f"user{n // 30}")) for n in range(MAX_CLIENTS - 1)]
    first = world.gateway.join(identity("boss", admin))
    assert world.gateway.join(identity("ann")) is None
    second = world.gateway.join(identity("boss", admin))
    assert second is not None
    [gone] = [client for client in joined if client.outbox.close_code is not None]
    assert (gone, gone.outbox.close_code) == (joined[239], 1013)
    assert first.outbox.close_code is None
    for _ in range(2 * MAX_CLIENTS_PER_OWNER):
        world.gateway.join(identity("boss", admin))
    ended = [client for client in joined if client.outbox.close_code is not None]
    assert len(ended) == MAX_CLIENTS_PER_OWNER - 1, "no more than one may have"


async def test_share_links_cannot_take_every_socket(world):
    def guest(number):
        return Identity(f"guest {number}", f"link:{number}", EVERYTHING, FOREVER, share_id=number // 30)

    clients = [world.gateway.join(guest(number)) for number in range(MAX_LINK_CLIENTS)]
    assert None not in clients
    assert world.gateway.join(guest(10_000)) is None
    assert world.gateway.join(identity("ann")) is not None
    world.gateway.leave(clients[0])
    assert world.gateway.join(guest(10_001)) is not None


async def test_a_fleet_too_large_for_one_message_arrives_whole(world):
    for number in range(500):
        world.gateway.on_state(f"cam-{number}", state(name="n" * 512))
    stream = Browser(world.gateway).stream
    hello = await anext(stream)
    assert len(hello) <= 64 * 1024
    ids = {device["id"] for device in json.loads(hello)["devices"]}
    assert 10 < len(ids) < 501
    while len(ids) < 501:
        ids.add(json.loads(await anext(stream))["device"]["id"])


async def test_a_devices_verdict_reaches_every_browser_once(world):
    browser = await world.browser()
    health = Health(9000.0, "symmetric", is_carrier=True, faults=(HealthFault("clock", "wrong", "set it"),))
    world.gateway.on_health("front", health)
    message = json.loads(await anext(browser.stream))
    assert message["type"] == "device"
    assert message["device"]["health"]["nat"] == "symmetric"
    assert message["device"]["health"]["faults"] == [
        {"check": "clock", "message": "wrong", "advice": "set it"}
    ]
    world.gateway.on_health("front", health)
    world.gateway.on_health("nobody", health)
    world.gateway.on_state("yard", state(name="Yard"))
    assert json.loads(await anext(browser.stream))["device"]["id"] == "yard", "the same again is no news"
    [hello] = await Browser(world.gateway).heard()
    assert hello["devices"][0]["health"]["is_carrier"] is True


async def test_the_question_whether_a_camera_began_anew_is_an_offer_that_any_camera_judges(world):
    browser, session = await playing(world)
    world.gateway.on_state("front", state(boot_id="boot-2"))
    [(device, asked, question)] = world.questions()
    assert (device, asked != session) == ("front", True)
    assert (question.issued_at, question.expires_at) == (world.now, world.now + 30)
    assert (question.boot_id, question.user, question.permissions) == ("boot-2", "portal", ("watch",))
    assert (question.seq, question.sdp, question.restart, question.challenge) == (0, "v=0\r\n", True, None)
    assert len(question.nonce) == 22
    assert [server.username for server in question.ice_servers] == [None, "13600:front"], (
        "a device keeps those of the newest"
    )
    world.gateway.on_signal("front", asked, Reject(0, "expired", "no", challenge=CHALLENGE))
    again = world.questions()[-1][2]
    assert (again.seq, again.challenge, again.nonce != question.nonce) == (1, CHALLENGE, True)
    assert [m for m in await browser.heard() if m.get("session")] == []


async def test_who_watched_hears_that_the_camera_restarted(world):
    browser, _ = await playing(world)
    world.reborn(state(boot_id="boot-2"))
    assert [m["reason"] for m in await browser.heard() if m["type"] == "bye"] == ["The camera restarted."]


async def test_who_comes_sees_who_watches_already(world):
    await playing(world)
    [hello] = await Browser(world.gateway, "ann", Access("admin")).heard()
    assert hello["devices"][0]["watching"] == ["viewer"]
    [hello] = await Browser(world.gateway).heard()
    assert hello["devices"][0]["own_viewers"] == 1


async def test_a_new_gateway_has_nothing_to_complain_of_and_knows_whence_its_clients_come(world):
    assert world.gateway.problem == ""
    assert world.gateway.join(identity(), "192.0.2.1").address == "192.0.2.1"
    assert world.gateway.join(identity()).address == ""


async def test_a_camera_that_was_never_seen_by_somebody_is_not_taken_from_them(two):
    nobody = Browser(two.gateway, "cy", FRONT)
    await nobody.heard()
    allow(two, identity("cy", Access(None, {"front": "operator"})))
    assert [m for m in await nobody.heard() if m["type"] == "gone"] == []


# In which words.


def reasons(world):
    return [bye.reason for _, _, bye in world.sent(Bye)]


async def test_each_end_of_a_session_is_told_both_ends_in_words(world):
    browser = await world.browser()
    ends = (
        (
            lambda: world.pass_time(ANSWER_TIMEOUT_S),
            "no answer in time",
            ("no-answer", "The camera did not answer; its link may be down."),
        ),
        (
            lambda: world.gateway.on_undelivered("front", "b" * 32, "it takes 2048 bytes"),
            "the MQTT broker does not take what belongs to this session",
            ("broker-refuses", "It takes 2048 bytes."),
        ),
        (
            lambda: allow(world, identity(access=Access("operator"))),
            "What you may do with this camera has changed.",
            (None, "What you may do with this camera has changed."),
        ),
        (
            lambda: world.gateway.on_revoked("front"),
            "the camera was revoked",
            (None, "The camera was revoked."),
        ),
    )
    for number, (end, reason, (code, words)) in enumerate(ends):
        session = browser.offer("abcd"[number] * 32)
        end()
        [told] = [m for m in await browser.heard() if m.get("session") == session]
        assert (told.get("code"), told.get("message", told.get("reason"))) == (code, words)
        assert reasons(world)[-1] == reason
        assert world.sent(Bye)[-1][:2] == ("front", session)


async def test_who_leaves_is_said_to_have_left(world):
    browser, away = await world.browser(), await world.browser()
    browser.say(type="bye", session=browser.offer())
    away.offer("b" * 32)
    world.answer("b" * 32, 0, "v=0")
    world.gateway.leave(away.client)
    world.pass_time(ORPHAN_S - 0.1)
    assert reasons(world) == ["the viewer has left"]
    world.pass_time(0.1)
    assert reasons(world) == ["the viewer has left"] * 2


async def test_who_is_shut_out_is_told_so_and_the_camera_too(world):
    browser = await world.browser()
    browser.offer()
    allow(world)
    assert (browser.client.outbox.close_code, browser.client.outbox.close_reason) == (1008, "signed out")
    assert reasons(world) == ["the viewer may no longer come in"]


async def test_a_flood_and_a_stop_are_told_in_words(world):
    browser, other = await world.browser(), await world.browser()
    for _ in range(int(MESSAGES_AT_ONCE) + 1):
        browser.say(type="ping")
    assert browser.client.outbox.close_reason == "too many messages"
    world.gateway.close()
    assert other.client.outbox.close_reason == "the portal is stopping"
    assert {m["message"] for m in await browser.heard() if m["type"] == "error"} == {
        "too many messages: the connection is closed"
    }


@pytest.mark.parametrize(
    ("device", "code", "words"),
    [
        ("gone", "offline", "The camera is offline. Check its power and its network."),
        ("never-seen", "unknown-camera", "There is no camera of this name here."),
    ],
)
async def test_a_refused_offer_is_answered_in_words(two, device, code, words):
    two.gateway.on_state("gone", state(online=False))
    browser = await two.browser()
    session = browser.offer(device=device)
    [told] = await browser.heard()
    assert (told["session"], told["code"], told["message"]) == (session, code, words)
    refused = [("viewer", device, "watch-refused", "")] if code == "unknown-camera" else []
    assert two.notes == refused


async def test_without_a_broker_it_is_said_that_the_portal_keeps_trying(world):
    browser = await world.browser()
    words = "The portal has lost the MQTT broker; it keeps trying to reach it."
    world.bus.up = False
    browser.offer()
    assert [m["message"] for m in await browser.heard()] == [words]
    world.gateway.on_broker(connected=False)
    browser.offer()
    assert [m["message"] for m in await browser.heard() if m["type"] == "reject"] == [words]


async def test_what_belongs_to_nobody_here_is_answered_in_words(leasing):
    browser = await leasing.watching()
    other = Browser(leasing.gateway, "other")
    await other.heard()
    session = "a" * 32
    resume(other)
    other.offer(session)
    other.say(type="candidate", session=session, candidate="candidate:1")
    assert [(m["code"], m["session"], m["message"]) for m in await other.heard()] == [
        ("session-taken", session, "this session is somebody else's"),
        ("session-taken", session, "this session exists already: make a new one"),
        ("unknown-session", session, "this connection has no such session"),
    ]
    assert await browser.heard() == []


async def test_who_asks_for_too_much_is_told_what_is_the_matter(world, monkeypatch):
    monkeypatch.setattr("agent.portal.limits.MAX_SESSIONS", 2)
    monkeypatch.setattr("agent.portal.limits.MAX_SESSIONS_PER_OWNER", 3)
    browser, second = await world.browser(), await world.browser()
    for number in range(3):
        browser.offer(f"{number:032x}")
    for number in range(4, 6):
        second.offer(f"{number:032x}")
    assert [(m["code"], m["message"]) for m in (*await browser.heard(), *await second.heard())] == [
        ("too-many-sessions", "This page already has 2 sessions open; close some cameras."),
        ("too-many-sessions", "You already have 3 sessions open; close some cameras."),
    ]
    other = Browser(world.gateway, "other")
    await other.heard()
    assert other.offer("f" * 32)
    assert await other.heard() == [], "nobody else's"
    monkeypatch.setattr(world.gateway.sessions._limit._rate, "admits", lambda _owner, _now_s: False)
    session = other.offer("e" * 32)
    assert await other.heard() == [
        {
            "type": "reject",
            "session": session,
            "code": "too-many-offers",
            "message": "Too many requests in a minute: wait a little.",
            "retry_after_s": 60.0,
        }
    ]


async def test_who_may_not_resume_is_refused_in_the_audit_log(two):
    stranger = Browser(two.gateway, "bob", FRONT)
    await stranger.heard()
    resume(stranger, device="back")
    assert [(m["code"], m["message"]) for m in await stranger.heard()] == [
        ("unknown-camera", "There is no camera of this name here.")
    ]
    assert two.notes == [("bob", "back", "watch-refused", "")]


async def test_who_resumes_a_preview_or_is_refused_hears_of_the_camera_as_before(leasing):
    browser = await leasing.watching()
    resume(browser, "b" * 32)
    assert json.loads(await anext(browser.stream))["device"]["own_viewers"] == 2
    leasing.gateway.note_watching = lambda *note: notes.append(note[1:])
    notes = []
    resume(browser, "c" * 32, stream="preview")
    assert notes == [("front", "preview", "")]
    leasing.gateway.on_signal("front", "b" * 32, Bye(0, "over"))
    assert notes[1:] == [("front", "watch-end", "session bbbbbbbb, 0 s")]


async def test_a_camera_is_asked_to_look_for_a_release_while_it_is_there(world):
    asked = []
    gateway = Gateway(
        world.bus.send, TURN, "1", ask_to_look=lambda *looked: asked.append(looked) or "told", lease_s=7
    )
    assert gateway.ask_to_look("front") is False
    gateway.on_state("front", state(online=False))
    assert gateway.ask_to_look("front") is False
    gateway.on_state("front", state(boot_id="boot-7"))
    assert gateway.ask_to_look("front") == "told"
    assert gateway.ask_to_look("back") is False
    assert asked == [("front", "boot-7")]
    assert Gateway(world.bus.send, TURN, "1").ask_to_look("front") is False
    assert gateway.devices() == ("front",)


async def test_candidates_wait_for_a_challenge_up_to_a_bound_and_go_where_the_offer_went(world):
    browser = await world.browser()
    session = browser.offer()
    for number in range(MAX_CANDIDATES + 1):
        world.now += 0.1
        browser.say(type="candidate", session=session, candidate=f"candidate:{number}")
    sent = world.sent(Candidate)
    assert {to[:2] for to in sent} == {("front", session)}
    world.gateway.on_signal("front", session, Reject(0, "expired", "no", challenge=CHALLENGE))
    again = world.sent(Candidate)[len(sent) :]
    assert len(again) == MAX_CANDIDATES
    assert {to[:2] for to in again} == {("front", session)}
    assert [m.seq for _, _, m in world.bus.sent] == sorted({m.seq for _, _, m in world.bus.sent})
    world.answer(session, 1, "v=0")
    browser.say(type="candidate", session=session, candidate="candidate:late")
    assert world.sent(Candidate)[-1][2].candidate == "candidate:late"
    assert len(world.gateway.sessions.table.get(session).candidates) == MAX_CANDIDATES, (
        "nobody will ask for them"
    )


async def test_a_renewal_says_what_this_viewer_may_do_and_when_by_the_portals_clock(leasing):
    leasing.step_s = 5e8
    admin = Browser(leasing.gateway, "ann", Access(None, {"front": "operator"}))
    session = admin.offer("a" * 32)
    leasing.answer(session, 0, "v=0")
    leasing.run(LEASE_S / 3 + 1)
    [renewal] = leasing.renewals()
    assert (renewal.user, renewal.permissions) == ("ann", ("watch", "control"))
    assert 0 <= leasing.now + 5e8 - renewal.issued_at <= 1.5


async def test_only_those_who_were_asked_about_are_judged(two):
    asked, new = await two.browser(), await two.browser()
    asked.client.identity = Identity("old", "ann", EVERYTHING, FOREVER)
    two.gateway.apply({}, {"old"})
    assert (asked.client.outbox.close_code, new.client.outbox.close_code) == (1008, None)
    clients = [Browser(two.gateway, f"user{number}").client for number in range(20)]
    gone = {client.identity.session for client in clients[::2]}
    two.gateway.apply({}, gone)
    assert [client.outbox.close_code for client in clients] == [1008, None] * 10


async def test_rights_that_change_elsewhere_end_nothing_here(two):
    browser = Browser(two.gateway, "viewer", FRONT)
    await browser.heard()
    session = browser.offer()
    two.answer(session, 0, "v=0")
    await browser.heard()
    allow(two, identity(access=Access(None, {"front": "viewer", "back": "operator"})))
    assert two.sent(Bye) == []
    shown = json.loads(await anext(browser.stream))
    assert shown["device"]["id"] in ("front", "back")


async def test_ice_without_turn_is_never_stale():
    world = World(IceServers((STUN,)))
    browser = await world.browser()
    world.pass_time(1e6)
    assert await browser.heard() == []


async def test_a_camera_of_which_more_than_the_first_page_is_told_shows_each_once(world):
    browser = await world.browser()
    world.gateway.on_event(DeviceEvent("front", "camera-failed", "no frames", 9_999.0, "error"))
    [told] = await browser.heard()
    assert told["at"] == 9_999
    world.gateway.on_state("front", state(online=False))
    world.gateway.on_state("front", state(online=True))
    _, past = await Browser(world.gateway).heard()
    assert [(one["kind"], one["message"], one["at"]) for one in past["events"]] == [
        ("online", "", world.now),
        ("offline", "", world.now),
        ("camera-failed", "no frames", 9_999.0),
    ]


async def test_signed_in_browsers_and_their_streams_are_live(world):
    browser = await world.browser()
    assert world.gateway.live_sessions() == {"session of viewer"}
    browser.offer()
    world.gateway.leave(browser.client)
    assert world.gateway.live_sessions() == {"session of viewer"}, "the stream plays on"
    world.pass_time(ORPHAN_S + 1)
    assert world.gateway.live_sessions() == set()


# Who may do what.

FRONT = Access(cameras={"front": "viewer"})


@pytest.fixture
def two(world):
    """A world with a second camera, `back`, and what the audit log was told."""
    world.gateway.on_state("back", state(name="Back door"))
    world.notes = []
    world.gateway.note_watching = lambda client, device, act, detail: world.notes.append(
        (client.user, device, act, detail)
    )
    return world


def allow(world, *identities):
    """The accounts say who may still come in."""
    world.gateway.apply({each.session: each for each in identities}, world.gateway.live_sessions())


async def test_a_camera_that_is_not_granted_is_not_even_listed(two):
    browser = Browser(two.gateway, access=FRONT)
    [hello] = await browser.heard()
    assert [device["id"] for device in hello["devices"]] == ["front"]
    two.gateway.on_state("back", state(online=False, since=1001.0))
    two.gateway.on_health("back", Health(1000.0, (HealthFault("board", "hot", "cool it"),)))
    two.gateway.on_event(DeviceEvent("back", "camera-lost", "gone", 1000.0, "error"))
    assert await browser.heard() == []
    two.gateway.on_event(DeviceEvent("front", "camera-lost", "gone", 1000.0, "error"))
    assert [m["type"] for m in await browser.heard()] == ["event"]


async def test_an_offer_to_a_camera_that_is_not_granted_reads_like_one_to_none(two):
    browser = await two.browser()
    browser.client.identity = identity(access=FRONT)
    browser.offer(device="back")
    browser.offer(session="b" * 32, device="nowhere")
    refused, unknown = await browser.heard()
    assert refused | {"session": ""} == unknown | {"session": ""}
    assert two.sent(Offer) == []


async def test_who_is_shut_out_loses_streams_and_socket_at_once(two):
    browser, other = await two.browser(), Browser(two.gateway, "other")
    session, kept = browser.offer(), other.offer(session="b" * 32)
    two.answer(session, 0, "v=0")
    allow(two, other.client.identity)
    assert [to for _, to, _ in two.sent(Bye)] == [session]
    assert browser.client.outbox.close_code == 1008
    assert other.client.outbox.close_code is None
    two.answer(kept, 0, "v=0")
    assert [m["type"] for m in await other.heard()][-1] == "answer"


async def test_a_stream_whose_socket_is_away_ends_too(two):
    browser = await two.browser()
    session = browser.offer()
    two.gateway.leave(browser.client)
    allow(two)
    assert [to for _, to, _ in two.sent(Bye)] == [session]


async def test_a_grant_that_goes_takes_stream_and_camera_along(two):
    browser = await two.browser()
    front, back = browser.offer(), browser.offer(session="b" * 32, device="back")
    allow(two, identity(access=FRONT))
    assert [(device, to) for device, to, _ in two.sent(Bye)] == [("back", back)]
    said = await browser.heard()
    assert [(m["type"], m.get("session"), m.get("device")) for m in said if m["type"] != "device"] == [
        ("bye", back, None),
        ("gone", None, "back"),
    ]
    two.answer(front, 0, "v=0")
    assert [m["type"] for m in await browser.heard()] == ["answer"]


async def test_a_new_grant_shows_its_camera(two):
    browser = Browser(two.gateway, access=FRONT)
    await browser.heard()
    allow(two, identity(access=Access("viewer")))
    async for text in browser.stream:
        message = json.loads(text)
        if message["type"] == "device" and message["device"]["id"] == "back":
            break


async def test_other_rights_make_another_session(two):
    browser = await two.browser()
    session = browser.offer()
    allow(two, identity(access=Access("operator")))
    assert [to for _, to, _ in two.sent(Bye)] == [session]


async def test_who_came_in_while_the_accounts_were_asked_stays(two):
    asked = two.gateway.live_sessions()
    browser = await two.browser()
    two.gateway.apply({}, asked)
    assert browser.client.outbox.close_code is None


async def test_the_audit_log_hears_who_watches_and_for_how_long(two):
    browser = await two.browser()
    session = browser.offer()
    assert two.notes == []
    two.answer(session, 0, "v=0")
    two.pass_time(9)
    browser.say(type="bye", session=session)
    assert two.notes == [
        ("viewer", "front", "watch", "session aaaaaaaa"),
        ("viewer", "front", "watch-end", "session aaaaaaaa, 9 s"),
    ]


async def test_the_audit_log_hears_of_previews_once_an_hour(two):
    browser = await two.browser()
    for number, minutes in enumerate((0, 10, 10, 45)):
        two.pass_time(minutes * 60)
        session = browser.offer(session=f"{number:032x}", stream="preview")
        two.answer(session, 0, "v=0")
        browser.say(type="bye", session=session)
    assert two.notes == [("viewer", "front", "preview", "")] * 2


async def test_everybody_knows_their_own_streams_and_only_who_manages_a_camera_the_others(two):
    async def told(browser):
        await browser.heard()
        return json.loads(await anext(browser.stream))["device"]

    admin, bob = (
        Browser(two.gateway, user, Access(role)) for user, role in (("ann", "admin"), ("bob", "viewer"))
    )
    other = Browser(two.gateway, "cy")
    for number, browser in enumerate((bob, other, other, admin)):
        two.answer(browser.offer(session=f"{number:032x}"), 0, "v=0")
    two.gateway.on_state("front", state(viewers=4))
    seen = await told(admin)
    assert (seen["viewers"], seen["own_viewers"], seen["watching"]) == (4, 1, ["bob", "cy", "cy"])
    seen = await told(bob)
    assert (seen["viewers"], seen["own_viewers"], seen["watching"]) == (4, 1, [])
    bob.say(type="bye", session=f"{0:032x}")
    two.gateway.on_state("front", state(viewers=3))
    assert (await told(admin))["watching"] == ["cy", "cy"]
    assert (await told(bob))["own_viewers"] == 0


async def test_who_comes_later_hears_what_happened_before(two):
    two.gateway.on_event(DeviceEvent("front", "camera-failed", "stuck", 1000.0, "error"))
    two.gateway.on_state("back", state(name="Back door", online=False, since=1001.0))
    _, past = await Browser(two.gateway).heard()
    assert [(one["device"], one["kind"]) for one in past["events"]] == [
        ("back", "offline"),
        ("front", "camera-failed"),
    ]
    _, past = await Browser(two.gateway, access=FRONT).heard()
    assert [one["device"] for one in past["events"]] == ["front"]


async def test_what_happened_before_fits_into_one_message(two):
    for number in range(500):
        two.gateway.on_event(
            DeviceEvent(f"cam-{number // 20}", "camera-failed", "ä" * 512, float(number), "error")
        )
    _, past = await Browser(two.gateway).heard()
    assert past["events"][0]["at"] == 499
    assert len(json.dumps(past, ensure_ascii=False).encode()) < 64 * 1024


async def test_a_guest_is_told_when_the_link_ends(world):
    guest = Identity("s", "link:plumber", EVERYTHING, 12_345.0, share_id=1)
    client = world.gateway.join(guest)
    assert json.loads(await anext(client.outbox.stream()))["link_ends_at"] == 12_345
    [hello] = await Browser(world.gateway).heard()
    assert "link_ends_at" not in hello


MODEM = SectionsMessage("boot-1", 0, {"modem": {"rssi_dbm": -71}, "camera": {"lux": 3}})


async def devices_of(client):
    hello = json.loads(await anext(client.outbox.stream()))
    return hello["devices"]


async def test_sections_that_the_portal_does_not_know_reach_the_dashboard(world):
    client = world.gateway.join(identity(), reads_sections=True)
    assert "modem" not in (await devices_of(client))[0]["sections"]
    world.gateway.on_sections("front", MODEM)
    changed = json.loads(await anext(client.outbox.stream()))["device"]
    assert changed["sections"]["modem"] == {"rssi_dbm": -71}
    assert changed["sections"]["camera"]["lux"] == 3
    assert changed["sections"]["portal"]["online"] is True


async def test_a_dashboard_of_before_there_were_sections_reads_what_it_always_did(world):
    world.gateway.on_sections("front", MODEM)
    [device] = await devices_of(world.gateway.join(identity()))
    assert (device["name"], device["online"], device["camera"]) == ("Front door", True, "idle")
    assert not {"sections", "modem", "lux"} & set(device)


async def test_a_guest_reads_no_section_that_nobody_here_knows(world):
    world.gateway.on_sections("front", MODEM)
    guest = Identity("s", "link:plumber", EVERYTHING, 12_345.0, share_id=1)
    [device] = await devices_of(world.gateway.join(guest, reads_sections=True))
    assert device["sections"]["camera"]["state"] == "idle"
    assert "modem" not in device["sections"]


CHALLENGE = "c" * 22


async def test_a_device_with_a_wrong_clock_is_asked_again_with_its_challenge_and_the_viewer_sees_nothing(
    world,
):
    browser = await world.browser()
    session = browser.offer(relay_only=True)
    browser.say(type="candidate", session=session, candidate="candidate:1")
    expired = Reject(0, "expired", "it is another hour here", challenge=CHALLENGE)
    world.gateway.on_signal("front", session, expired)
    first, again = (offer for _, _, offer in world.sent(Offer))
    assert (first.challenge, again.challenge) == (None, CHALLENGE)
    assert (again.sdp, again.relay_only, again.seq) == (first.sdp, True, first.seq + 2)
    assert again.nonce != first.nonce
    assert [m.candidate for _, _, m in world.sent(Candidate)] == ["candidate:1", "candidate:1"]
    world.answer(session, 1, "v=0 answer")
    assert [m["type"] for m in await browser.heard()] == ["answer"]


async def test_a_second_challenge_is_a_refusal(world):
    browser = await world.browser()
    session = browser.offer()
    for seq in (0, 1):
        world.gateway.on_signal("front", session, Reject(seq, "expired", "no", challenge=CHALLENGE))
    assert len(world.sent(Offer)) == 2
    assert [m["code"] for m in await browser.heard()] == ["expired"]


async def test_a_viewer_hears_at_once_that_the_broker_does_not_take_the_offer():
    world = World()
    browser, other = await world.browser(), await world.browser()
    session = browser.offer()
    world.gateway.on_undelivered("another", session, "not its own")
    world.gateway.on_undelivered("front", "b" * 32, "unknown")
    assert await browser.heard() == []
    world.gateway.on_undelivered("front", session, "the broker takes 2048 bytes")
    [told] = await browser.heard()
    assert told["type"] == "reject"
    assert told["code"] == "broker-refuses"
    assert told["message"] == "The broker takes 2048 bytes."
    assert await other.heard() == []


async def test_a_restart_that_the_broker_does_not_take_lets_nobody_watch_unseen():
    """Who watches ends with the session that the portal knows of, though its offer alone was too large."""
    world = World()
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0 answer")
    browser.offer(session=session, restart=True)
    world.gateway.on_undelivered("front", session, "the broker takes 2048 bytes")
    world.gateway.on_undelivered("front", session, "not even that")
    assert [(device, to) for device, to, _ in world.sent(Bye)] == [("front", session)]
    assert [told["type"] for told in await browser.heard()] == ["answer", "reject"]


class LeasingWorld(World):
    """Its camera understands leases."""

    def __init__(self):
        super().__init__()
        self.gateway.on_state("front", state(understands=("lease",)))

    async def watching(self, session="a" * 32):
        browser = await self.browser()
        browser.offer(session)
        self.answer(session, 0, "v=0")
        await browser.heard()
        return browser

    def run(self, seconds):
        for _ in range(int(2 * seconds)):
            self.pass_time(0.5)

    def renewals(self):
        return [renewal for _, _, renewal in self.sent(Renew)]

    def byes(self):
        return [bye for _, _, bye in self.sent(Bye)]

    def restarted(self):
        """Another portal, with what the broker retains."""
        other = LeasingWorld()
        other.now = self.now
        return other


@pytest.fixture
def leasing():
    return LeasingWorld()


def resume(browser, session="a" * 32, device="front", **fields):
    browser.say(type="resume", session=session, device=device, **fields)


async def test_a_stream_that_plays_is_renewed_as_long_as_its_viewer_may_watch(leasing):
    await leasing.watching()
    [(_, _, offer)] = leasing.sent(Offer)
    assert offer.lease_s == LEASE_S
    leasing.run(10 * LEASE_S)
    ends_s = offer.issued_at + LEASE_S
    for renewal in leasing.renewals():
        assert renewal.issued_at < ends_s - LEASE_S / 2, "in time, also where one of them is lost"
        assert (renewal.user, renewal.permissions) == (offer.user, offer.permissions)
        ends_s = renewal.issued_at + renewal.lease_s
    assert ends_s > leasing.now
    assert len(leasing.renewals()) <= 31, "no more than it takes"
    assert leasing.byes() == []


async def test_a_camera_that_knows_no_leases_hears_nothing_of_them(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    resume(browser, "b" * 32)
    for _ in range(100):
        world.pass_time(LEASE_S / 10)
        world.gateway.on_state("front", state())
    browser.offer(session=session, restart=True)
    assert {type(message) for _, _, message in world.bus.sent} == {Offer}
    assert [offer.lease_s for _, _, offer in world.sent(Offer)] == [None, None]


async def test_nothing_is_renewed_for_who_has_gone(leasing):
    browser = await leasing.watching()
    leasing.gateway.leave(browser.client)
    leasing.run(3 * LEASE_S)
    assert leasing.renewals() == []


async def test_restarts_put_no_renewal_off(leasing):
    """The device may refuse them, one by one, and play on."""
    browser = await leasing.watching()
    for _ in range(10):
        leasing.run(LEASE_S / 10)
        browser.offer("a" * 32, restart=True)
    assert len(leasing.renewals()) >= 2


async def test_the_portals_clock_may_step_while_a_stream_plays(leasing):
    await leasing.watching()
    leasing.step_s = -86_400.0
    leasing.run(LEASE_S)
    issued = [renewal.issued_at for renewal in leasing.renewals()]
    assert issued
    assert all(10_000.0 < at <= leasing.now for at in issued)


async def test_what_the_broker_was_away_for_is_renewed_as_soon_as_it_is_back(leasing):
    await leasing.watching()
    leasing.bus.up = False
    leasing.run(LEASE_S / 2)
    assert leasing.renewals() == []
    leasing.bus.up = True
    leasing.run(1)
    assert len(leasing.renewals()) == 1


async def test_a_camera_that_comes_back_to_the_broker_is_told_again(leasing):
    await leasing.watching()
    leasing.run(LEASE_S / 3 + 1)
    assert len(leasing.renewals()) == 1
    leasing.run(RENEW_AGAIN_S)
    for _ in range(100):  # however often it says that it is there
        leasing.gateway.on_state("front", state(understands=("lease",)))
        leasing.pass_time(0.01)
    assert len(leasing.renewals()) == 2
    leasing.gateway.on_state("front", state(online=False, understands=("lease",)))
    leasing.run(LEASE_S)
    assert len(leasing.renewals()) == 2, "nobody is there to hear it"


async def test_a_viewer_resumes_over_another_socket_and_the_stream_plays_on(leasing):
    """As where Wi-Fi was away for a moment, and the stream was not."""
    browser = await leasing.watching()
    leasing.gateway.leave(browser.client)
    other = await leasing.browser()
    resume(other)
    leasing.run(LEASE_S)
    assert leasing.byes() == []
    assert leasing.renewals()
    leasing.gateway.on_signal("front", "a" * 32, Restart(1, "the camera's network changed"))
    assert "restart" in [m["type"] for m in await other.heard()]


async def test_a_portal_that_was_restarted_goes_on_with_what_plays(leasing):
    await leasing.watching()
    leasing.run(60)
    other = leasing.restarted()
    browser = await other.browser()
    resume(browser)
    other.pass_time(0.5)
    [(device, session, renewal)] = other.sent(Renew)
    assert (device, session) == ("front", "a" * 32)
    assert (renewal.user, renewal.permissions, renewal.lease_s) == ("viewer", ("watch",), LEASE_S)
    assert renewal.seq > leasing.bus.sent[-1][2].seq, "above what the former portal said"
    own = json.loads(await anext(browser.stream))["device"]
    assert own["own_viewers"] == 1, "it is shown as before"
    other.run(3 * LEASE_S)
    assert other.byes() == []
    browser.say(type="bye", session="a" * 32)
    assert len(other.byes()) == 1


async def test_a_portal_that_knows_no_camera_yet_renews_when_it_does():
    world = World()
    world.gateway = Gateway(world.bus.send, TURN, "1.2.3", world.gateway._clock)
    world.gateway.on_broker(connected=True)
    browser = await world.browser()
    resume(browser)
    world.pass_time(1)
    assert world.bus.sent == []
    world.gateway.on_state("front", state(understands=("lease",)))
    world.pass_time(1)
    assert len(world.sent(Renew)) == 1
    world.reborn(state(boot_id="boot-2", understands=("lease",)))
    assert "bye" in [m["type"] for m in await browser.heard()], "an agent that began anew has no session"


async def test_nothing_is_resumed_for_who_may_not_watch(leasing):
    stranger = Browser(leasing.gateway, "bob", Access())
    await stranger.heard()
    resume(stranger)
    leasing.run(10)
    [said] = [m for m in await stranger.heard() if m.get("session")]
    assert (said["type"], said["code"]) == ("reject", "unknown-camera")
    assert leasing.bus.sent == []


async def test_nobody_resumes_what_is_somebody_elses_or_an_older_socket(leasing):
    browser = await leasing.watching()
    other = Browser(leasing.gateway, "other")
    await other.heard()
    resume(other)
    assert [m["code"] for m in await other.heard()] == ["session-taken"]
    newer = await leasing.browser()
    resume(newer)
    resume(browser)
    assert [m["code"] for m in await browser.heard() if m["type"] == "error"] == ["session-taken"]


async def test_resuming_is_bounded(leasing):
    browser = await leasing.browser()
    for number in range(MAX_SESSIONS + 1):
        leasing.now += 0.1
        resume(browser, f"{number:032x}")
    heard = [m["code"] for m in await browser.heard() if m["type"] == "reject"]
    assert heard == ["too-many-sessions"]
    for number in range(OFFERS_PER_MINUTE):
        leasing.now += 0.05
        resume(browser, f"{number % MAX_SESSIONS:032x}")
    assert "too-many-offers" in [m.get("code") for m in await browser.heard()]


async def test_a_session_that_its_camera_does_not_know_ends_for_the_viewer(leasing):
    browser = await leasing.browser()
    resume(browser)
    leasing.pass_time(0.5)
    leasing.gateway.on_signal("front", "a" * 32, Bye(0, "this session is over"))
    assert "bye" in [m["type"] for m in await browser.heard()]
    leasing.run(LEASE_S)
    assert len(leasing.renewals()) == 1


async def test_a_bye_is_said_until_the_camera_has_said_it_too(leasing):
    browser = await leasing.watching()
    leasing.gateway.apply({}, {browser.client.identity.session})
    assert len(leasing.byes()) == 1, "at once"
    leasing.run(20)
    assert len(leasing.byes()) >= 4
    leasing.gateway.on_signal("evil", "a" * 32, Bye(1, "over"))
    leasing.gateway.on_signal("front", "a" * 32, Candidate(1, "candidate:1"))
    before = len(leasing.byes())
    leasing.run(LONGEST_PAUSE_S)
    assert len(leasing.byes()) > before
    leasing.gateway.on_signal("front", "a" * 32, Bye(2, "over"))
    before = len(leasing.byes())
    leasing.run(LEASE_S)
    assert len(leasing.byes()) == before
    assert leasing.renewals() == []


async def test_a_bye_that_nobody_confirms_is_said_until_the_lease_must_be_over(leasing):
    browser = await leasing.watching()
    browser.say(type="bye", session="a" * 32)
    leasing.run(LEASE_S + 31)
    said = len(leasing.byes())
    assert said <= 20, "with pauses"
    leasing.run(LEASE_S)
    assert len(leasing.byes()) == said


@pytest.mark.parametrize("understands", [(), ("lease",)], ids=["old camera", "new camera"])
async def test_a_bye_waits_for_the_broker(leasing, understands):
    leasing.gateway.on_state("front", state(understands=understands))
    browser = await leasing.watching()
    leasing.bus.up = False
    leasing.gateway.apply({}, {browser.client.identity.session})
    leasing.run(60)
    assert leasing.byes() == []
    leasing.bus.up = True
    leasing.run(0.5)
    assert len(leasing.byes()) == 1


async def test_a_camera_that_comes_back_hears_its_byes_at_once_unless_it_began_anew(leasing):
    browser = await leasing.watching()
    leasing.gateway.apply({}, {browser.client.identity.session})
    leasing.run(60)
    before = len(leasing.byes())
    leasing.gateway.on_state("front", state(understands=("lease",)))
    leasing.run(0.5)
    assert len(leasing.byes()) == before + 1
    leasing.reborn(state(boot_id="boot-2", understands=("lease",)))
    leasing.run(LEASE_S)
    assert len(leasing.byes()) == before + 1


async def test_byes_that_wait_are_bounded(leasing, monkeypatch):
    monkeypatch.setattr(farewells, "MAX_FAREWELLS", 8)
    browser = await leasing.browser()
    for number in range(20):
        leasing.bus.up = True
        browser.offer(f"{number:032x}")
        leasing.bus.up = False
        browser.say(type="bye", session=f"{number:032x}")
        await browser.heard()
    leasing.bus.up = True
    leasing.run(0.5)
    assert len(leasing.byes()) == 8


async def test_what_is_ended_and_then_resumed_is_renewed_and_not_ended_again(leasing):
    browser = await leasing.watching()
    leasing.gateway.leave(browser.client)
    leasing.bus.up = False
    leasing.run(31)
    leasing.bus.up = True
    other = await leasing.browser()
    resume(other)
    leasing.run(LEASE_S)
    assert leasing.byes() == []
    assert leasing.renewals()


async def test_only_what_concerns_a_session_of_ours_is_expected(leasing):
    def expected(device="front"):
        return leasing.gateway.expects(device, "a" * 32)

    browser = await leasing.browser()
    assert not expected()
    browser.offer("a" * 32)
    assert expected(), "its answer"
    assert not expected("back")
    browser.say(type="bye", session="a" * 32)
    assert expected(), "that it has ended the session, too"
    assert not expected("back")
    leasing.gateway.on_signal("front", "a" * 32, Bye(0, "over"))
    assert not expected()


async def test_the_answer_of_a_camera_that_is_asked_of_its_start_is_expected(leasing):
    await leasing.watching()
    leasing.gateway.on_state("front", state(boot_id="boot-2"))
    _, asked, _ = leasing.questions()[-1]
    assert leasing.gateway.expects("front", asked)
    assert not leasing.gateway.expects("back", asked)
    leasing.gateway.on_signal("front", asked, Reject(0, "wrong-boot", "no"))
    assert not leasing.gateway.expects("front", asked), "it has answered"
