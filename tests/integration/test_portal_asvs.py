"""What OWASP ASVS 5.0 asks for and no other test shows: see agent/portal/ASVS.md."""

import asyncio
import re
import socket
import ssl
import warnings

import aiohttp
import pytest
import trustme
from parts.accounts import HERE
from parts.portal import PASSWORD, USER, portal
from parts.routes import of, routes

from agent.portal.accounts import recovery, users
from agent.portal.accounts.passwords import STRONG, PasswordError
from agent.portal.accounts.service import SignInError
from agent.portal.accounts.tokens import new_token
from agent.portal.api.route import Body, Need

HTTPS = {"X-Forwarded-Proto": "https"}
LONG = "Ein Schiff mit acht Segeln, 14 Kanonen und 39 Leuten, und noch ein paar Möwen 🐦"


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def login(http, part, **headers):
    body = {"user": USER, "password": PASSWORD}
    return await http.post(f"{part.url}/api/login", json=body, headers=headers)


async def test_a_password_is_taken_exactly_as_it_is_and_never_grows_old(world):
    """6.2.5, 6.2.8, 6.2.9, 6.2.10."""
    assert len(LONG) > 64
    world.desk.set_password(USER, LONG)
    for wrong in (f"{LONG} ", f" {LONG}", LONG.lower(), LONG[:72], LONG[:-1]):
        with pytest.raises(SignInError):
            await world.sign_in(password=wrong)
        world.now += 4000
    world.now += 10 * 366 * 86400
    await world.sign_in(password=LONG)


def test_passwords_are_kept_by_argon2id_at_the_cost_that_is_recommended():
    """11.4.2; RFC 9106 section 4."""
    assert re.match(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$", STRONG.hash("x"))


def test_recovery_codes_are_too_long_to_be_found_from_their_hash(world):
    """6.5.2, 6.5.4: at least 112 bits where a plain hash is kept."""
    codes = world.store.run_here(lambda db: recovery.renew(db, users.find(db, USER)))
    letters = "".join(codes).replace("-", "")
    assert len(letters) == 24 * recovery.COUNT
    assert len(set(letters)) > 16, "of 32 letters, five bits each"
    assert 24 * 5 >= 112


def test_a_token_has_256_random_bits():
    """7.2.3, 11.5.1."""
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[\w-]{43}", token) for token in tokens)


async def test_the_password_now_is_asked_for_where_it_is_changed():
    """6.2.2, 6.2.3, 7.5.1."""
    async with portal() as part, client() as http:
        await login(http, part)
        change = {"old": "wrong", "new": "another-long-password"}
        assert (await http.post(f"{part.url}/api/account/password", json=change)).status == 401
        assert (await http.post(f"{part.url}/api/account/password", json={"new": "x" * 20})).status == 400
        assert (await login(http, part)).status == 200


async def test_who_signs_in_anew_leaves_no_session_behind():
    """7.2.4."""
    async with portal() as part, client() as http, client() as thief:
        former = (await login(http, part)).cookies["pinhole"].value
        new = (await login(http, part)).cookies["pinhole"].value
        assert new != former
        stolen = {"Cookie": f"pinhole={former}"}
        assert (await thief.get(f"{part.url}/api/session", headers=stolen)).status == 401
        assert (await http.get(f"{part.url}/api/session")).status == 200


async def test_every_cookie_is_bound_to_this_host_and_no_script_reads_it():
    """3.3.1 to 3.3.4."""
    oidc = {"issuer": "http://127.0.0.1:9/", "client_id": "x"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with portal(port=port, public_url=url, oidc=oidc) as part, client() as http:
        part.accounts.company.depart = lambda _: departure()
        await login(http, part)
        answers = [await login(http, part, **HTTPS)]
        answers.append(await http.get(f"{part.url}/api/company", headers=HTTPS, allow_redirects=False))
        answers.append(await http.get(f"{part.url}/api/company/return", headers=HTTPS, allow_redirects=False))
        made = [cookie for answer in answers for cookie in answer.headers.getall("Set-Cookie")]
        assert len(made) == 4
        for cookie in made:
            assert cookie.startswith("__Host-pinhole"), cookie
            attributes = {part.strip() for part in cookie.split(";")}
            assert {"Secure", "HttpOnly", "Path=/"} <= attributes, cookie
            is_departure = cookie.startswith("__Host-pinhole-company=")
            assert ("SameSite=Lax" if is_departure else "SameSite=Strict") in attributes, cookie


async def departure():
    from agent.portal.accounts.company import Departure

    return Departure("https://login.example.org/", "state", "nonce", "verifier")


async def test_answers_say_what_they_are_and_are_kept_nowhere():
    """3.2.1, 3.4.1 to 3.4.6, 4.1.1, 14.3.2."""
    async with portal() as part, client() as http:
        await login(http, part)
        for method, path in [*of(Need.USER, Need.OWN, Need.ADMIN), ("GET", "/api/ways"), ("GET", "/api/x")]:
            if method == "GET" and not path.endswith(("/ws", ".csv")):
                answer = await http.get(part.url + path, headers=HTTPS | {"Origin": "https://evil.example"})
                assert answer.headers["Cache-Control"] == "no-store", path
                if path != "/api/x":
                    assert answer.headers["Content-Type"] == "application/json; charset=utf-8", path
                assert "Access-Control-Allow-Origin" not in answer.headers, path
                policy = answer.headers["Content-Security-Policy"].split("; ")
                assert {"default-src 'none'", "object-src 'none'", "base-uri 'none'"} <= set(policy)
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_no_answer_holds_what_is_nobodys_to_read():
    """15.3.1: neither hashes nor secrets leave the store."""
    async with portal() as part, client() as http:
        await login(http, part)
        rows = part.accounts.store.run_here(lambda db: vars(users.find(db, USER)))
        assert rows["password_hash"].startswith("$argon2id$")
        for path in ("/api/account", "/api/users", "/api/session"):
            text = await (await http.get(part.url + path)).text()
            assert USER in text
            for secret in ("argon2", "totp", "password_hash", "subject"):
                assert secret not in text, path


def test_what_a_browser_sends_is_named_one_by_one():
    """2.2.1, 15.3.3, 15.3.5: no field more, no type but the one that is meant."""
    models = every(Body)
    assert len(models) > 15
    for model in models:
        assert model.model_config["extra"] == "forbid", model
        assert model.model_config["strict"] is True, model


def every(model):
    return {model} | {one for sub in model.__subclasses__() for one in every(sub)}


async def test_a_fault_of_ours_tells_nothing(monkeypatch, caplog):
    """16.5.1, 16.5.3, 13.4.2: the log hears of it, the caller does not."""

    def fail(_db):
        raise ZeroDivisionError("the secret is in /var/lib")

    async with portal() as part, client() as http:
        await login(http, part)
        monkeypatch.setattr(users, "views", fail)
        answer = await http.get(f"{part.url}/api/users")
        text = await answer.text()
        assert answer.status == 500
        assert "secret" not in text
        assert "Traceback" not in text
        assert "ZeroDivisionError" not in text
        assert "the secret is in /var/lib" in caplog.text
        assert (await http.get(f"{part.url}/api/session")).status == 200


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DELETE", "PUT", "PATCH", "OPTIONS"])
async def test_methods_that_nobody_needs_are_refused(method):
    """3.5.3, 13.4.4."""
    assert {method for method, _, _ in routes()} == {"GET", "POST"}
    async with portal() as part:
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        writer.write(f"{method} /api/session HTTP/1.1\r\nHost: x\r\nCookie: pinhole=x\r\n\r\n".encode())
        status = await reader.readline()
        assert re.match(rb"HTTP/1\.[01] (400|403|404|405|415) ", status), status
        writer.close()


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
    ],
)
async def test_a_request_whose_end_can_be_read_in_two_ways_is_refused(lines):
    """4.2.1: so nothing is smuggled past a proxy that reads it the other way."""
    async with portal() as part:
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        head = f"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}\r\n"
        writer.write(head.encode() + b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
        assert re.match(rb"HTTP/1\.[01] 400 ", answer), answer
        assert answer.count(b"HTTP/1.") == 1, "what followed is not taken for another request"
        writer.close()


def test_site_words_are_refused_in_a_password(world):
    """6.1.2, 6.2.11."""
    for word in ("pinholeportal", "raspberry-cameras", "cctvcameraportal"):
        with pytest.raises(PasswordError):
            world.desk.set_password(USER, word)


async def test_a_link_for_a_new_password_is_void_once_it_is_used_or_replaced(world):
    """6.4.1, 6.4.3."""
    former, newer = (world.desk.reset_link(USER, without_code=False) for _ in range(2))
    with pytest.raises(users.UnknownError):
        await world.accounts.welcome(former, "lamp-orchid-seventeen", "", HERE)
    await world.accounts.welcome(newer, "lamp-orchid-seventeen", "", HERE)
    with pytest.raises(users.UnknownError):
        await world.accounts.welcome(newer, "lamp-orchid-eighteen", "", HERE)


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
async def test_https_is_nothing_older_than_tls_1_2(version, tmp_path):
    """12.1.1."""
    ca = trustme.CA()
    certificate = ca.issue_cert("127.0.0.1")
    files = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    files["cert_file"].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(files["key_file"])
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    trust.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        trust.minimum_version = trust.maximum_version = ssl.TLSVersion[version]
    async with portal(**files) as part:
        connecting = asyncio.open_connection("127.0.0.1", part.port, ssl=trust)
        if version in ("TLSv1", "TLSv1_1"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connecting
        else:
            _, writer = await connecting
            assert writer.get_extra_info("ssl_object").version().startswith("TLSv1.")
            writer.close()
