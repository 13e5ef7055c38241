"""The portal over real sockets: pages, sign-in, headers, WebSocket, TLS, stop."""

import asyncio
import json
import ssl

import aiohttp
import pytest
import trustme
from fakes.bus import state
from parts.portal import PASSWORD, USER, portal, standing_clock

from agent.errors import PortalError
from agent.portal import app as portal_app
from agent.portal.accounts.attempts import FREE_FAILURES
from agent.portal.listener import STOP_TIMEOUT_S

JSON = {"Content-Type": "application/json"}
OFFER = {"type": "offer", "session": "a" * 32, "device": "front", "sdp": "v=0"}


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))  # cookies of an IP address


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def login(http, part, password=PASSWORD, user=USER, **kwargs):
    return await http.post(f"{part.url}/api/login", json={"user": user, "password": password}, **kwargs)


async def test_the_page_and_its_files_are_served_with_types_and_caching():
    async with portal() as part, client() as http:
        page = await http.get(part.url)
        text = await page.text()
        assert page.headers["Cache-Control"] == "no-store"
        assert "static/current/" not in text
        script = text.split('<script type="module" src="')[1].split('"')[0]
        module = await http.get(f"{part.url}/{script}")
        assert module.content_type == "text/javascript"
        assert "immutable" in module.headers["Cache-Control"]
        assert module.headers["Content-Encoding"] in ("deflate", "gzip")
        style = await http.get(f"{part.url}/{script.replace('app.js', 'style.css')}")
        assert style.content_type == "text/css"


@pytest.mark.parametrize(
    "path",
    ["/static/0/app.js", "/static/current/../../app.py", "/static/x/%2e%2e%2fapp.py", "/api", "/nothing"],
)
async def test_nothing_else_is_served(path):
    async with portal() as part, client() as http:
        assert (await http.get(part.url + path)).status == 404


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/session", "/nothing", "/api/ws"])
async def test_every_answer_carries_the_security_headers(path):
    async with portal() as part, client() as http:
        answer = await http.get(part.url + path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "aiohttp" not in answer.headers["Server"].lower()


async def test_health_needs_no_sign_in_and_tells_of_the_broker():
    async with portal() as part, client() as http:
        answer = await http.get(f"{part.url}/healthz")
        assert answer.status == 200
        ok = {"status": "ok", "broker": True, "disk_full": False, "version": "1.2.3"}
        assert await answer.json() == ok
        part.gateway.on_broker(connected=False)
        answer = await http.get(f"{part.url}/healthz")
        assert answer.status == 503
        assert (await answer.json())["broker"] is False


async def test_health_tells_a_faults_words_to_administrators_alone():
    async with portal() as part, client() as http:
        part.gateway.problem = "/etc/pinhole/keys: cannot be read"
        part.desk.add_user("viewer", "viewer", password=PASSWORD)

        async def told():
            return await (await http.get(f"{part.url}/healthz")).json()

        faulty = {"status": "fault", "broker": True, "disk_full": False, "version": "1.2.3"}
        assert await told() == faulty
        await http.post(f"{part.url}/api/login", json={"user": "viewer", "password": PASSWORD})
        assert await told() == faulty
        await login(http, part)
        assert await told() == faulty | {"problem": "/etc/pinhole/keys: cannot be read"}


async def test_who_is_shut_out_while_a_dashboard_opens_is_not_let_in(monkeypatch):
    for name in ("TICK_S", "REST_S"):
        monkeypatch.setattr(portal_app, name, 0.01)
    async with portal() as part, client() as other, client() as http:
        await login(other, part)
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        await login(http, part, user="bob")
        join = part.gateway.join

        async def no_change():  # the portal has looked already when this socket joins
            return -2

        def join_late(who, address, **how):
            part.desk.set_disabled("bob", disabled=True)
            return join(who, address, **how)

        monkeypatch.setattr(part.accounts, "revision", no_change)
        async with other.ws_connect(f"{part.url}/api/ws"):  # while nobody is here it looks for nobody
            await asyncio.sleep(0.1)
            monkeypatch.setattr(part.gateway, "join", join_late)
            socket = await http.ws_connect(f"{part.url}/api/ws")
            while (message := await socket.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 1008


async def test_what_changed_while_nobody_was_here_counts_for_who_comes(monkeypatch):
    """At rest the portal asks the database nothing: neither then nor later is a change missed for it."""
    for name in ("TICK_S", "REST_S"):
        monkeypatch.setattr(portal_app, name, 0.01)
    async with portal() as part, client() as http:
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        await login(http, part, user="bob")
        asked, looks = [], []
        revision, tick = part.accounts.revision, part.gateway.tick

        async def count():
            asked.append(1)
            return await revision()

        monkeypatch.setattr(part.accounts, "revision", count)
        monkeypatch.setattr(part.gateway, "tick", lambda: looks.append(tick()))
        await until(lambda: len(looks) > 5)
        assert not asked
        async with http.ws_connect(f"{part.url}/api/ws") as socket:
            await socket.receive(timeout=60)
            await until(lambda: asked)
            so_far = len(looks)
            await until(lambda: len(looks) > so_far + 20)
            assert len(asked) < 10, "once, and again for what is written meanwhile"
            part.desk.set_disabled("bob", disabled=True)
            while (message := await socket.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.data == 1008


async def test_sign_in_and_out():
    async with portal() as part, client() as http:
        assert (await http.get(f"{part.url}/api/session")).status == 401
        assert (await login(http, part, "wrong")).status == 401
        answer = await login(http, part)
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" not in cookie
        assert (await (await http.get(f"{part.url}/api/session")).json())["user"] == USER
        await http.post(f"{part.url}/api/logout", json={})
        assert (await http.get(f"{part.url}/api/session")).status == 401


async def test_the_cookie_is_secure_behind_a_proxy_that_speaks_https():
    async with portal() as part, client() as http:
        answer = await login(http, part, headers={"X-Forwarded-Proto": "https"})
        cookies = answer.headers.getall("Set-Cookie")
        assert any(cookie.startswith("__Host-pinhole=") for cookie in cookies)
        assert all("Secure" in cookie for cookie in cookies)
        assert "max-age" in answer.headers["Strict-Transport-Security"]


async def test_a_browser_may_call_itself_anything():
    body = json.dumps({"user": USER, "password": PASSWORD}).encode()
    head = "POST /api/login HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}"
    async with portal() as part:
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        writer.write(head.encode() + b"\r\nUser-Agent: \xff\x80\r\n\r\n" + body)
        assert b" 200 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"user":"ann","password":1}',
        b'{"user":"ann","password":"x","more":1}',
        b"\xff",
        b'{"user":"ann","password":"\\ud800"}',
        b'{"password":"x"}',
    ],
)
async def test_a_damaged_login_is_refused_in_words(body):
    async with portal() as part, client() as http:
        answer = await http.post(f"{part.url}/api/login", data=body, headers=JSON)
        assert answer.status == 400
        assert (await answer.json())["code"] == "malformed"


async def test_a_large_body_is_refused():
    async with portal() as part, client() as http:
        answer = await http.post(f"{part.url}/api/login", data=b"x" * 600_000, headers=JSON)
        assert answer.status == 413


async def test_guessing_is_slowed_down_for_the_guesser_alone():
    async with portal(clock=standing_clock()) as part, client() as http:
        guesser, other = {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "192.0.2.8"}
        for number in range(FREE_FAILURES):
            assert (await login(http, part, "wrong", f"user{number}", headers=guesser)).status == 401
        answer = await login(http, part, headers=guesser)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await login(http, part, headers=other)).status == 200


async def test_guessing_at_one_user_is_slowed_down_from_everywhere():
    async with portal(clock=standing_clock()) as part, client() as http:
        for number in range(FREE_FAILURES):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            assert (await login(http, part, "wrong", headers=headers)).status == 401
        assert (await login(http, part)).status == 429


async def test_what_stranger_put_into_the_forwarding_header_is_not_believed():
    async with portal(trusted_proxies=["198.51.100.1"], clock=standing_clock()) as part, client() as http:
        for number in range(FREE_FAILURES):
            headers = {"X-Forwarded-For": f"192.0.2.{number}", "X-Forwarded-Proto": "https"}
            answer = await login(http, part, "wrong", f"user{number}", headers=headers)
            assert "Strict-Transport-Security" not in answer.headers
        assert (await login(http, part, headers={"X-Forwarded-For": "192.0.2.99"})).status == 429


async def test_pages_of_other_sites_are_refused():
    async with portal() as part, client() as http:
        foreign = {"Origin": "https://evil.example"}
        assert (await login(http, part, headers=foreign)).status == 403
        assert (await login(http, part, headers={"Origin": "null"})).status == 403
        assert (await login(http, part, headers={"Origin": part.url})).status == 200
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{part.url}/api/ws", headers=foreign)
        assert refused.value.status == 403


async def test_the_websocket_asks_for_a_sign_in():
    async with portal() as part, client() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{part.url}/api/ws")
        assert refused.value.status == 401


async def test_signaling_over_the_websocket():
    async with portal() as part, client() as http:
        part.gateway.on_state("front", state())
        await login(http, part)
        async with http.ws_connect(f"{part.url}/api/ws") as socket:
            hello = await socket.receive_json(timeout=60)
            assert hello["devices"][0]["id"] == "front"
            await socket.send_json({"type": "nonsense"})
            assert (await socket.receive_json(timeout=60))["code"] == "unknown-type"
            await socket.send_json(OFFER)
            await socket.send_json({"type": "candidate", "session": OFFER["session"], "candidate": ""})
            await socket.send_json({"type": "nonsense"})
            assert (await socket.receive_json(timeout=60))["code"] == "unknown-type"
            assert [type(m).__name__ for _, _, m in part.bus.sent] == ["Offer", "Candidate"]
            await socket.send_json({"type": "bye", "session": OFFER["session"]})
        await until(lambda: len(part.bus.sent) == 3)
        assert type(part.bus.sent[-1][2]).__name__ == "Bye"


async def test_oversized_and_binary_frames_close_the_socket():
    async with portal() as part, client() as http:
        await login(http, part)
        for send, code in (
            (lambda socket: socket.send_str(json.dumps(OFFER | {"sdp": "x" * 70_000})), 1009),
            (lambda socket: socket.send_bytes(b"\0"), 1003),
        ):
            async with http.ws_connect(f"{part.url}/api/ws") as socket:
                await socket.receive_json(timeout=60)
                await send(socket)
                await socket.receive(timeout=60)
                assert socket.close_code == code


async def test_stopping_closes_websockets_as_going_away_within_the_limit():
    async with portal() as part, client() as http:
        await login(http, part)
        sockets = [await http.ws_connect(f"{part.url}/api/ws") for _ in range(20)]
        for socket in sockets:
            await socket.receive_json(timeout=60)

        async def until_closed(socket):
            await socket.receive(timeout=60)
            return socket.close_code

        codes = asyncio.gather(*map(until_closed, sockets))
        await asyncio.wait_for(part.stop(), STOP_TIMEOUT_S + 5)
        assert set(await codes) == {1001}


async def test_a_client_that_never_reads_does_not_hold_up_the_stop():
    async with portal() as part, client() as http:
        await login(http, part)
        socket = await http.ws_connect(f"{part.url}/api/ws")
        await socket.receive_json(timeout=60)
        socket._conn.transport.pause_reading()
        for number in range(2000):
            part.gateway.on_broker(connected=bool(number % 2))
        await asyncio.wait_for(part.stop(), STOP_TIMEOUT_S + 5)


async def test_https_with_a_certificate(tmp_path):
    ca = trustme.CA()
    certificate = ca.issue_cert("127.0.0.1")
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key_file)
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    async with portal(cert_file=cert_file, key_file=key_file) as part, client() as http:
        assert part.url.startswith("https://")
        answer = await login(http, part, ssl=trust)
        assert "Secure" in answer.headers["Set-Cookie"]


async def start(**settings):
    async with portal(**settings):
        pass


async def test_an_address_in_use_is_named():
    async with portal() as part:
        with pytest.raises(PortalError, match=rf"portal\.port {part.port}: cannot listen"):
            await start(port=part.port)


async def test_a_damaged_certificate_is_named(tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("junk")
    with pytest.raises(PortalError, match=r"portal\.cert_file"):
        await start(port=0, cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
