"""Leases are renewed while a viewer may watch, and a `bye` is said until the camera knows."""

import json

import pytest
from fakes.bus import state
from parts.gateway import TURN, Browser, World, identity, resume

from agent.model.signal import Bye, Candidate, Offer, Renew, Restart, Result
from agent.portal import farewells
from agent.portal.accounts.access import Access
from agent.portal.farewells import LONGEST_PAUSE_S
from agent.portal.gateway import Gateway
from agent.portal.limits import (
    MAX_SESSIONS,
    OFFERS_PER_MINUTE,
)
from agent.portal.session_table import RENEW_AGAIN_S
from agent.portal.sessions import LEASE_S


async def test_a_state_said_again_does_not_silence_a_bye(leasing):
    browser = await leasing.watching()
    leasing.gateway.apply({}, {browser.client.identity.session})
    before = len(leasing.byes())
    leasing.gateway.on_state("front", state(boot_id="boot-0", understands=("lease",)))
    leasing.run(60)
    assert len(leasing.byes()) > before


async def test_a_renewal_says_what_this_viewer_may_do_and_when_by_the_portals_clock(leasing):
    leasing.step_s = 5e8
    admin = Browser(leasing.gateway, "ann", Access(None, {"front": "operator"}))
    session = admin.offer("a" * 32)
    leasing.answer(session, 0, "v=0")
    leasing.run(LEASE_S / 3 + 1)
    [renewal] = leasing.renewals()
    assert (renewal.user, renewal.permissions) == ("ann", ("watch", "control"))
    assert 0 <= leasing.now + 5e8 - renewal.issued_at <= 1.5


async def test_what_was_watched_is_noted_also_of_who_has_gone_or_may_no_longer(leasing):
    notes, session = [], "a" * 32
    leasing.gateway.note_watching = lambda client, _, act, detail: notes.append((client.user, act, detail))
    admin = Browser(leasing.gateway, "ann", Access("admin"))
    admin.offer(session)
    leasing.answer(session, 0, "v=0")

    def say(seq, message=""):
        played = Result(seq, f"c{seq}", "play", ok=True, code="done", message=message)
        leasing.gateway.on_signal("front", session, played)

    say(1)
    admin.client.identity = identity("ann", Access("viewer"))
    say(2, "from noon on; saw nothing, in 3 s")
    admin.say(type="bye", session=session)
    say(3, "from one on; saw all, in 60 s")
    say(3, "from one on; saw all, in 60 s")
    leasing.gateway.on_signal("front", session, Bye(4, "closed"))
    say(5, "after its end")
    assert [note for note in notes if note[1] == "command-done"] == [
        ("ann", "command-done", "play"),
        ("ann", "command-done", "play: from noon on; saw nothing, in 3 s"),
        ("ann", "command-done", "play: from one on; saw all, in 60 s"),
    ]


@pytest.mark.parametrize("knows", [True, False])
async def test_only_a_camera_that_knows_of_recordings_is_told_who_may_see_them(leasing, knows):
    leasing.gateway.on_state("front", state(understands=("lease", "recordings") if knows else ("lease",)))
    admin = Browser(leasing.gateway, "ann", Access("admin"))
    session = admin.offer("a" * 32)
    leasing.answer(session, 0, "v=0")
    leasing.run(LEASE_S / 3 + 1)
    [renewal], [(_, _, offer)] = leasing.renewals(), leasing.sent(Offer)
    told = ("watch", "control", "recordings", "manage") if knows else ("watch", "control", "manage")
    assert renewal.permissions == offer.permissions == told


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
