"""Company sign-in against a real OpenID provider on loopback."""

import base64
import hmac
import json
import re
import socket
import time
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from parts.oidc import CLIENT_ID, CLIENT_SECRET
from parts.oidc import PASSWORD as PROVIDER_PASSWORD
from parts.oidc import provider as running_provider
from parts.portal import PASSWORD, portal

from agent.config import OidcSettings
from agent.portal.accounts import company
from agent.portal.accounts.company import Company, CompanyError
from agent.portal.tables import AuditEntry

CY = "cy@firm.test"


@pytest.fixture(scope="module")
def place():
    """The portal's port, and a provider that sends browsers back there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_provider(f"http://127.0.0.1:{port}/api/company/return") as provider:
        yield port, provider


@asynccontextmanager
async def company_portal(place, require_code_for="nobody", **changes):
    port, provider = place
    oidc = {"name": "Firm", "issuer": provider.issuer, "client_id": CLIENT_ID} | changes
    url = f"http://127.0.0.1:{port}"
    own = {"port": port, "public_url": url, "require_code_for": require_code_for}
    async with portal(oidc=oidc, oidc_secret=CLIENT_SECRET, **own) as part:
        yield part


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def depart(http, part):
    """Where the portal sends a browser."""
    answer = await http.get(f"{part.url}/api/company", allow_redirects=False)
    assert answer.status == 303
    return answer.headers["Location"]


async def sign_in_there(http, url, user="cy"):
    """Follow the provider to its sign-in page, fill it in, and stop before the portal; the way back."""
    page = await http.get(url)
    text = await page.text()
    if 'name="password"' in text:
        form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))
        form |= {"username": user, "password": PROVIDER_PASSWORD, "next": page.url.query["next"]}
        answer = await http.post(page.url, data=form, allow_redirects=False)
        assert answer.status == 302, await answer.text()
        url = page.url.join(page.url.__class__(answer.headers["Location"]))
    answer = await http.get(url, allow_redirects=False)
    return answer.headers["Location"]


async def come_back(http, back):
    """The portal's answer to a browser that returns."""
    return await http.get(back, allow_redirects=False)


async def test_a_company_account_signs_in_and_is_the_same_user_the_next_time(place):
    async with company_portal(place) as part:
        part.desk.add_user(CY, "viewer", company=True)
        for _ in range(2):
            async with client() as http:
                assert (await (await http.get(f"{part.url}/api/ways")).json())["company"] == "Firm"
                away = await depart(http, part)
                query = parse_qs(urlsplit(away).query)
                assert query["code_challenge_method"] == ["S256"]
                assert query["response_type"] == ["code"]
                assert {"state", "nonce", "code_challenge"} <= set(query)
                answer = await come_back(http, await sign_in_there(http, away))
                assert answer.headers["Location"] == f"{part.url}/"
                assert "SameSite=Strict" in answer.headers.getall("Set-Cookie")[0]
                session = await (await http.get(f"{part.url}/api/session")).json()
                assert (session["user"], session["admin"]) == (CY, False)
        [user] = [user for user in part.desk.users() if user.name == CY]
        assert user.is_company


async def test_the_company_vouches_for_the_second_factor_unless_its_word_is_asked_for(place):
    async with company_portal(place, "everyone") as part, client() as http:
        part.desk.add_user(CY, "admin", company=True)
        assert (await come_back(http, await sign_in_there(http, await depart(http, part)))).status == 303
        session = await (await http.get(f"{part.url}/api/session")).json()
        assert (session["admin"], session["second_factor_needed"]) == (True, False)
    async with company_portal(place, "everyone", factor_values=["mfa"]) as part, client() as http:
        part.desk.add_user(CY, "admin", company=True)
        answer = await come_back(http, await sign_in_there(http, await depart(http, part)))
        assert answer.headers["Location"] == f"{part.url}/#/company/no-factor"
        assert (await http.get(f"{part.url}/api/session")).status == 401
        await part.accounts.audit.flush()
        noted = part.accounts.store.run_here(lambda db: [(e.actor, e.detail) for e in db.query(AuditEntry)])
        assert (CY, "company account: no-factor") in noted


async def test_who_has_no_account_is_told_so_unless_new_ones_are_allowed(place):
    async with company_portal(place) as part, client() as http:
        answer = await come_back(http, await sign_in_there(http, await depart(http, part)))
        assert answer.headers["Location"] == f"{part.url}/#/company/no-account"
        assert (await http.get(f"{part.url}/api/session")).status == 401
    async with company_portal(place, allow_new=True) as part, client() as http:
        await come_back(http, await sign_in_there(http, await depart(http, part)))
        async with http.ws_connect(f"{part.url}/api/ws") as ws:
            assert (await ws.receive_json(timeout=60))["devices"] == []
        [user] = [user for user in part.desk.users() if user.name == CY]
        assert (user.role, user.grants) == (None, ())


async def test_a_name_at_the_provider_takes_over_no_account_with_a_password(place):
    async with company_portal(place, allow_new=True) as part, client() as http:
        part.desk.add_user(CY, "admin", password=PASSWORD)
        answer = await come_back(http, await sign_in_there(http, await depart(http, part)))
        assert answer.headers["Location"].endswith("#/company/taken")


async def test_a_name_at_the_provider_takes_over_no_account_that_waits_for_its_owner(place):
    async with company_portal(place, allow_new=True) as part, client() as http:
        link = part.desk.add_user(CY, "admin")
        answer = await come_back(http, await sign_in_there(http, await depart(http, part)))
        assert answer.headers["Location"].endswith("#/company/taken")
        chosen = {"token": link, "password": PASSWORD}
        assert (await http.post(f"{part.url}/api/welcome", json=chosen)).status == 200


async def test_an_address_that_nobody_verified_is_not_believed(place):
    async with company_portal(place, allow_new=True) as part, client() as http:
        answer = await come_back(http, await sign_in_there(http, await depart(http, part), "un"))
        assert answer.headers["Location"].endswith("#/company/unverified")


async def test_a_disabled_user_stays_out(place):
    async with company_portal(place) as part, client() as http:
        part.desk.add_user(CY, "viewer", company=True)
        part.desk.set_disabled(CY, disabled=True)
        answer = await come_back(http, await sign_in_there(http, await depart(http, part)))
        assert answer.headers["Location"].endswith("#/company/disabled")


async def test_a_return_is_good_once_and_in_the_browser_that_left_alone(place):
    async with company_portal(place, allow_new=True) as part, client() as http, client() as victim:
        back = await sign_in_there(http, await depart(http, part))
        stolen = await come_back(victim, back)  # an attacker's sign-in, planted in another browser
        assert stolen.headers["Location"].endswith("#/company/not-begun")
        assert (await come_back(http, back)).headers["Location"] == f"{part.url}/"
        assert (await come_back(http, back)).headers["Location"].endswith("#/company/not-begun")


async def test_a_code_without_its_verifier_and_a_made_up_state_are_refused(place):
    async with company_portal(place, allow_new=True) as part, client() as http, client() as other:
        code = parse_qs(urlsplit(await sign_in_there(other, await depart(other, part))).query)["code"][0]
        state = parse_qs(urlsplit(await depart(http, part)).query)["state"][0]
        injected = await come_back(http, f"{part.url}/api/company/return?code={code}&state={state}")
        assert injected.headers["Location"].endswith("#/company/refused"), "PKCE binds a code to its browser"
        forged = await come_back(http, f"{part.url}/api/company/return?code={code}&state=made-up")
        assert forged.headers["Location"].endswith("#/company/not-begun")


def test_who_begins_many_sign_ins_keeps_nobody_from_one(store, monkeypatch):
    monkeypatch.setattr(company, "MAX_PENDING", 3)
    for number in range(5):
        departure = company.Departure("", f"state-{number}", "nonce", "verifier")
        store.run_here(lambda db, one=departure, at=number: company.remember(db, one, "browser", at))
    assert store.run_here(lambda db: company.take(db, "state-4", "browser", 5)).nonce == "nonce"
    with pytest.raises(company.CompanyError):
        store.run_here(lambda db: company.take(db, "state-0", "browser", 5))


async def test_a_provider_that_is_away_is_named(place):
    async with company_portal(place, issuer="http://127.0.0.1:9/o") as part, client() as http:
        assert await depart(http, part) == f"{part.url}/#/company/unreachable"


class Answering:
    """A provider that says this of itself."""

    def __init__(self, said):
        self.said = said

    async def request(self, *_args, **_options):
        return self

    def raise_for_status(self):
        pass

    def json(self):
        return self.said


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.test"},
        {"issuer": "https://login.firm.test.evil.test"},
        {"token_endpoint": "http://login.firm.test/token"},
        {"jwks_uri": "http://192.0.2.7/keys"},
        {"jwks_uri": None},
    ],
)
async def test_a_provider_that_calls_itself_another_is_refused(changes):
    said = dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), f"{GOOD['iss']}/x")
    asked = Company(OidcSettings(issuer=GOOD["iss"], client_id=CLIENT_ID), None)
    with pytest.raises(CompanyError) as refused:
        await asked._discover(Answering(said | {"issuer": GOOD["iss"]} | changes))
    assert refused.value.code == "unreachable"
    assert (await asked._discover(Answering(said | {"issuer": GOOD["iss"]})))["issuer"] == GOOD["iss"]


KEY = RSAKey.generate_key(2048, {"kid": "one"})
GOOD = {
    "iss": "https://login.firm.test",
    "aud": CLIENT_ID,
    "sub": "17",
    "nonce": "n",
    "email": CY,
    "email_verified": True,
}


def sign_well(claims, key=KEY):
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)


def judge(changes=None, *, sign=sign_well, **settings):
    """What is made of an ID token of a provider that has gone bad."""
    settings = OidcSettings(issuer=GOOD["iss"], client_id=CLIENT_ID, **settings)
    company = Company(settings, None)
    company._metadata = {"issuer": GOOD["iss"]}
    now = time.time()
    claims = GOOD | {"iat": int(now), "exp": int(now) + 60} | (changes or {})
    claims = {name: value for name, value in claims.items() if value is not None}
    return company._person(sign(claims), KeySet([KEY]), "n", now)


def test_a_good_id_token_names_its_person():
    person = judge()
    assert (person.issuer, person.subject, person.name) == (GOOD["iss"], "17", CY)


@pytest.mark.parametrize(
    ("said", "has_factor"),
    [
        ({}, False),
        ({"amr": ["pwd"]}, False),
        ({"amr": "mfa"}, False),
        ({"amr": {"mfa": 1}}, False),
        ({"amr": ["pwd", "mfa"]}, True),
        ({"acr": "urn:firm:two"}, True),
        ({"acr": ["mfa"]}, False),
    ],
)
def test_a_second_factor_is_what_the_id_token_says_where_it_is_asked_to(said, has_factor):
    assert judge(said, factor_values=["mfa", "urn:firm:two"]).has_factor is has_factor
    assert judge(said).has_factor is True, "else the provider is believed"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.test"},
        {"aud": "another-program"},
        {"aud": [CLIENT_ID, "another"]},
        {"exp": 1},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"email": None},
        {"email": 7},
        {"email_verified": "yes"},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_us_is_refused(changes):
    with pytest.raises(CompanyError):
        judge(changes)


def test_an_id_token_by_another_key_or_a_shared_secret_is_refused():
    with pytest.raises(CompanyError):
        judge(sign=partial(sign_well, key=RSAKey.generate_key(2048, {"kid": "one"})))
    with pytest.raises(CompanyError):
        judge(sign=sign_with_the_public_key)


def sign_with_the_public_key(claims):
    """The classic confusion: a public key, used as the secret of HS256 (RFC 8725 section 2.1)."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "one"}, claims)]
    body = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(KEY.as_pem(private=False), body, "sha256")
    return (body + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
