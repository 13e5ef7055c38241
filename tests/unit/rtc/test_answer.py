"""Offers of real browsers are answered; the rest is refused with a code that says why."""

import contextlib

import pytest
from aiortc import sdp
from data.offers import CHROMIUM, FINGERPRINT
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import NegotiationError
from agent.rtc.answer import (
    ABS_SEND_TIME,
    MID,
    PLAYOUT_DELAY,
    TRANSPORT_CC,
    Local,
    encode_answer,
    parse_offer,
)

LOCAL = Local(
    "ufra", "p" * 22, FINGERPRINT, ("1 1 udp 2130706431 192.0.2.7 5000 typ host",), 111, 222, 333, "cn"
)


def refused(text):
    with pytest.raises(NegotiationError) as caught:
        parse_offer(text)
    return caught.value.code


def test_chromium_gets_constrained_baseline_under_its_own_payload_type():
    offer = parse_offer(CHROMIUM)
    video = offer.video
    assert (video.payload_type, video.rtx_payload_type, video.profile_level_id) == (39, 40, "42e01f")
    assert set(video.feedback) == {"nack", "nack pli", "ccm fir", "transport-cc"}
    assert video.extensions == {ABS_SEND_TIME: 2, TRANSPORT_CC: 4, PLAYOUT_DELAY: 5, MID: 9}
    assert not offer.is_dtls_client
    assert (offer.ice_ufrag, offer.ice_pwd) == ("bGx6", "3bVFYq1DwTDqG5nTDPKKqvZ9")
    assert (offer.data.mid, offer.data.sctp_port) == ("1", 5000)


def test_the_answer_says_the_same_to_a_parser():
    offer = parse_offer(CHROMIUM)
    answer = sdp.SessionDescription.parse(encode_answer(offer, LOCAL))
    video, data = answer.media
    assert video.direction == "sendonly"
    assert [c.payloadType for c in video.rtp.codecs] == [39, 40, 49]
    assert video.dtls.role == "server"
    assert video.dtls.fingerprints[0].value == FINGERPRINT
    assert [c.ip for c in video.ice_candidates] == ["192.0.2.7"]
    assert data.ice_candidates == [], "one bundle, one transport, its candidates once"
    assert video.ssrc_group[0].items == [111, 222]
    assert [s.ssrc for s in video.ssrc] == [111, 222, 333], "Chromium plays the first one"
    assert {e.id for e in video.rtp.headerExtensions} == {2, 4, 5, 9}
    assert data.sctp_port == 5000
    assert answer.group[0].items == ["0", "1"]


def test_the_answer_names_its_offer_since_several_may_be_under_way():
    offer = parse_offer(CHROMIUM)
    assert f"\r\na=x-answers:{offer.ice_ufrag}\r\n" in encode_answer(offer, LOCAL)


def test_without_a_data_channel_only_video_is_answered():
    offer = parse_offer(CHROMIUM.split("m=application")[0])
    assert offer.data is None
    assert len(sdp.SessionDescription.parse(encode_answer(offer, LOCAL)).media) == 1


def test_a_section_we_do_not_serve_is_refused_in_its_place():
    audio = (
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=recvonly\r\n"
        "a=rtpmap:111 opus/48000/2\r\n"
    )
    head, video = CHROMIUM.split("m=video", 1)
    offer = parse_offer(head.replace("BUNDLE 0 1", "BUNDLE a 0 1") + audio + "m=video" + video)
    answer = sdp.SessionDescription.parse(encode_answer(offer, LOCAL))
    assert [(m.kind, m.port) for m in answer.media] == [("audio", 0), ("video", 9), ("application", 9)]
    assert answer.group[0].items == ["0", "1"]


@pytest.mark.parametrize(
    ("offered", "answered"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
def test_dtls_roles_fit_together(offered, answered):
    offer = parse_offer(CHROMIUM.replace("a=setup:actpass", f"a=setup:{offered}"))
    assert offer.is_dtls_client == (answered == "active")
    assert f"a=setup:{answered}" in encode_answer(offer, LOCAL)


def test_high_profile_alone_will_do_because_it_contains_baseline():
    text = CHROMIUM.replace("profile-level-id=42e01f", "profile-level-id=64001f").replace("42001f", "f4001f")
    assert parse_offer(text).video.profile_level_id == "64001f"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda s: s.replace("H264/90000", "H265/90000"), "no-h264"),
        (lambda s: s.replace("packetization-mode=1", "packetization-mode=0"), "no-h264"),
        (lambda s: s.replace("profile-level-id=42", "profile-level-id=zz"), "no-h264"),
        (lambda s: s.replace("m=video 9", "m=audio 9"), "no-video"),
        (lambda s: s.replace("a=recvonly", "a=inactive"), "no-video"),
        (lambda s: s.replace("m=video 9", "m=video 0"), "no-video"),
        (lambda s: s.replace("BUNDLE 0 1", "BUNDLE 1"), "no-bundle"),
        (lambda s: s.replace("sha-256", "sha-1"), "no-dtls"),
        (lambda s: s.replace("a=setup:actpass\r\n", ""), "no-dtls"),
        (lambda s: s.replace("a=ice-pwd:3bVFYq1DwTDqG5nTDPKKqvZ9", "a=ice-pwd:short"), "malformed-sdp"),
        (lambda s: s.replace("a=ice-ufrag:bGx6", "a=ice-ufrag:b x6"), "malformed-sdp"),
        (lambda s: s.replace("a=mid:0", "a=mid:0 0"), "malformed-sdp"),
        (lambda s: s.replace("a=mid:0\r\n", ""), "malformed-sdp"),
        (lambda _: "", "malformed-sdp"),
        (lambda _: "v=0\r\nm=video x", "malformed-sdp"),
        (lambda offer: offer.replace("sctp-port:5000", "sctp-port:70000"), "malformed-sdp"),
        (lambda offer: offer.replace("message-size:262144", "message-size:-1"), "malformed-sdp"),
        (lambda offer: offer.replace("DTLS/SCTP webrtc-datachannel", "DTLS/SCTP  "), "malformed-sdp"),
        (lambda s: s + ("m=audio 9 RTP/AVP 0\r\na=mid:z\r\n" * 9), "malformed-sdp"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_code(change, code):
    assert refused(change(CHROMIUM)) == code


LINES = CHROMIUM.split("\r\n")


@given(
    st.lists(st.integers(0, len(LINES) - 1), max_size=6), st.text(max_size=20), st.integers(0, len(LINES) - 1)
)
def test_a_damaged_offer_is_answered_or_refused_but_nothing_else(dropped, garbage, where):
    lines = [line for index, line in enumerate(LINES) if index not in dropped]
    lines.insert(min(where, len(lines)), garbage)
    text = "\r\n".join(lines)
    with contextlib.suppress(NegotiationError):  # any other error fails the test
        sdp.SessionDescription.parse(encode_answer(parse_offer(text), LOCAL))


def test_candidates_in_the_offer_are_kept():
    line = "a=candidate:1 1 udp 2113937151 a1b2.local 54321 typ host"
    offer = parse_offer(CHROMIUM.replace("a=mid:0", line + "\r\na=mid:0"))
    assert offer.candidates == ("candidate:1 1 udp 2113937151 a1b2.local 54321 typ host",)
