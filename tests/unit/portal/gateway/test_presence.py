"""Which cameras are there, and what becomes of sessions when one began anew."""

import json

import pytest
from fakes.bus import state
from parts.gateway import CHALLENGE, Browser, playing

from agent.model.health import Health, HealthFault
from agent.model.signal import Bye, Offer, Reject
from agent.portal.rebirths import MAX_TRIES


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


async def test_the_answer_of_a_camera_that_is_asked_of_its_start_is_expected(leasing):
    await leasing.watching()
    leasing.gateway.on_state("front", state(boot_id="boot-2"))
    _, asked, _ = leasing.questions()[-1]
    assert leasing.gateway.expects("front", asked)
    assert not leasing.gateway.expects("back", asked)
    leasing.gateway.on_signal("front", asked, Reject(0, "wrong-boot", "no"))
    assert not leasing.gateway.expects("front", asked), "it has answered"
