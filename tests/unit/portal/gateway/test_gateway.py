"""Who is connected, and who hears of what."""

import contextlib
import json

import pytest
from fakes.bus import state
from parts.gateway import EVERYTHING, FOREVER, FRONT, STUN, TURN, Browser, World, allow, identity, playing

from agent.errors import MessageError
from agent.model.health import Health, HealthFault
from agent.model.sections import SectionsMessage
from agent.model.signal import Bye, Offer, Result
from agent.portal.accounts.access import Access, Identity
from agent.portal.audience import RESULTS_PER_MINUTE
from agent.portal.gateway import EVENTS_PER_MINUTE, PAST_OF_DEVICE, Gateway
from agent.portal.limits import (
    MESSAGES_AT_ONCE,
)
from agent.portal.messages import DeviceEvent
from agent.portal.outbox import MAX_QUEUED
from agent.portal.sessions import ORPHAN_S
from agent.portal.turn import IceServers


async def test_hello_holds_all_that_a_click_needs(world):
    [hello] = await Browser(world.gateway).heard()
    assert hello["type"] == "hello"
    assert (hello["version"], hello["user"], hello["broker"]) == ("1.2.3", "viewer", True)
    assert hello["ice_servers"][0] == {"urls": ["stun:s.example:3478"]}
    assert hello["ice_servers"][1]["username"] == "13600:viewer"
    assert hello["ice_expires_at"] == 13_600
    assert [device["id"] for device in hello["devices"]] == ["front"]


async def test_a_ping_is_answered(world):
    browser = await world.browser()
    browser.say(type="ping")
    assert await browser.heard() == [{"type": "pong"}]


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


async def test_a_camera_cannot_say_in_a_viewers_name_what_that_may_not_do_nor_fill_the_audit_log(two):
    browser = await two.browser()
    browser.client.identity = identity(access=FRONT)
    browser.offer()
    two.notes.clear()

    def say(seq, name):
        two.gateway.on_signal("front", "a" * 32, Result(seq, f"c{seq}", name, ok=True, code="done"))

    with pytest.raises(MessageError):
        say(0, "reboot")
    assert two.notes == []
    browser.client.identity = identity(access=Access(cameras={"front": "operator"}))
    for seq in range(1, 1000):
        with contextlib.suppress(MessageError):
            say(seq, "identify")
    assert len(two.notes) == RESULTS_PER_MINUTE


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


async def test_a_guest_reads_no_section_and_no_field_that_nobody_here_knows(world):
    stream = {"width_px": 640, "height_px": 360, "fps": 10.0, "bitrate_bps": 1}
    streams = {"main": stream | {"place": "49.9 8.6"}, "roof": stream}
    sections = MODEM.sections | {"streams": streams}
    world.gateway.on_sections("front", SectionsMessage("boot-1", 0, sections))
    everything = (await devices_of(world.gateway.join(identity(), reads_sections=True)))[0]["sections"]
    assert everything["streams"] == streams
    guest = Identity("s", "link:plumber", EVERYTHING, 12_345.0, share_id=1)
    [device] = await devices_of(world.gateway.join(guest, reads_sections=True))
    assert device["sections"]["camera"]["state"] == "idle"
    assert device["sections"]["streams"] == {"main": stream}
    assert "modem" not in device["sections"]
    assert "lux" not in device["sections"]["camera"]


async def test_where_a_camera_stands_is_for_its_users_and_not_for_guests(world):
    gnss = {"state": "fix", "latitude_deg": 47.38, "longitude_deg": 8.54}
    world.gateway.on_sections("front", SectionsMessage("boot-1", 0, {"gnss": gnss}))
    viewer = Identity("v", "bob", Access("viewer"), FOREVER)
    guest = Identity("s", "link:plumber", EVERYTHING, 12_345.0, share_id=1)
    [seen] = await devices_of(world.gateway.join(viewer, reads_sections=True))
    [shared] = await devices_of(world.gateway.join(guest, reads_sections=True))
    assert seen["sections"]["gnss"] == gnss
    assert "gnss" not in shared["sections"]
    assert "47.38" not in json.dumps(shared)


async def test_only_who_manages_a_camera_reads_which_cell_its_modem_is_in(world):
    modem = {"operator": "Net", "cell": "262-01-1A2B-5"}
    world.gateway.on_sections("front", SectionsMessage("boot-1", 0, {"modem": modem}))

    async def seen(role):
        client = world.gateway.join(Identity(role, role, Access(role), FOREVER), reads_sections=True)
        return (await devices_of(client))[0]["sections"]["modem"]

    assert await seen("operator") == {"operator": "Net"}
    assert await seen("admin") == modem


async def test_who_only_watches_a_camera_does_not_read_who_moves_it(world):
    ptz = {"state": "ready", "holder": "ann"}
    world.gateway.on_sections("front", SectionsMessage("boot-1", 0, {"ptz": ptz}))

    async def seen(role):
        client = world.gateway.join(Identity(role, role, Access(role), FOREVER), reads_sections=True)
        return (await devices_of(client))[0]["sections"]["ptz"]

    assert await seen("viewer") == {"state": "ready"}
    assert await seen("operator") == ptz


async def test_who_may_not_look_back_does_not_read_what_a_camera_uploads(world):
    offered = {"file": "000000/000000001-main.mp4", "bytes": 5, "start_unix_s": 1e9, "stream": "main"}
    upload = {"state": "sending", "waiting": 1, "next": offered | {"part_bytes": 5 * 2**20}}
    world.gateway.on_sections("front", SectionsMessage("boot-1", 0, {"upload": upload}))

    async def seen(role):
        client = world.gateway.join(Identity(role, role, Access(role), FOREVER), reads_sections=True)
        return (await devices_of(client))[0]["sections"]["upload"]

    assert await seen("viewer") == {"state": "sending", "waiting": 1}
    assert await seen("operator") == upload
