"""Sign-in at a company's provider, which answers in memory: what it is asked, and what is believed."""

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from agent.config import OidcSettings
from agent.portal.accounts import company, users
from agent.portal.accounts.company import (
    LEEWAY_S,
    METADATA_LIFETIME_S,
    PENDING_LIFETIME_S,
    Company,
    CompanyError,
    Departure,
    Person,
    load_company,
)
from agent.portal.accounts.tokens import CLOCK_SLACK_S, key_of
from agent.portal.tables import CompanySignIn

NOW_S = 1_800_000_000.0
ISSUER = "https://id.firm.example"
BACK = "https://cams.example/api/company/return"
KEY = RSAKey.generate_key(2048, {"kid": "1"})
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}
ANOTHER_PROGRAM = "Firm sent an ID token that is for another program."
NOT_BEGUN = "This sign-in was not begun in this browser, or too long ago."


class Provider:
    """Answers as one does, but for what a test changes."""

    def __init__(self, monkeypatch):
        self.asked, self.made = [], []
        self.answers = {
            "/.well-known/openid-configuration": METADATA,
            "/keys": KeySet([KEY]).as_dict(private=False),
        }
        self.claims, self.key = {}, KEY
        real = company.AsyncOAuth2Client

        def client(*arguments, **options):
            self.made.append((arguments, options))
            return real(*arguments, **options, transport=httpx2.MockTransport(self.answer))

        monkeypatch.setattr(company, "AsyncOAuth2Client", client)

    def answer(self, request):
        self.asked.append(request)
        path = request.url.path
        found = self.answers.get(path)
        if path == "/token" and found is None:
            found = {"access_token": "a", "token_type": "Bearer", "id_token": self.id_token()}
        if isinstance(found, int):
            return httpx2.Response(found)
        return (
            httpx2.Response(200, json=found)
            if not isinstance(found, str)
            else httpx2.Response(200, text=found)
        )

    def id_token(self):
        claims = {
            "iss": ISSUER,
            "aud": "pinhole",
            "sub": "42",
            "exp": int(NOW_S) + 300,
            "iat": int(NOW_S),
            "nonce": "nonce",
            "email": "Cy@Firm.example",
            "email_verified": True,
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not ...}
        return jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)

    def paths(self):
        return [request.url.path for request in self.asked]


@pytest.fixture
def provider(monkeypatch):
    return Provider(monkeypatch)


def firm(secret="hush", **changes):
    return Company(
        OidcSettings(**({"name": "Firm", "issuer": ISSUER, "client_id": "pinhole"} | changes)), secret
    )


def pending(**changes):
    return CompanySignIn(**({"key": "k", "browser": "b", "nonce": "nonce", "verifier": "verifier"} | changes))


async def arrive(one, iss=ISSUER, now=NOW_S):
    return await one.arrive(BACK, "code", iss, pending(), now)


async def refusal(waiting):
    with pytest.raises(CompanyError) as caught:
        await waiting
    return caught.value.code, str(caught.value)


async def test_a_browser_is_sent_to_the_provider_with_what_only_it_may_bring_back(provider):
    one = firm()
    departure, other = await one.depart(BACK), await one.depart(BACK)
    address = urlsplit(departure.url)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{ISSUER}/authorize"
    asked = {name: value for name, [value] in parse_qs(address.query).items()}
    challenge = asked.pop("code_challenge")
    assert len(challenge) == 43
    assert challenge not in departure.verifier
    assert asked == {
        "response_type": "code",
        "client_id": "pinhole",
        "redirect_uri": BACK,
        "scope": "openid email profile",
        "state": departure.state,
        "nonce": departure.nonce,
        "code_challenge_method": "S256",
    }
    assert [len(text) for text in (departure.state, departure.nonce, departure.verifier)] == [43, 32, 64]
    for name in ("state", "nonce", "verifier"):
        assert getattr(departure, name) != getattr(other, name)
    assert provider.paths() == ["/.well-known/openid-configuration"], "asked for once"


async def test_who_comes_back_is_who_the_provider_says(provider):
    assert await arrive(firm()) == Person(ISSUER, "42", "cy@firm.example")
    [_, token, keys] = provider.asked
    assert (token.method, token.url, keys.method) == ("POST", f"{ISSUER}/token", "GET")
    assert parse_qs(token.content.decode()) == {
        "grant_type": ["authorization_code"],
        "code": ["code"],
        "code_verifier": ["verifier"],
        "redirect_uri": [BACK],
    }
    assert token.headers["Authorization"].startswith("Basic ")
    assert "Authorization" not in keys.headers
    assert await arrive(firm(), iss=None) == Person(ISSUER, "42", "cy@firm.example"), "an older provider"
    for _, options in provider.made:
        assert (options["timeout"], options["follow_redirects"]) == (10, False)
    assert provider.made[0][1]["verify"], "certificates are checked"


async def test_a_program_without_a_secret_says_who_it_is_all_the_same(provider):
    await arrive(firm(secret=None))
    token = provider.asked[1]
    assert "Authorization" not in token.headers
    assert parse_qs(token.content.decode())["client_id"] == ["pinhole"]


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "https://evil.example"}, "Firm sent an ID token that is not good: "),
        ({"aud": "another"}, "Firm sent an ID token that is not good: "),
        ({"nonce": "another"}, "Firm sent an ID token that is not good: "),
        ({"exp": int(NOW_S) - LEEWAY_S - 1}, "Firm sent an ID token that is not good: "),
        *(
            ({name: ...}, "Firm sent an ID token that is not good: ")
            for name in ("iss", "aud", "sub", "exp", "iat", "nonce")
        ),
        ({"aud": ["pinhole", "another"]}, ANOTHER_PROGRAM),
        (
            {"aud": ["pinhole", "another"], "azp": "another"},
            ANOTHER_PROGRAM,
        ),
    ],
)
async def test_an_id_token_that_proves_nothing_lets_nobody_in(provider, claims, words):
    provider.claims = claims
    code, said = await refusal(arrive(firm()))
    assert code == "refused"
    assert said.startswith(words)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(NOW_S) - LEEWAY_S + 1},
        {"aud": ["pinhole"]},
        {"aud": ["pinhole", "another"], "azp": "pinhole"},
    ],
)
async def test_an_id_token_that_is_for_us_lets_in(provider, claims):
    provider.claims = claims
    assert (await arrive(firm())).subject == "42"


async def test_an_id_token_by_another_key_or_by_none_lets_nobody_in(provider):
    provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    assert (await refusal(arrive(firm())))[0] == "refused"
    provider.answers["/token"] = {"access_token": "a", "token_type": "Bearer"}
    code, said = await refusal(arrive(firm()))
    assert code == "refused"
    assert said.startswith("Firm sent an ID token that is not good: ")


@pytest.mark.parametrize(
    ("changes", "claims", "expected"),
    [
        ({}, {"email": ...}, ("no-name", "Firm does not tell your email: its settings must release it.")),
        ({}, {"email": ""}, ("no-name", "Firm does not tell your email: its settings must release it.")),
        ({}, {"email": 1}, ("no-name", "Firm does not tell your email: its settings must release it.")),
        (
            {"name_claim": "preferred_username"},
            {},
            ("no-name", "Firm does not tell your preferred_username: its settings must release it."),
        ),
        ({}, {"email_verified": ...}, ("unverified", "Firm has not verified your e-mail address.")),
        ({}, {"email_verified": "true"}, ("unverified", "Firm has not verified your e-mail address.")),
    ],
)
async def test_a_name_is_one_that_the_provider_stands_for(provider, changes, claims, expected):
    provider.claims = claims
    assert await refusal(arrive(firm(**changes))) == expected


async def test_another_claim_needs_no_verified_address(provider):
    provider.claims = {"preferred_username": "Cy", "email_verified": False}
    assert (await arrive(firm(name_claim="preferred_username"))).name == "cy"


async def test_an_answer_from_another_provider_is_refused_before_anything_is_told_it(provider):
    assert await refusal(arrive(firm(), iss="https://evil.example")) == (
        "refused",
        "The answer came from another provider than was asked.",
    )
    assert provider.paths() == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/token", {"error": "invalid_grant"}),
        ("/keys", 500),
        ("/keys", "junk"),
        ("/keys", {"keys": [{"kty": "?"}]}),
    ],
)
async def test_a_provider_that_does_not_confirm_lets_nobody_in(provider, path, answer):
    provider.answers[path] = answer
    code, said = await refusal(arrive(firm()))
    assert code == "refused"
    assert said.startswith("Firm did not confirm the sign-in: ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (503, "Firm cannot be reached: "),
        ("junk", "Firm cannot be reached: "),
        ([], "Firm cannot be reached: its metadata is no object"),
        ({"issuer": ISSUER}, "Firm cannot be reached: 'authorization_endpoint'"),
        (
            METADATA | {"issuer": "https://evil.example"},
            "Firm calls itself https://evil.example: check portal.oidc.issuer.",
        ),
        *(
            (METADATA | {name: "http://id.firm.example/x"}, "Firm has an endpoint without https.")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        ),
    ],
)
async def test_a_provider_that_cannot_be_one_is_said_to_be_unreachable(provider, answer, words):
    provider.answers["/.well-known/openid-configuration"] = answer
    code, said = await refusal(firm().depart(BACK))
    assert code == "unreachable"
    assert said.startswith(words)


@pytest.mark.parametrize("host", ["127.0.0.1:8", "localhost:8", "[::1]:8"])
async def test_a_provider_on_this_machine_needs_no_tls(provider, host):
    there = {name: url.replace(ISSUER, f"http://{host}") for name, url in METADATA.items()}
    provider.answers["/.well-known/openid-configuration"] = there
    one = firm(issuer=f"http://{host}")
    assert (await one.depart(BACK)).url.startswith(f"http://{host}/authorize?")


async def test_a_slash_at_the_end_of_the_issuer_makes_no_other(provider):
    assert (await firm(issuer=f"{ISSUER}/").depart(BACK)).url.startswith(f"{ISSUER}/authorize?")
    assert provider.asked[0].url == f"{ISSUER}/.well-known/openid-configuration"
    provider.answers["/.well-known/openid-configuration"] = METADATA | {"issuer": f"{ISSUER}/"}
    assert (await firm().depart(BACK)).url


async def test_what_the_provider_says_of_itself_is_asked_for_once_an_hour(provider, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(company.time, "monotonic", lambda: now[0])
    one = firm()
    for at_s, times in ((0, 1), (METADATA_LIFETIME_S - 1, 1), (METADATA_LIFETIME_S, 2)):
        now[0] = 1000 + at_s
        await one.depart(BACK)
        assert len(provider.asked) == times


def departure(state="state"):
    return Departure("url", state, "nonce", "verifier")


@pytest.fixture
def run(store):
    return store.run_here


def begin(run, state="state", browser="cookie", now=NOW_S):
    run(lambda db: company.remember(db, departure(state), browser, now))


def taken(run, state="state", browser="cookie", now=NOW_S):
    with pytest.raises(CompanyError) as caught:
        run(lambda db: company.take(db, state, browser, now))
    return caught.value.code, str(caught.value)


def test_a_browser_that_left_comes_back_once(run):
    begin(run)
    assert taken(run, browser="another") == ("not-begun", NOT_BEGUN)
    assert taken(run, state="another") == ("not-begun", NOT_BEGUN)
    found = run(lambda db: company.take(db, "state", "cookie", NOW_S + PENDING_LIFETIME_S - 1))
    assert (found.nonce, found.verifier) == ("nonce", "verifier")
    assert (found.key, found.browser) == (key_of("state"), key_of("cookie")), "neither stands there"
    assert taken(run) == ("not-begun", NOT_BEGUN)


def test_who_comes_back_too_late_begins_anew(run):
    begin(run)
    assert taken(run, now=NOW_S + PENDING_LIFETIME_S) == ("not-begun", NOT_BEGUN)
    assert taken(run, now=NOW_S - CLOCK_SLACK_S - 1) == ("not-begun", NOT_BEGUN), "a clock was ahead"
    run(lambda db: company.take(db, "state", "cookie", NOW_S - CLOCK_SLACK_S))


def test_who_began_is_bounded_and_the_oldest_gives_way(run, monkeypatch):
    monkeypatch.setattr(company, "MAX_PENDING", 2)
    for number in range(3):
        begin(run, f"s{number}", now=NOW_S + number)
    assert taken(run, "s0", now=NOW_S + 3)[0] == "not-begun"
    run(lambda db: company.take(db, "s1", "cookie", NOW_S + 3))
    begin(run, "s3", now=NOW_S + 2 + PENDING_LIFETIME_S)
    assert run(lambda db: db.query(CompanySignIn).count()) == 1, "what is over is forgotten"


CY = Person(ISSUER, "42", "cy@firm.example")


def enter(run, person=CY, *, allow_new=False):
    return run(lambda db: company.user_of(db, person, allow_new=allow_new, now=NOW_S))


def shut(run, person=CY, **options):
    with pytest.raises(CompanyError) as caught:
        enter(run, person, **options)
    return caught.value.code, str(caught.value)


def test_an_account_that_waits_for_its_owner_becomes_theirs(run):
    assert shut(run) == ("no-account", "There is no account for cy@firm.example here.")
    run(lambda db: setattr(users.add(db, CY.name, "viewer", NOW_S), "awaits_company", True))
    user = enter(run)
    assert (user.name, user.issuer, user.subject, user.awaits_company) == (CY.name, ISSUER, "42", False)
    renamed = Person(ISSUER, "42", "cy.new@firm.example")
    assert enter(run, renamed).id == user.id, "by subject from then on"
    for other in (Person(ISSUER, "43", CY.name), Person("https://b.example", "42", CY.name)):
        assert shut(run, other) == ("taken", "The account cy@firm.example is another one's.")


def test_an_account_of_our_own_is_nobodys_by_its_name(run):
    run(lambda db: users.add(db, CY.name, "admin", NOW_S))
    assert shut(run, allow_new=True) == ("taken", "The account cy@firm.example is another one's.")


def test_who_is_new_gets_an_account_where_that_is_allowed(run):
    user = enter(run, allow_new=True)
    assert (user.name, user.role, user.password_hash, user.created_at) == (CY.name, None, None, NOW_S)
    assert enter(run).id == user.id
    run(lambda db: setattr(users.find(db, CY.name), "disabled", True))
    assert shut(run) == ("disabled", "This account is disabled.")


def test_a_portal_without_a_provider_has_none(tmp_path):
    assert load_company(None) is None
    file = tmp_path / "secret"
    file.write_text("hush\n")
    file.chmod(0o600)
    settings = OidcSettings(name="Firm", issuer=ISSUER, client_id="pinhole")
    assert (load_company(settings).name, load_company(settings)._secret) == ("Firm", None)
    given = settings.model_copy(update={"client_secret_file": file})
    assert load_company(given)._secret == "hush"


@pytest.mark.parametrize(
    ("claims", "has_factor"),
    [
        ({}, False),
        ({"amr": ["pwd"]}, False),
        ({"amr": ["pwd", "mfa"]}, True),
        ({"amr": "mfa"}, False),
        ({"acr": "mfa"}, True),
        ({"acr": "2"}, True),
        ({"acr": ["mfa"]}, False),
    ],
)
async def test_a_second_factor_is_what_the_settings_call_one(provider, claims, has_factor):
    provider.claims = claims
    assert (await arrive(firm(factor_values=["mfa", "2"]))).has_factor is has_factor
    assert (await arrive(firm())).has_factor is True, "without a word of it, the provider is believed"
