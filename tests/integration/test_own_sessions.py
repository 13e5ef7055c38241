"""One's own sessions on a real store: listed, ended one by one, and over when nobody uses them."""

import time

import aiohttp
import pytest
from parts.portal import PASSWORD, USER, portal

from agent.portal.accounts import sessions


@pytest.mark.parametrize(("name", "idle_s"), [(USER, sessions.ADMIN_IDLE_S), ("bob", sessions.IDLE_S)])
async def test_a_session_is_over_when_nobody_uses_it(world, name, idle_s):
    world.desk.add_user("bob", "viewer", password=PASSWORD)
    token, who = await world.sign_in(name)
    world.now += idle_s - 1
    assert await world.accounts.identity(token), "each request counts"
    world.now += idle_s - 1
    await world.accounts.note_seen([who.session])  # its WebSocket is open
    world.now += idle_s - 1
    assert await world.accounts.identity(token)
    world.now += idle_s + 1
    assert await world.accounts.identity(token) is None


async def test_a_session_that_is_used_ends_after_30_days_all_the_same(world):
    token, _ = await world.sign_in()
    for _ in range(90):
        world.now += 8 * 3600
        who = await world.accounts.identity(token)
    assert who is None


async def test_a_full_disk_signs_nobody_out(world):
    token, _ = await world.sign_in()
    world.now += 3600
    world.store.disk_is_full = True
    assert await world.accounts.identity(token)


def browser(name):
    jar = aiohttp.CookieJar(unsafe=True)
    return aiohttp.ClientSession(cookie_jar=jar, headers={"User-Agent": name})


async def test_one_sees_where_one_is_signed_in_and_ends_one_of_them(store):
    login = {"user": USER, "password": PASSWORD}
    async with (
        portal(store=store) as part,
        browser("Phone") as phone,
        browser("Desk") as desk,
        browser("E") as eve,
    ):
        for http in (phone, desk):
            assert (await http.post(f"{part.url}/api/login", json=login)).status == 200
        part.desk.add_user("eve", "admin", password=PASSWORD)
        await eve.post(f"{part.url}/api/login", json=login | {"user": "eve"})
        listed = (await (await desk.get(f"{part.url}/api/account")).json())["sessions"]
        assert {(one["browser"], one["address"], one["own"]) for one in listed} == {
            ("Phone", "127.0.0.1", False),
            ("Desk", "127.0.0.1", True),
        }
        assert all(one["seen_at"] >= one["created_at"] for one in listed)
        [other] = [one["id"] for one in listed if not one["own"]]
        end = f"{part.url}/api/account/sessions/end"
        assert (await eve.post(end, json={"id": other})).status == 404, "nobody else's"
        async with phone.ws_connect(f"{part.url}/api/ws") as socket:
            await socket.receive_json(timeout=60)
            assert (await desk.post(end, json={"id": other})).status == 200
            while (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert socket.closed
        assert (await phone.get(f"{part.url}/api/session")).status == 401
        assert (await desk.get(f"{part.url}/api/session")).status == 200
        assert (await desk.post(end, json={"id": other})).status == 404


async def test_an_unused_browser_changes_nothing_without_the_password(store):
    began = float(int(time.time()))
    clock = [began]
    async with portal(store=store, clock=lambda: clock[0]) as part, browser("Desk") as http:

        async def post(path, **body):
            answer = await http.post(part.url + path, json=body)
            return answer.status, (await answer.json()).get("code")

        await post("/api/login", user=USER, password=PASSWORD)
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        assert await post("/api/users/bob", role="operator") == (200, None)
        clock[0] += 601
        dangerous = {
            "/api/users": {"name": "eve", "role": "admin"},
            "/api/users/bob": {"role": "admin"},
            "/api/users/bob/link": {},
            "/api/users/bob/remove": {},
            "/api/groups/Yard": {"cameras": []},
            "/api/groups/Yard/remove": {},
            "/api/claims": {"device": "front"},
            "/api/devices/front/revoke": {},
        }
        for path, body in dangerous.items():
            assert await post(path, **body) == (403, "confirm-first"), path
        assert (await http.get(f"{part.url}/api/users")).status == 200, "looking is free"
        assert await post("/api/confirm", password="wrong") == (401, "wrong-password")
        assert await post("/api/users/bob", role="admin") == (403, "confirm-first")
        assert await post("/api/confirm", password=PASSWORD) == (200, None)
        assert await post("/api/users/bob", role="viewer") == (200, None)
        assert (await post("/api/claims", device="front"))[0] == 200
        clock[0] = began - 1800  # a clock that was ahead gives no longer life
        assert await post("/api/users/bob", role="admin") == (403, "confirm-first")
