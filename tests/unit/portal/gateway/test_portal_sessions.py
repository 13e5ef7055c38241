"""A session from its offer to its end."""

import json
import secrets

import pytest
from fakes.bus import state
from parts.gateway import CHALLENGE, FRONT, Browser, World, allow, identity, resume

from agent.errors import MessageError
from agent.model.signal import Answer, Bye, Candidate, Offer, Reject, Restart
from agent.portal.accounts.access import Access
from agent.portal.limits import (
    MAX_CANDIDATES,
)
from agent.portal.sessions import ANSWER_TIMEOUT_S, ORPHAN_S


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
