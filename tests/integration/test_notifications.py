"""Telling people, on both kinds of database: once, to who may watch, by whichever portal, whatever dies."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
from parts.notified import EVERYTHING, Told, receiver
from parts.portal import PASSWORD, USER, portal, standing_clock

from agent.config import PortalSettings
from agent.portal.accounts import users
from agent.portal.notify import deliveries, notifier, rulebook
from agent.portal.notify.carrier import Carrier
from agent.portal.notify.deliveries import LEASE_S, LIFETIME_S
from agent.portal.notify.notifier import Notifier
from agent.portal.notify.rules import Escalation
from agent.portal.notify.ways import open_ways
from agent.portal.registry import device_revision
from agent.portal.store import Store

NOW = 1_800_000_000.0


@pytest.fixture
def told(world):
    for name in ("bob", "cy"):
        world.desk.add_user(name, "viewer", password=PASSWORD)
    return Told(world.store, world.seal)


def test_each_event_is_told_once_however_many_portals_look(told, database_url):
    told.rule(told.channel(), cooldown_s=0)
    for number in range(20):
        told.happen(NOW + number / 100)
    others = [Store.open(database_url) for _ in range(3)]
    portals = [Told(store, told.seal) for store in others]
    with ThreadPoolExecutor(3) as pool:
        judged = list(pool.map(lambda one: one.judge(NOW + 1), portals))
        assert sum(judged) == 20
        found = list(pool.map(lambda one: one.told(NOW + 1), portals))
    assert sum(len(one) for one in found) == 20
    assert told.told(NOW + 2) == []
    for store in others:
        store.close()


def test_a_rule_for_persons_tells_as_soon_as_one_is_seen_and_another_is_not_told_twice(told):
    persons, porch, all_motion = (told.channel(url=f"https://hooks.example.org/{name}") for name in "pza")
    told.rule(persons, name="Persons", labels=("person",), cooldown_s=0)
    told.rule(porch, name="Porch", zones=("Porch",), cooldown_s=0)
    told.rule(all_motion, cooldown_s=0)
    begun = told.happen(NOW, zones="Yard")
    assert told.told(NOW) == [(all_motion, ["motion"])]
    more = {"begun": begun, "label": "person", "zones": "Yard", "known_zones": "Yard"}
    told.happen(NOW + 2, kind="motion-seen", **more)
    assert told.told(NOW + 2) == [(persons, ["motion"])]
    more |= {"zones": "Porch, Yard", "known_label": "person"}
    told.happen(NOW + 5, kind="motion-seen", **more)
    assert told.told(NOW + 5) == [(porch, ["motion"])]
    told.happen(NOW + 9, kind="motion-ended", begun=begun, label="person", zones="Porch, Yard")
    assert told.told(NOW + 9) == []


def test_a_person_in_a_motion_that_goes_on_for_hours_is_news(told):
    channel = told.channel()
    told.rule(channel, labels=("person",))
    begun = told.happen(NOW)
    assert told.told(NOW) == []
    told.happen(NOW + 7200, kind="motion-seen", begun=begun, label="person")
    assert told.told(NOW + 7200) == [(channel, ["motion"])]


def test_what_comes_in_one_message_after_an_outage_is_told_once(told):
    channel = told.channel()
    told.rule(channel, labels=("person",), cooldown_s=0)
    begun = told.happen(NOW)
    told.happen(NOW, kind="motion-seen", begun=begun, label="person")
    told.happen(NOW, kind="motion-ended", begun=begun, label="person")
    assert told.told(NOW) == [(channel, ["motion"])]


def test_who_may_not_watch_is_told_nothing_from_that_moment_on(told, world):
    world.desk.add_user("dan", None, cameras=["front", "yard"], password=PASSWORD)
    channel = told.channel("dan")
    told.rule(channel, user="dan")
    told.happen(NOW)
    told.happen(NOW, "elsewhere")
    assert told.told(NOW) == [(channel, ["motion"])]
    told.happen(NOW, "yard")
    told.judge(NOW)  # it waits to be sent already
    world.store.run_here(lambda db: users.revoke(db, users.find(db, "dan"), camera="yard"))
    assert told.told(NOW) == []
    assert told.rows()[-1] == ("dropped", "Its reader may not watch the camera.")
    told.happen(NOW, "front", "camera-failed")
    told.judge(NOW)
    world.desk.set_disabled("dan", disabled=True)
    assert told.told(NOW) == []
    assert told.rows()[-1] == ("dropped", "Its reader may not sign in.")


def test_who_must_have_a_second_factor_and_has_none_is_told_nothing(told):
    told.rule(told.channel())
    told.happen(NOW)
    told.judge(NOW)
    assert told.take(NOW, rule="admin") == []
    assert told.rows() == [("dropped", "Its reader may not sign in.")]


def test_a_rule_may_be_for_a_group_as_it_is_at_that_moment(told, world):
    world.desk.put_group("Doors", ["front"])
    told.rule(told.channel(), groups=("Doors",), cooldown_s=0)
    told.happen(NOW, "front")
    told.happen(NOW, "yard")
    assert len(told.told(NOW)) == 1
    world.desk.put_group("Doors", ["yard"])
    told.happen(NOW, "front")
    told.happen(NOW, "yard")
    [(_, kinds)] = told.told(NOW)
    assert kinds == ["motion"]


def test_the_cool_down_is_by_rule_camera_and_kind_and_says_what_it_held_back(told):
    told.rule(told.channel(), cooldown_s=60)
    for ago_s in (0.3, 0.2, 0.1):
        told.happen(NOW, ago_s=ago_s)
    told.happen(NOW, "yard")
    told.happen(NOW, "front", "camera-failed")
    assert sorted(kinds for _, kinds in told.told(NOW)) == [["camera-failed"], ["motion"], ["motion"]]
    told.happen(NOW + 61)
    told.judge(NOW + 61)
    [taken] = told.take(NOW + 61)
    assert taken.items[0].skipped == 2


def test_a_digest_gathers_and_is_told_once(told):
    channel = told.channel()
    told.rule(channel, digest_s=600, cooldown_s=0)
    for number in range(3):
        told.happen(NOW + number)
        assert told.told(NOW + number) == []
    assert told.told(NOW + 599) == []
    assert told.told(NOW + 601) == [(channel, ["motion"] * 3)]
    told.happen(NOW + 700)
    assert told.told(NOW + 701) == []
    assert told.told(NOW + 1301) == [(channel, ["motion"])]


def test_a_digest_holds_so_much_and_counts_the_rest(told):
    told.rule(told.channel(), digest_s=600, cooldown_s=0)
    for _ in range(45):
        told.happen(NOW)
    told.judge(NOW)
    [taken] = told.take(NOW + 601)
    assert (len(taken.items), taken.more) == (40, 5)


def test_a_camera_that_flaps_is_told_of_once_when_it_stays_away(told):
    channel = told.channel()
    told.rule(channel, offline_for_s=120, cooldown_s=3600)
    told.presence(NOW - 9, is_online=True)
    for at in (0, 30, 60):
        told.presence(NOW + at, is_online=False)
        told.judge(NOW + at)
        told.presence(NOW + at + 10, is_online=True)
        assert told.told(NOW + at + 10) == []
    told.presence(NOW + 90, is_online=False)
    assert told.told(NOW + 209) == []
    assert told.told(NOW + 211) == [(channel, ["offline"])]
    told.presence(NOW + 400, is_online=True)
    assert told.told(NOW + 400) == [(channel, ["online"])]
    told.presence(NOW + 500, is_online=False)  # and stays away: told when the cool-down is over
    assert told.told(NOW + 1000) == []
    assert told.told(NOW + 211 + 3601) == [(channel, ["offline"])]


def test_where_nobody_looks_somebody_else_is_told(told):
    own, others = told.channel(), told.channel("bob", "https://b.example.org", is_open=True)
    rule = told.rule(own, escalation=Escalation(after_s=300, channel=others), cooldown_s=0)
    told.happen(NOW, kind="camera-failed")
    assert told.told(NOW) == [(own, ["camera-failed"])]
    assert told.told(NOW + 299) == []
    assert told.told(NOW + 301) == [(others, ["camera-failed"])]

    told.happen(NOW + 400, kind="camera-failed")
    assert told.told(NOW + 400) == [(own, ["camera-failed"])]
    told.store.run_here(lambda db: deliveries.note_look(db, users.find(db, USER).id, NOW + 500))
    assert told.told(NOW + 701) == []
    assert told.rows()[-1] == ("dropped", "Somebody has looked.")

    told.happen(NOW + 800, kind="camera-failed")
    told.judge(NOW + 800)
    bob = told.user("bob")
    told.store.run_here(lambda db: setattr(rulebook.own_channel(db, bob, others), "is_open", False))
    assert told.told(NOW + 1200) == [(own, ["camera-failed"])]
    assert rule


def test_who_takes_over_is_told_of_what_they_may_watch_and_of_nothing_else(told, world):
    world.desk.add_user("eve", None, cameras=["yard"], password=PASSWORD)
    others = told.channel("eve", "https://e.example.org", is_open=True)
    told.rule(escalation=Escalation(after_s=60, channel=others), cooldown_s=0)
    told.happen(NOW, "front")
    told.happen(NOW, "yard")
    told.judge(NOW)
    found = told.take(NOW + 61) + told.take(NOW + 61, busy=(others,))
    assert [item.device for taken in found for item in taken.items] == ["yard"]


def test_a_snoozed_rule_tells_nothing_also_of_what_waits(told):
    rule = told.rule(told.channel(), cooldown_s=0)
    told.happen(NOW)
    told.judge(NOW)
    ann = told.user(USER)
    told.store.run_here(lambda db: rulebook.snooze(db, ann, rule, NOW + 60))
    told.happen(NOW)
    assert told.told(NOW) == []
    told.happen(NOW + 61)
    assert len(told.told(NOW + 61)) == 1


def test_what_a_killed_portal_had_taken_is_told_by_another_when_its_lease_is_over(told):
    channel = told.channel()
    told.rule(channel)
    told.happen(NOW)
    told.judge(NOW)
    [dead] = told.take(NOW, "dead")
    assert told.take(NOW + LEASE_S - 1, "other") == [], "it may yet be sent"
    [again] = told.take(NOW + LEASE_S, "other")
    assert (again.id, again.attempts) == (dead.id, 2), "its number has the receiver show it once"
    assert not told.finish(dead, NOW + LEASE_S), "who was thought dead changes nothing any more"
    assert told.finish(again, NOW + LEASE_S)
    assert told.take(NOW + 3 * LEASE_S) == []


def test_what_is_refused_is_tried_again_with_growing_pauses_and_given_up(told):
    told.rule(told.channel())
    told.happen(NOW)
    told.judge(NOW)
    now, tries = NOW, []
    while True:
        due = told.store.run_here(lambda db: deliveries.next_due(db, ()))
        if due is None:
            break
        now = max(now, due)
        for taken in told.take(now):
            tries.append(now - NOW)
            told.finish(taken, now, error="The webhook answered 503")
    assert tries[:6] == [0, 5, 20, 80, 380, 1280]
    assert tries[-1] < LIFETIME_S
    assert len(tries) < 25
    assert told.rows() == [("failed", "The webhook answered 503")]
    [channel] = told.store.run_here(lambda db: rulebook.views(db, users.find(db, USER).id, EVERYTHING))[
        "channels"
    ]
    assert channel["error"] == "The webhook answered 503"
    assert channel["failing_since"] == NOW


def test_who_says_when_to_come_again_is_believed(told):
    told.rule(told.channel())
    told.happen(NOW)
    told.judge(NOW)
    [taken] = told.take(NOW)
    told.finish(taken, NOW, error="too fast", retry_after_s=900.0)
    assert told.take(NOW + 899) == []
    [taken] = told.take(NOW + 900)
    told.finish(taken, NOW + 900, error="never", is_final=True)
    assert told.rows() == [("failed", "never")]


def test_a_channel_that_is_gone_takes_what_waits_along(told):
    channel = told.channel()
    told.rule(channel, cooldown_s=0)
    told.happen(NOW)
    told.happen(NOW)
    told.judge(NOW)
    [taken] = told.take(NOW)
    told.finish(taken, NOW, error="gone", is_gone=True)
    assert told.rows() == []
    told.happen(NOW)
    assert told.told(NOW) == []


def test_one_channel_holds_so_many_and_one_that_hangs_holds_up_no_other(told, monkeypatch):
    monkeypatch.setattr(deliveries, "MAX_WAITING", 5)
    slow, quick = told.channel(), told.channel(url="https://quick.example.org")
    told.rule(slow, quick, cooldown_s=0)
    for _ in range(9):
        told.happen(NOW)
    while told.judge(NOW):
        pass
    assert len(told.rows()) == 2 * 5
    assert {taken.channel for taken in told.take(NOW)} == {slow, quick}
    assert [taken.channel for taken in told.take(NOW, busy=(slow,))] == [quick]


def test_what_was_told_long_ago_is_forgotten(told, monkeypatch):
    monkeypatch.setattr(deliveries, "KEPT_OF_CHANNEL", 3)
    told.rule(told.channel(), cooldown_s=0)
    for number in range(5):
        told.happen(NOW + number)
        told.told(NOW + number)
    told.store.run_here(lambda db: deliveries.prune(db, NOW + 200))
    assert len(told.rows()) == 3
    told.store.run_here(lambda db: deliveries.prune(db, NOW + 30 * 86_400))
    assert told.rows() == []


def test_secrets_of_channels_stand_nowhere_in_the_clear_and_are_their_users_alone(told):
    told.channel(url="https://hooks.example.org/very-secret-path", secret="s3cr3t-words")

    def rows(db):
        return [(row, row.sealed) for row in db.query(rulebook.NotifyChannel)]

    [(row, sealed)] = told.store.run_here(rows)
    assert "secret" not in sealed
    assert rulebook.config_of(told.seal, row)["secret"] == "s3cr3t-words"
    row.user_id += 1
    with pytest.raises(Exception, match="is not sealed by"):
        rulebook.config_of(told.seal, row)


async def test_an_event_is_posted_signed_and_a_kill_between_changes_nothing(world, told, database_url):
    """The whole way: a notifier that is killed while it sends, and another one that goes on."""
    clock = {"now": NOW}
    async with receiver() as hook:
        told.rule(told.channel(url=f"{hook.url}/a", secret="shared"))
        settings = PortalSettings(notify={"private_addresses": True})
        ways = open_ways(world.store, world.seal, settings)
        names = lambda: {"front": "Front door"}  # noqa: E731
        hangs = asyncio.Event()

        async def hang():
            hangs.set()
            await asyncio.sleep(3600)

        hook.answers = [hang]
        first = Notifier(world.store, Carrier(world.seal, ways), names, clock=lambda: clock["now"])
        running = asyncio.create_task(first.run())
        told.happen(NOW)
        first.wake()
        await asyncio.wait_for(hangs.wait(), 60)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert told.rows() == [("waiting", "")]

        clock["now"] += LEASE_S
        other_store = Store.open(database_url)
        other = Notifier(
            other_store,
            Carrier(world.seal, ways, clock=lambda: clock["now"]),
            names,
            clock=lambda: clock["now"],
        )
        other.base = "https://cams.example.org"
        running = asyncio.create_task(other.run())
        await hook.until(2)
        async with asyncio.timeout(60):
            while told.rows() != [("sent", "")]:
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        other_store.close()
        await ways.close()

    (_, first_headers, _), (path, headers, body) = hook.got
    assert path == "/a"
    assert first_headers["Pinhole-Delivery"] == headers["Pinhole-Delivery"], "a double can be told"
    stamp = headers["Pinhole-Timestamp"]
    assert int(stamp) == NOW + LEASE_S
    wanted = hmac.new(b"shared", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Pinhole-Signature"] == f"v1={wanted}"
    said = json.loads(body)
    assert said["title"] == "Front door: Motion"
    assert said["user"] == USER
    assert said["url"].startswith("https://cams.example.org/#/camera/front/")
    assert [one["event_id"] for one in said["events"]] == ["e-0"]


@contextlib.asynccontextmanager
async def portal_at_rest(world, database_url, monkeypatch):
    """One that has looked, and has nothing to tell; PostgreSQL tells of events, SQLite's file is read."""
    tells = database_url.startswith("postgresql")
    monkeypatch.setattr(notifier, "POLL_S", 1e6 if tells else 0.1)
    monkeypatch.setattr(notifier, "SAFETY_POLL_S", 1e6)
    store = Store.open(database_url)
    ways = open_ways(store, world.seal, PortalSettings(notify={"private_addresses": True}))
    rests = Notifier(store, Carrier(world.seal, ways), dict)
    tasks = [asyncio.create_task(store.listen(device_revision(), rests.wake))]
    try:
        async with asyncio.timeout(60):
            while store.hears != tells:
                await asyncio.sleep(0.02)
        tasks.append(asyncio.create_task(rests.run()))
        yield store
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        store.close()
        await ways.close()


async def test_what_a_portal_kept_and_left_is_told_by_another_at_rest(world, told, database_url, monkeypatch):
    """At once, and what gathers when it is due."""
    async with receiver() as hook:
        told.rule(told.channel(url=f"{hook.url}/now"), kinds=("motion",), cooldown_s=0)
        told.rule(told.channel(url=f"{hook.url}/later"), kinds=("camera-failed",), digest_s=1, name="B")
        async with portal_at_rest(world, database_url, monkeypatch):
            for count in (1, 2):
                told.happen(time.time())
                await hook.until(count)
            told.happen(time.time(), kind="camera-failed")
            await hook.until(3)
    assert [path for path, _, _ in hook.got] == ["/now", "/now", "/later"]


async def ask(http, part, path, body=None):
    url = f"{part.url}/api/notify{path}"
    async with await (http.get(url) if body is None else http.post(url, json=body)) as answer:
        return answer.status, await answer.json()


async def test_over_the_dashboards_routes_a_user_is_told_by_a_webhook_and_the_log_says_so():
    clock = standing_clock()
    settings = {"notify": {"private_addresses": True}}
    async with portal(clock=clock, **settings) as part, receiver() as hook:
        part.desk.add_user("bob", None, cameras=["yard"], password=PASSWORD)
        jars = [aiohttp.CookieJar(unsafe=True) for _ in range(2)]
        async with (
            aiohttp.ClientSession(cookie_jar=jars[0]) as http,
            aiohttp.ClientSession(cookie_jar=jars[1]) as bobs,
        ):
            assert (await ask(http, part, ""))[0] == 401
            await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
            await bobs.post(f"{part.url}/api/login", json={"user": "bob", "password": PASSWORD})
            status, made = await ask(http, part, "/webhook", {"name": "Hook", "url": f"{hook.url}/x"})
            assert status == 200
            assert len(made["secret"]) == 64
            spec = {"channels": [made["id"]], "kinds": ["motion"]}
            status, rule = await ask(http, part, "/rules", {"name": "Motion", "spec": spec})
            assert status == 200, rule
            hook.answers = [500]
            status, answer = await ask(http, part, "/channels/test", {"id": made["id"]})
            assert (status, answer["message"]) == (502, "The webhook answered 500")
            _, page = await ask(http, part, "")
            assert page["channels"][0]["error"] == "The webhook answered 500"
            status, answer = await ask(http, part, "/channels/test", {"id": made["id"]})
            assert (status, answer) == (200, {"state": "sent"})

            for path, body, wanted in (
                ("/channels/test", {"id": made["id"]}, 404),
                ("/channels/remove", {"id": made["id"]}, 404),
                ("/rules/remove", {"id": rule["id"]}, 404),
                ("/snooze", {"id": rule["id"], "seconds": 60}, 404),
                ("/rules", {"name": "x", "spec": {"channels": [made["id"]]}}, 404),
                ("/rules", {"name": "x", "spec": {"cameras": ["front"]}}, 404),
                ("/rules", {"name": "x", "spec": {"groups": ["Doors"]}}, 404),
                ("/rules", {"name": "x", "spec": {"escalation": {"channel": made["id"]}}}, 404),
                ("/rules", {"name": "", "spec": {}}, 400),
                ("/rules", {"name": "x", "spec": {"zone": "Mars"}}, 400),
                ("/webhook", {"name": "x", "url": "file:///etc/passwd"}, 400),
            ):
                assert (await ask(bobs, part, path, body))[0] == wanted, path
            _, page = await ask(bobs, part, "")
            assert page["channels"] == page["rules"] == page["deliveries"] == page["others"] == []

            _, page = await ask(http, part, "")
            assert page["rules"][0]["spec"]["kinds"] == ["motion"]
            assert page["channels"][0]["error"] == ""
            assert page["kinds"]["motion"] == "Motion"
            assert "secret" not in json.dumps(page)
            status, _ = await ask(http, part, "/snooze", {"seconds": 600})
            _, page = await ask(http, part, "")
            assert page["rules"][0]["snoozed_until"] == pytest.approx(clock() + 600)
            await ask(http, part, "/rules/remove", {"id": rule["id"]})
            await ask(http, part, "/channels/remove", {"id": made["id"]})
            await part.accounts.audit.flush()
            answer = await http.get(f"{part.url}/api/audit?about=notifications")
            acts = [entry["action"] for entry in (await answer.json())["entries"]][::-1]
            assert acts == ["channel-added", "rule-set", "rule-snoozed", "rule-removed", "channel-removed"]


async def test_a_rule_that_tells_nobody_says_so():
    async with portal() as part, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        told = Told(part.accounts.store, part.accounts.seal)
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})

        async def untold():
            [rule] = (await ask(http, part, ""))[1]["rules"]
            return rule["untold"]

        status, answer = await ask(http, part, "/rules", {"name": "x", "spec": {"kinds": ["motion"]}})
        assert status == 400
        assert "tells nobody: it has no channel" in answer["message"]
        status, rule = await ask(http, part, "/rules", {"name": "x", "is_on": False, "spec": {}})
        assert (status, await untold()) == (200, ""), "off, it is meant to"

        channel, ann = told.channel(USER), told.user(USER)
        spec = {"channels": [channel]}
        assert (await ask(http, part, "/rules", {"id": rule["id"], "name": "x", "spec": spec}))[0] == 200
        assert await untold() == ""
        told.store.run_here(lambda db: setattr(rulebook.own_channel(db, ann, channel), "is_confirmed", False))
        assert "enter the code" in await untold()
        await ask(http, part, "/channels/remove", {"id": channel})
        assert "it has no channel" in await untold()

        part.desk.add_user("bob", "viewer", password=PASSWORD)
        bobs = told.channel("bob", "https://hooks.example.org/b", is_open=True)
        spec = {"escalation": {"channel": bobs}}
        assert (await ask(http, part, "/rules", {"id": rule["id"], "name": "x", "spec": spec}))[0] == 200
        assert await untold() == "", "somebody is told, later"
        told.store.run_here(
            lambda db: setattr(rulebook.own_channel(db, told.user("bob"), bobs), "is_open", False)
        )
        assert "it has no channel" in await untold()


async def test_a_webhook_of_a_private_address_is_refused_unless_the_settings_allow_it():
    async with portal() as part, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        for url in ("http://example.org/", "https://127.0.0.1/", "https://[::1]/", "https://localhost/"):
            status, answer = await ask(http, part, "/webhook", {"name": "Hook", "url": url})
            assert status == 400, url
            assert "address must" in answer["message"]


async def test_two_users_have_a_webhook_each_at_one_address_and_tests_are_few_and_to_who_confirmed():
    url = "https://hooks.example.org/a"
    async with (
        portal() as part,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as bobs,
    ):
        told = Told(part.accounts.store, part.accounts.seal)
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        for name, one in ((USER, http), ("bob", bobs)):
            await one.post(f"{part.url}/api/login", json={"user": name, "password": PASSWORD})
        before = told.channel(USER, url)  # as a release before this one told channels apart
        status, own = await ask(http, part, "/webhook", {"name": "Hook", "url": url})
        assert (status, own["id"]) == (200, before)
        assert (await ask(bobs, part, "/webhook", {"name": "Hook", "url": url}))[0] == 200
        assert [one["id"] for one in (await ask(http, part, ""))[1]["channels"]] == [before]
        ann = told.user(USER)
        told.store.run_here(lambda db: setattr(rulebook.own_channel(db, ann, before), "is_confirmed", False))
        answers = [(await ask(http, part, "/channels/test", {"id": before}))[0] for _ in range(6)]
        assert answers == [409] * 5 + [429]


def test_what_is_unconfirmed_and_the_service_of_who_is_no_administrator_any_more_are_told_nothing(told):
    for change in ({"is_confirmed": False}, {"kind": "service"}):
        channel, bob = told.channel("bob"), told.user("bob")

        def prepare(db, channel=channel, bob=bob, change=change):
            for name, value in change.items():
                setattr(rulebook.own_channel(db, bob, channel), name, value)
            deliveries.put(db, channel, "test", [], NOW)

        told.store.run_here(prepare)
        assert told.take(NOW) == []
        told.store.run_here(
            lambda db, channel=channel: rulebook.remove_channel(db, told.user("bob"), channel)
        )
