"""What OWASP's guides (ASVS 5.0, WSTG) ask of a web application, tried on a real portal.

The tests walk over the application's own routes, so that a new one cannot be forgotten.
"""

import asyncio
import csv
import re
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fakes.bus import state
from parts.portal import PASSWORD, USER, portal, standing_clock
from parts.routes import of, routes

from agent.model.signal import Answer
from agent.portal.accounts.attempts import FREE_FAILURES
from agent.portal.accounts.codes import code_at
from agent.portal.api.route import Need, Route
from agent.portal.messages import DeviceEvent

PUBLIC = {
    "GET /",
    "GET /static/{version}/{name}",
    "GET /sw.js",
    "GET /manifest.webmanifest",
    "GET /icon-180.png",
    "GET /icon-192.png",
    "GET /icon-512.png",
    "GET /icon-badge.png",
    "GET /icon-maskable.png",
    "GET /healthz",
    "GET /metrics",  # for who shows its token, or from this machine alone
    "GET /api/ways",
    "POST /api/login",
    "POST /api/passkey/options",
    "POST /api/passkey",
    "POST /api/welcome/look",
    "POST /api/welcome",
    "POST /api/enter",
    "GET /api/company",
    "GET /api/company/return",
    "POST /api/share/open",
    "POST /api/enroll",
}
"""Every address that answers without a session; each is a decision."""
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
OFFER = {"type": "offer", "session": "a" * 32, "device": "back", "sdp": "v=0"}


def of_users():
    return of(Need.USER, Need.OWN, Need.CONFIRMED_OWN)


def of_administrators():
    return of(Need.ADMIN, Need.CONFIRMED_ADMIN)


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def login(http, part, user=USER, password=PASSWORD, **kwargs):
    return await http.post(f"{part.url}/api/login", json={"user": user, "password": password}, **kwargs)


async def ask(http, part, method, path, **kwargs):
    """One request with every sign of a WebSocket where it is one."""
    headers = kwargs.pop("headers", {}) | (UPGRADE if path.endswith("/ws") else {})
    body = {} if method == "GET" else {"json": {}}
    return await http.request(
        method, part.url + path, headers=headers, allow_redirects=False, **body, **kwargs
    )


@asynccontextmanager
async def company():
    """A portal with two cameras, an administrator, and one user of each kind, all signed in."""
    async with portal() as part:
        for device in ("front", "back"):
            part.gateway.on_state(device, state(name=device))
        part.desk.add_user("viewer", None, cameras=["front"], password=PASSWORD)
        part.desk.add_user("operator", None, password=PASSWORD)
        part.desk.grant("operator", "operator", camera="front", group=None)
        sessions = {}
        for name in (USER, "viewer", "operator"):
            sessions[name] = client()
            assert (await login(sessions[name], part, name)).status == 200
        try:
            yield part, sessions
        finally:
            for http in sessions.values():
                await http.close()


async def share(http, part, device="front", **changes):
    answer = await http.post(
        f"{part.url}/api/shares", json={"device": device, "label": "plumber", "lifetime_s": 3600.0} | changes
    )
    return answer, (await answer.json()).get("token")


# Access control (ASVS V8, WSTG-ATHZ).


def test_every_route_declares_what_it_needs_and_the_public_ones_are_known():
    assert all(isinstance(route, Route) for _, _, route in routes()), "add routes with `route.add`"
    public = {f"{method} {path}" for method, path, route in routes() if route.need is Need.NOTHING}
    assert public == PUBLIC
    assert len(of_users()) >= 8
    assert len(of_administrators()) >= 9
    assert {method for method, _ in of(Need.ADMIN)} == {"GET"}, "changes ask for the password again"
    assert len(of(Need.LINK)) == 3


async def test_nothing_answers_without_a_session():
    async with portal() as part, client() as http:
        for need in set(Need) - {Need.NOTHING}:
            for method, path in of(need):
                for cookie in ({}, {"Cookie": "pinhole=nonsense; pinhole-link=nonsense"}):
                    answer = await ask(http, part, method, path, headers=cookie)
                    assert answer.status == 401, f"{method} {path}: {answer.status}"


async def test_an_administrators_address_is_closed_to_everybody_else():
    async with company() as (part, sessions):
        for method, path in of_administrators():
            for name in ("viewer", "operator"):
                answer = await ask(sessions[name], part, method, path)
                assert answer.status == 403, f"{name}: {method} {path}: {answer.status}"
        assert (await sessions[USER].get(f"{part.url}/api/users")).status == 200


async def test_a_viewer_cannot_do_what_an_operator_may():
    async with company() as (part, sessions):
        answer, _ = await share(sessions["viewer"], part)
        assert answer.status == 403
        answer, token = await share(sessions["operator"], part)
        assert answer.status == 200
        assert token
        made = (await answer.json())["id"]
        assert (await (await sessions["viewer"].get(f"{part.url}/api/shares")).json())["shares"] == []
        revoke = await sessions["viewer"].post(f"{part.url}/api/shares/revoke", json={"id": made})
        assert revoke.status == 404
        answer, _ = await share(sessions["operator"], part, device="back")
        assert answer.status == 404, "not granted: as if it were not there"


async def test_a_camera_that_is_not_granted_shows_nowhere():
    async with company() as (part, sessions):
        async with sessions["viewer"].ws_connect(f"{part.url}/api/ws") as socket:
            hello = await socket.receive_json(timeout=60)
            assert [device["id"] for device in hello["devices"]] == ["front"]
            part.gateway.on_event(DeviceEvent("back", "camera-lost", "secret", time.time(), "error"))
            part.gateway.on_state("back", state(name="secret", viewers=3))
            await socket.send_json(OFFER)
            answer = await socket.receive_json(timeout=60)
            assert (answer["type"], answer["code"]) == ("reject", "unknown-camera")
            await socket.send_json(OFFER | {"device": "nowhere", "session": "b" * 32})
            unknown = await socket.receive_json(timeout=60)
            assert answer["message"] == unknown["message"]
        assert part.bus.sent == []


async def test_what_is_taken_away_ends_at_once():
    async with company() as (part, sessions):
        async with sessions["viewer"].ws_connect(f"{part.url}/api/ws") as socket:
            await socket.receive_json(timeout=60)
            await socket.send_json(OFFER | {"device": "front"})
            await until(lambda: len(part.bus.sent) == 1)
            part.desk.revoke("viewer", camera="front", group=None)
            kinds = [(await socket.receive_json(timeout=30))["type"] for _ in range(2)]
            assert kinds == ["bye", "gone"]
            assert type(part.bus.sent[-1][2]).__name__ == "Bye"
            part.desk.set_disabled("viewer", disabled=True)
            assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008
        assert (await sessions["viewer"].get(f"{part.url}/api/session")).status == 401
        assert (await login(sessions["viewer"], part, "viewer")).status == 401


# Sessions (ASVS V7, WSTG-SESS).


async def test_a_cookie_that_was_planted_beforehand_is_not_taken_over():
    async with portal() as part, client() as http:
        answer = await login(http, part, headers={"Cookie": "pinhole=planted-by-somebody-else"})
        assert answer.cookies["pinhole"].value != "planted-by-somebody-else"
        assert len(answer.cookies["pinhole"].value) >= 43, "256 bits"
    async with portal() as part, client() as http:
        planted = (await login(http, part)).cookies["pinhole"].value
        again = (await login(http, part)).cookies["pinhole"].value
        assert again != planted, "each sign-in makes a new session"


async def test_signing_out_ends_the_session_itself_not_only_the_cookie():
    async with portal() as part, client() as http:
        token = (await login(http, part)).cookies["pinhole"].value
        async with http.ws_connect(f"{part.url}/api/ws") as socket:
            await socket.receive_json(timeout=60)
            await http.post(f"{part.url}/api/logout", json={})
            assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
        async with client() as thief:
            answer = await thief.get(f"{part.url}/api/session", headers={"Cookie": f"pinhole={token}"})
            assert answer.status == 401


async def test_a_new_password_signs_every_other_browser_out():
    async with portal() as part, client() as here, client() as elsewhere:
        await login(here, part)
        await login(elsewhere, part)
        change = {"old": PASSWORD, "new": "another-long-password"}
        assert (await here.post(f"{part.url}/api/account/password", json=change)).status == 200
        assert (await here.get(f"{part.url}/api/session")).status == 200
        assert (await elsewhere.get(f"{part.url}/api/session")).status == 401


async def test_a_session_ends_by_itself():
    now = [time.time()]
    async with portal(clock=lambda: now[0]) as part, client() as http:
        await login(http, part)
        now[0] += 31 * 86400
        assert (await http.get(f"{part.url}/api/session")).status == 401


# Pages of other sites (ASVS V3, WSTG-SESS-05, CLNT-10).


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: "-".join(headers.values()),
)
async def test_no_address_takes_orders_from_another_site(headers):
    async with company() as (part, sessions):
        for method, path, route in routes():
            if method == "GET" and not path.endswith("/ws"):
                continue
            path = re.sub(r"\{\w+\}", "x", path)  # noqa: PLW2901 - the same address, filled in
            answer = await ask(sessions[USER], part, method, path, headers=headers)
            assert answer.status == 403, f"{method} {path}: {answer.status} ({route.need})"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_can_send_is_not_taken(kind):
    async with company() as (part, sessions):
        for method, path, _ in routes():
            if method == "POST":
                filled = re.sub(r"\{\w+\}", "x", path)
                answer = await sessions[USER].post(
                    part.url + filled, data=b'{"name":"evil"}', headers={"Content-Type": kind}
                )
                assert answer.status == 415, path
        assert len(part.desk.users()) == 3


async def test_no_get_changes_anything():
    async with company() as (part, sessions):
        part.gateway.on_state("x", state(name="x"))  # as the addresses are filled in
        before = (part.desk.users(), part.desk.groups())
        for method, path in [*of_users(), *of_administrators()]:
            if method == "GET" and not path.endswith("/ws"):
                without = {"still": 204, "picture": 404, "key": 404, "stored": 404}
                wanted = without.get(path.rpartition("/")[2], 200)
                assert (await ask(sessions[USER], part, method, path)).status == wanted
        assert (part.desk.users(), part.desk.groups()) == before


# Guessing (ASVS V6, WSTG-ATHN-03).


async def test_a_name_that_nobody_has_is_answered_like_a_wrong_password():
    async with portal() as part, client() as http:
        part.desk.add_user("shut-out", "admin", password=PASSWORD)
        part.desk.set_disabled("shut-out", disabled=True)
        answers = [
            await (await login(http, part, user, password)).json()
            for user, password in ((USER, "wrong"), ("nobody", PASSWORD), ("shut-out", PASSWORD))
        ]
        assert answers[0] == answers[1] == answers[2]


async def test_guesses_that_come_all_at_once_are_slowed_as_well():
    async with portal(clock=standing_clock()) as part, client() as http:
        answers = await asyncio.gather(*(login(http, part, password=f"guess-{n}") for n in range(30)))
        statuses = [answer.status for answer in answers]
        assert statuses.count(401) == FREE_FAILURES
        assert set(statuses) == {401, 429}
        assert (await login(http, part)).status == 429, "the right one has to wait, too"


async def test_waiting_grows_and_ends():
    now = [time.time()]
    async with portal(clock=lambda: now[0]) as part, client() as http:
        for _ in range(FREE_FAILURES):
            await login(http, part, password="wrong")
        waits = []
        for _ in range(4):
            refused = await login(http, part)
            waits.append(int(refused.headers["Retry-After"]))
            now[0] += waits[-1]
            assert (await login(http, part, password="wrong")).status == 401
        assert waits == [2, 3, 5, 9], "1, 2, 4, 8 s, rounded up"
        now[0] += 3700
        assert (await login(http, part)).status == 200


async def test_an_authenticators_code_is_guessed_no_faster():
    async with portal(clock=standing_clock()) as part, client() as http:
        await login(http, part)
        await set_up_code(http, part)
        for _ in range(FREE_FAILURES):
            answer = await http.post(
                f"{part.url}/api/login", json={"user": USER, "password": PASSWORD, "code": "000000"}
            )
        assert (await answer.json())["code"] in ("wrong-code", "too-many-attempts")
        assert (await login(http, part)).status == 429


async def set_up_code(http, part):
    new = await (await http.post(f"{part.url}/api/account/code/new", json={})).json()
    body = {"secret": new["secret"], "password": PASSWORD, "code": code_at(new["secret"])}
    assert (await http.post(f"{part.url}/api/account/code", json=body)).status == 200
    return new["secret"]


# Share links.


async def test_a_share_link_shows_one_camera_and_opens_nothing_else():
    async with company() as (part, sessions):
        _, token = await share(sessions["operator"], part)
        async with client() as stranger:
            opened = await stranger.post(f"{part.url}/api/share/open", json={"token": token})
            assert (await opened.json())["device"] == "front"
            cookie = opened.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            for method, path in [*of_users(), *of_administrators()]:
                assert (await ask(stranger, part, method, path)).status == 401, path
            value = opened.cookies["pinhole-link"].value
            forged = {"Cookie": f"pinhole={value}"}
            for method, path in [*of_users(), *of_administrators()]:
                assert (await ask(stranger, part, method, path, headers=forged)).status == 401, path
            async with stranger.ws_connect(f"{part.url}/api/share/ws") as socket:
                hello = await socket.receive_json(timeout=60)
                assert [device["id"] for device in hello["devices"]] == ["front"]
                await socket.send_json(OFFER)
                assert (await socket.receive_json(timeout=60))["type"] == "reject"
                [made] = (await (await sessions["operator"].get(f"{part.url}/api/shares")).json())["shares"]
                assert (made["opened"], made["label"]) == (1, "plumber")
                await sessions["operator"].post(f"{part.url}/api/shares/revoke", json={"id": made["id"]})
                assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
            answer = await stranger.post(f"{part.url}/api/share/open", json={"token": token})
            assert answer.status == 404


async def test_a_share_link_expires_with_all_that_it_opened():
    now = [time.time()]
    async with portal(clock=lambda: now[0]) as part, client() as http, client() as stranger:
        part.gateway.on_state("front", state())
        await login(http, part)
        _, token = await share(http, part)
        await stranger.post(f"{part.url}/api/share/open", json={"token": token})
        assert (await stranger.get(f"{part.url}/api/share")).status == 200
        now[0] += 3601
        assert (await stranger.get(f"{part.url}/api/share")).status == 401
        again = await stranger.post(f"{part.url}/api/share/open", json={"token": token})
        assert again.status == 404


@pytest.mark.parametrize(
    "changes",
    [{"lifetime_s": 1e9}, {"lifetime_s": 1.0}, {"lifetime_s": -1.0}, {"label": " "}, {"label": "x" * 101}],
)
async def test_a_share_link_has_limits(changes):
    async with company() as (part, sessions):
        answer, token = await share(sessions[USER], part, **changes)
        assert answer.status == 400
        assert token is None


# The audit log.


async def test_the_audit_log_tells_who_watched_what_and_when_in_both_places():
    async with company() as (part, sessions):
        async with sessions["viewer"].ws_connect(f"{part.url}/api/ws") as socket:
            await socket.receive_json(timeout=60)
            await socket.send_json(OFFER | {"device": "front"})
            await until(lambda: part.bus.sent)
            [(_, _, offer)] = part.bus.sent
            part.gateway.on_signal("front", OFFER["session"], Answer(0, offer.nonce, "v=0"))
            await socket.receive_json(timeout=60)
            await socket.send_json({"type": "bye", "session": OFFER["session"]})
            await until(lambda: len(part.bus.sent) == 2)
        file = part.folder / "audit.jsonl"
        await until(lambda: '"watch-end"' in file.read_text())
        await part.accounts.audit.flush()  # the file has it first, and the table a moment later
        assert (file.stat().st_mode & 0o777) == 0o600
        listed = await (await sessions[USER].get(f"{part.url}/api/audit?user=viewer")).json()
        acts = [(entry["action"], entry["device"]) for entry in listed["entries"]]
        assert acts == [("watch-end", "front"), ("watch", "front"), ("sign-in", "")]
        assert listed["entries"][0]["address"] == "127.0.0.1"
        assert re.search(r"session a{8}, \d+ s", listed["entries"][0]["detail"])


async def test_the_audit_log_is_narrowed_by_date_topic_and_camera_and_leaves_as_a_file():
    async with company() as (part, sessions):
        for actor, action, device in (
            ("=cmd|'/c calc'!A0", "sign-in-failed", ""),
            ("x;=1+1", "sign-in-failed", ""),
            ("\uff1d1+1", "sign-in-failed", ""),
            ("bob", "preview", "front"),
            ("bob", "watch", "back"),
        ):
            part.accounts.audit.add(actor, action, device=device, detail='a "quote", and more')
        admin, now = sessions[USER], time.time()

        async def acts(query):
            answer = await admin.get(f"{part.url}/api/audit?{query}")
            assert answer.status == 200, await answer.text()
            return [entry["action"] for entry in (await answer.json())["entries"]]

        async with asyncio.timeout(60):
            while await acts("user=bob") != ["watch"]:
                await asyncio.sleep(0.05)
        assert await acts("user=bob&about=everything") == ["watch", "preview"]
        assert await acts("about=previews&device=front") == ["preview"]
        assert set(await acts("about=sign-in")) == {"sign-in", "sign-in-failed"}
        assert await acts(f"since={now + 60}") == []
        assert await acts(f"until={now - 60}") == []
        assert "watch" in await acts(f"since={now - 60}&until={now + 60}")
        for query in ("about=nonsense", "since=yesterday", "colour=red"):
            assert (await admin.get(f"{part.url}/api/audit?{query}")).status == 400
        file = await admin.get(f"{part.url}/api/audit.csv?about=everything")
        assert file.content_type == "text/csv"
        assert re.fullmatch(
            r'attachment; filename="pinhole-audit-[\d-]{10}\.csv"', file.headers["Content-Disposition"]
        )
        rows = list(csv.reader((await file.text()).splitlines()))
        assert rows[0] == ["time", "who", "what", "camera", "from", "details"]
        assert rows[1][1:] == ["bob", "watch", "back", "", 'a "quote", and more']
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows[1][0])
        tried = [row[1] for row in rows if row[2] == "sign-in-failed"]
        assert tried == ["'\uff1d1+1", "x;'=1+1", "'=cmd|'/c calc'!A0"], "nothing begins a formula"
        assert (await sessions["viewer"].get(f"{part.url}/api/audit.csv")).status == 403


async def until(condition):
    """Wait for what has no event of its own."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def half_asked(part, http, path, body):
    """A request whose body has not come whole, and what sends the rest and reads the answer's status."""
    cookies = "; ".join(f"{one.key}={one.value}" for one in http.cookie_jar)
    reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{part.port}\r\nCookie: {cookies}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body[:5]}".encode()
    )
    await writer.drain()
    await asyncio.sleep(0.2)  # until it is known whose it is

    async def finish():
        writer.write(body[5:].encode())
        async with asyncio.timeout(60):
            status = int((await reader.read()).split()[1])
        writer.close()
        return status

    return finish


@pytest.mark.parametrize("done", ["nothing", "shut out", "no longer an administrator"])
async def test_who_is_shut_out_while_a_request_is_under_way_does_nothing_any_more(done):
    async with company() as (part, _):
        part.desk.add_user("boss", "admin", password=PASSWORD)
        async with client() as http:
            assert (await login(http, part, "boss")).status == 200
            finish = await half_asked(part, http, "/api/users", '{"name": "backdoor", "role": "admin"}')
            if done == "shut out":
                part.desk.set_disabled("boss", disabled=True)
            elif done != "nothing":
                part.desk.set_role("boss", "viewer")
            status = await finish()
        assert status == {"nothing": 200, "shut out": 401}.get(done, 403)
        assert ("backdoor" in {user.name for user in part.desk.users()}) == (done == "nothing")
