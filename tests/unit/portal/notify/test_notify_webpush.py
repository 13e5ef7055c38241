"""What push services and browsers get: by the RFCs' own example, and by a reader of our own."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from parts.push_service import Browser, b64, claims_of, public_of, unb64

from agent.portal.notify.outside import Answer, ChannelError
from agent.portal.notify.push_key import PushKey
from agent.portal.notify.webpush import (
    MAX_PLAIN_BYTES,
    Subscription,
    check_keys,
    encrypt,
    payload_of,
    send,
)
from agent.portal.notify.words import Message

NOW = 1_800_000_000.0
KEY = PushKey(ec.generate_private_key(ec.SECP256R1()))


def private(text):
    return ec.derive_private_key(int.from_bytes(unb64(text), "big"), ec.SECP256R1())


def subscription(browser, endpoint="https://push.example.net/abc"):
    return Subscription(endpoint, **browser.keys)


def message(body="person · 09:00", kind="event"):
    return Message(17, kind, "Front door: Motion", body, "#/camera/front/1800000000", "", "info", NOW, ())


def test_the_example_of_rfc_8291_comes_out_as_it_stands_there():
    receiver = private("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    sender = private("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    to = Subscription("https://push.example.net/", b64(public_of(receiver)), "BTBZMqHH6r4Tts7J_aSIgg")
    got = encrypt(b"When I grow up, I want to be a watermelon", to, unb64("DGv6ra1nlYgDCS1FRnbzlw"), sender)
    assert b64(got) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w"
        "EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.text(max_size=9000))
def test_whatever_the_words_they_fit_and_the_browser_reads_them(body):
    browser = Browser()
    plain = payload_of(message(body))
    assert len(plain) <= MAX_PLAIN_BYTES
    fields = json.loads(browser.read(encrypt(plain, subscription(browser))))
    assert fields["title"] == "Front door: Motion"
    assert fields["tag"] == "pinhole-17"
    assert fields["path"] == "#/camera/front/1800000000"
    assert body.startswith(fields["body"].rstrip("…")) or fields["body"] == body


def test_two_of_the_same_look_different():
    browser = Browser()
    assert encrypt(b"x", subscription(browser)) != encrypt(b"x", subscription(browser))


class Service:
    def __init__(self, status=201, words="", retry_after_s=None):
        self.answer = Answer(status, words, retry_after_s)

    async def post(self, url, body, headers):
        self.url, self.body, self.headers = url, body, headers
        return self.answer


async def push(service, kind="event", ttl_s=600.0):
    browser = Browser()
    await send(service, KEY, "mailto:a@example.org", subscription(browser), message(kind=kind), ttl_s, NOW)
    return browser


async def test_the_push_service_learns_who_sends_how_urgent_it_is_and_what_it_replaces():
    service = Service()
    browser = await push(service)
    assert json.loads(browser.read(service.body))["severity"] == "info"
    headers = service.headers
    assert (headers["TTL"], headers["Urgency"], headers["Topic"]) == ("600", "high", "pinhole-17")
    assert headers["Content-Encoding"] == "aes128gcm"
    claims = claims_of(headers["Authorization"], KEY.public)
    assert claims["aud"] == "https://push.example.net"
    assert claims["sub"] == "mailto:a@example.org"
    assert NOW < claims["exp"] <= NOW + 86_400
    digest = Service()
    await push(digest, "digest", -5)
    assert (digest.headers["TTL"], digest.headers["Urgency"]) == ("0", "normal")


@pytest.mark.parametrize(
    ("status", "is_gone", "is_final"),
    [(404, True, True), (410, True, True), (400, False, True), (413, False, True), (429, False, False),
     (500, False, False), (302, False, False)],
)  # fmt: skip
async def test_what_a_push_service_answers_decides_what_becomes_of_it(status, is_gone, is_final):
    with pytest.raises(ChannelError) as caught:
        await push(Service(status, "no", 120.0))
    assert (caught.value.is_gone, caught.value.is_final) == (is_gone, is_final)
    assert is_gone or caught.value.retry_after_s == 120.0


GOOD = Browser().keys


@pytest.mark.parametrize(
    "wrong",
    [
        {"p256dh": ""},
        {"p256dh": "AAAA"},
        {"p256dh": b64(b"\x04" + bytes(64))},
        {"p256dh": "?" * 87},
        {"p256dh": b64(b"\x02" + bytes(31) + b"\x05")},
        {"auth": ""},
        {"auth": b64(bytes(15))},
        {"auth": "ä" * 22},
    ],
)
def test_keys_that_are_none_are_refused(wrong):
    check_keys(**GOOD)
    with pytest.raises(ChannelError):
        check_keys(**GOOD | wrong)
