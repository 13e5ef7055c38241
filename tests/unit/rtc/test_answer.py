"""Offers of real browsers are answered; the rest is refused with a code that says why."""

import contextlib
import re

import pytest
from aiortc import sdp
from data.offers import CHROMIUM, FINGERPRINT
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import NegotiationError
from agent.rtc.answer import VIDEO_ALONE, Local, Ssrcs, encode_answer, parse_offer
from agent.rtc.codecs import ABS_SEND_TIME, MID, PLAYOUT_DELAY, TRANSPORT_CC

HOST = "1 1 udp 2130706431 192.0.2.7 5000 typ host"
SSRCS = {"video": Ssrcs(111, 222, 333), "audio": Ssrcs(444, 555, 666)}
LOCAL = Local("ufra", "p" * 22, FINGERPRINT, (HOST,), SSRCS, "cn")


def refused(text):
    with pytest.raises(NegotiationError) as caught:
        parse_offer(text)
    return caught.value.code


def test_chromium_gets_constrained_baseline_under_its_own_payload_type():
    offer = parse_offer(CHROMIUM)
    video = offer.video
    assert (video.payload_type, video.rtx_payload_type) == (39, 40)
    assert "profile-level-id=42e01f" in video.parameters
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
    assert parse_offer(text).video.parameters.endswith("=64001f")


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
        (lambda s: s.replace("a=mid:1", "a=mid:0"), "malformed-sdp"),
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


VIDEO_ANSWER = f"""\
v=0
o=- N 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS pinhole
a=x-answers:bGx6
m=video 9 UDP/TLS/RTP/SAVPF 39 40 49
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=msid:pinhole main
a=rtpmap:39 H264/90000
a=fmtp:39 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtcp-fb:39 ccm fir
a=rtcp-fb:39 nack
a=rtcp-fb:39 nack pli
a=rtcp-fb:39 transport-cc
a=rtpmap:40 rtx/90000
a=fmtp:40 apt=39
a=ssrc-group:FID 111 222
a=rtpmap:49 flexfec-03/90000
a=fmtp:49 repair-window=10000000
a=ssrc-group:FEC-FR 111 333
a=ssrc:111 cname:cn
a=ssrc:222 cname:cn
a=ssrc:333 cname:cn
a=ice-ufrag:ufra
a=ice-pwd:{"p" * 22}
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:1
a=sctp-port:5000
a=max-message-size:65536
a=ice-ufrag:ufra
a=ice-pwd:{"p" * 22}
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
"""

AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 112\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=recvonly\r\n"
    "a=ice-ufrag:bGx6\r\na=ice-pwd:3bVFYq1DwTDqG5nTDPKKqvZ9\r\na=setup:actpass\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=rtpmap:111 opus/48000/2\r\n"
)


def answer_lines(text, ours=VIDEO_ALONE):
    """What a browser gets, but for the session's number."""
    answer = encode_answer(parse_offer(text, ours), LOCAL)
    return re.sub(r"(?m)^o=- \d+ ", "o=- N ", answer).split("\r\n")


def with_audio_first(audio=AUDIO, bundle="a 0 1"):
    head, video = CHROMIUM.split("m=video", 1)
    return head.replace("BUNDLE 0 1", f"BUNDLE {bundle}") + audio + "m=video" + video


def test_the_whole_answer_is_what_chromium_plays():
    assert answer_lines(CHROMIUM) == VIDEO_ANSWER.split("\n")


def test_a_section_whose_transport_is_all_that_is_used_says_what_it_is():
    sections = "\n".join(answer_lines(with_audio_first())).split("\nm=")
    assert sections[1].split("\n")[:6] == [
        *("audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:a", "a=inactive", "a=rtcp-mux"),
        "a=rtpmap:111 opus/48000/2",
    ]
    assert "a=candidate:" in sections[1]
    assert "a=candidate:" not in sections[2] + sections[3]


def test_a_section_that_says_nothing_of_its_format_is_answered_without():
    bare = AUDIO.replace("SAVPF 111 112", "SAVPF 9").replace("a=rtpmap:111 opus/48000/2\r\n", "")
    sections = "\n".join(answer_lines(with_audio_first(bare))).split("\nm=")
    assert sections[1].startswith("audio 9 UDP/TLS/RTP/SAVPF 9\n")
    assert "rtpmap" not in sections[1]


def test_a_section_that_is_refused_holds_its_place_and_nothing_else():
    sections = "\n".join(answer_lines(with_audio_first(bundle="0 1"))).split("\nm=")
    assert sections[1].split("\n") == [
        *("audio 0 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=inactive", "a=mid:a")
    ]


SOUND_ANSWER = f"""\
audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=mid:a
a=sendonly
a=rtcp-mux
a=rtcp-rsize
a=msid:pinhole sound
a=rtpmap:111 opus/48000/2
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtcp-fb:111 transport-cc
a=ssrc:444 cname:cn
a=ice-ufrag:ufra
a=ice-pwd:{"p" * 22}
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host"""
SOUND_OFFER = AUDIO + (
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n"
    "a=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack\r\n"
)


def heard(direction):
    """What a device does that has sound."""
    return {"video": "sendonly", "audio": direction}


def test_a_device_with_sound_answers_it_beside_the_picture():
    lines = answer_lines(with_audio_first(SOUND_OFFER), heard("sendrecv"))
    sound, video, data = "\n".join(lines).split("\nm=")[1:]
    assert sound == SOUND_ANSWER
    pictures = VIDEO_ANSWER.replace("a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host\n", "")
    assert [video, data] == pictures.split("\nm=")[1:], "the picture's own section is as without sound"
    assert lines[4] == "a=group:BUNDLE a 0 1"


@pytest.mark.parametrize(
    ("offered", "ours", "answered"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendrecv", "sendonly", "sendonly"),
        ("sendrecv", "recvonly", "recvonly"),
        ("recvonly", "sendrecv", "sendonly"),
        ("recvonly", "sendonly", "sendonly"),
        ("sendonly", "sendrecv", "recvonly"),
        ("sendonly", "recvonly", "recvonly"),
        ("recvonly", "recvonly", None),
        ("sendonly", "sendonly", None),
        ("inactive", "sendrecv", None),
    ],
)
def test_sound_flows_where_one_end_has_it_and_the_other_wants_it(offered, ours, answered):
    text = with_audio_first(SOUND_OFFER.replace("a=recvonly", f"a={offered}"))
    lines = "\n".join(answer_lines(text, heard(ours))).split("\nm=")[1].split("\n")
    assert f"a={answered or 'inactive'}" in lines
    is_sent = answered in ("sendrecv", "sendonly")
    assert ("a=ssrc:444 cname:cn" in lines) == ("a=msid:pinhole sound" in lines) == is_sent


@pytest.mark.parametrize(
    "change",
    [
        lambda sound: sound.replace("opus/48000/2", "opus/48000"),
        lambda sound: sound.replace("opus", "PCMU"),
        lambda sound: sound.replace("m=audio 9", "m=audio 0"),
    ],
)
def test_sound_that_is_not_ours_is_left_out_and_the_picture_is_served(change):
    answer = encode_answer(parse_offer(with_audio_first(change(SOUND_OFFER)), heard("sendrecv")), LOCAL)
    sound, video, _ = sdp.SessionDescription.parse(answer).media
    assert (sound.direction, video.direction) == ("inactive", "sendonly")


def test_sound_outside_the_bundle_is_refused_and_of_two_the_first_is_served():
    other = SOUND_OFFER.replace("a=mid:a", "a=mid:b")
    apart = "\n".join(answer_lines(with_audio_first(other), heard("sendonly"))).split("\nm=")
    assert apart[1].startswith("audio 0 ")
    both = with_audio_first(SOUND_OFFER + other, "a b 0 1")
    media = sdp.SessionDescription.parse(encode_answer(parse_offer(both, heard("sendonly")), LOCAL)).media
    assert [one.port for one in media] == [9, 0, 9, 9]


BY_SOURCE = "a=rtcp-fb:39 ack ccfb\n"
CHROMIUM_BY_SOURCE = CHROMIUM.replace("a=rtcp-fb:39 transport-cc", f"{BY_SOURCE}a=rtcp-fb:39 transport-cc")


def test_reports_by_source_take_the_place_of_transport_wide_ones_where_they_are_asked_for():
    lines = encode_answer(parse_offer(CHROMIUM_BY_SOURCE, l4s=True), LOCAL).split("\r\n")
    wanted = [line.replace("39 transport-cc", "* ack ccfb") for line in VIDEO_ANSWER.split("\n")]
    assert lines[2:] == [line for line in wanted if "transport-wide-cc" not in line][2:]


@pytest.mark.parametrize(
    ("text", "l4s"),
    [
        (CHROMIUM_BY_SOURCE, False),
        (CHROMIUM, True),
        (CHROMIUM.replace("a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack\na=rtcp-fb:96 ack ccfb"), True),
    ],
    ids=["not asked for", "not offered", "offered for another codec"],
)
def test_else_the_answer_is_as_ever(text, l4s):
    answer = encode_answer(parse_offer(text, l4s=l4s), LOCAL)
    assert re.sub(r"(?m)^o=- \d+ ", "o=- N ", answer).split("\r\n") == VIDEO_ANSWER.split("\n")


@pytest.mark.parametrize("is_offered", [True, False])
def test_sound_and_picture_are_reported_in_one_way(is_offered):
    sound = SOUND_OFFER + "a=rtcp-fb:* ack ccfb\r\n" * is_offered
    head, video = with_audio_first(sound).split("m=video", 1)
    text = f"{head}m=video" + video.replace("a=rtcp-fb:39 nack", f"{BY_SOURCE}a=rtcp-fb:39 nack", 1)
    media = parse_offer(text, heard("sendrecv"), l4s=True).media
    assert [one.has_ccfb for one in media] == [is_offered] * 2
    assert ["transport-cc" in one.feedback for one in media] == [not is_offered] * 2
    assert [TRANSPORT_CC in one.extensions for one in media] == [not is_offered] * 2


def said(text):
    with pytest.raises(NegotiationError) as caught:
        parse_offer(text)
    return caught.value.code, str(caught.value)


H265 = CHROMIUM.replace("H264/90000", "H265/90000")
NO_BUNDLE = ("no-bundle", "the offer does not bundle its media (RFC 9143)")
NO_CARRIER = ("malformed-sdp", "no section of the bundle has a port and ICE credentials")
NO_DATA_PORT = ("malformed-sdp", "sctp-port or max-message-size breaks RFC 8841")
NO_PROFILE = "H.264 with packetization-mode 1 and a profile"
NO_SETUP = ("no-dtls", "the offer needs a=setup:actpass (RFC 8842 section 5.2)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 1"), NO_BUNDLE),
        (re.sub(r"a=ice-ufrag:.*\n", "", CHROMIUM), NO_CARRIER),
        (CHROMIUM.split("m=video")[0], ("malformed-sdp", "the offer has 0 media sections, not 1 to 8")),
        (CHROMIUM.replace("m=video 9", "m=audio 9"), ("no-video", "the offer asks for no video")),
        (
            CHROMIUM.replace("a=recvonly", "a=inactive"),
            (
                "no-video",
                "the offer asks for no video, its video is inactive: offer to receive (a=recvonly)",
            ),
        ),
        (CHROMIUM.replace("a=mid:0", ""), ("malformed-sdp", "the video section has no valid mid")),
        (H265, ("no-h264", "the viewer offers no H.264 but H265, VP8: use a browser that plays H.264")),
        (
            H265.replace("VP8", "VP7").replace("H265", "H262"),
            ("no-h264", "the viewer offers no H.264: use a browser that plays H.264"),
        ),
        (
            CHROMIUM.replace("packetization-mode=1", "packetization-mode=0"),
            ("no-h264", f"the viewer offers no {NO_PROFILE}: use a browser that plays H.264"),
        ),
        (
            CHROMIUM.replace("a=ice-pwd:3bVFYq1DwTDqG5nTDPKKqvZ9\r\n", "").replace(
                "a=ice-pwd:3bVFYq1DwTDqG5nTDPKKqvZ9\n", ""
            ),
            ("malformed-sdp", "ice-ufrag 'bGx6' or its ice-pwd breaks RFC 8839 section 5.4"),
        ),
        (
            CHROMIUM.replace("sha-256", "sha-1"),
            ("no-dtls", "the offer needs a sha-256 fingerprint, and has one by 'sha-1'"),
        ),
        (
            re.sub(r"a=fingerprint:.*\n", "", CHROMIUM),
            ("no-dtls", "the offer needs a sha-256 fingerprint, and has none"),
        ),
        (re.sub(r"a=setup:.*\n", "", CHROMIUM), NO_SETUP),
        (CHROMIUM.replace("setup:actpass", "setup:holdconn"), NO_SETUP),
        (CHROMIUM.replace("sctp-port:5000", "sctp-port:0"), NO_DATA_PORT),
        (CHROMIUM.replace("sctp-port:5000", "sctp-port:65536"), NO_DATA_PORT),
        (CHROMIUM.replace("message-size:262144", "message-size:1" + "0" * 10), NO_DATA_PORT),
    ],
)
def test_a_refusal_says_what_the_offer_lacks(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize(
    ("ufrag", "pwd", "is_good"),
    [
        (4, 22, True),
        (256, 256, True),
        (3, 22, False),
        (257, 22, False),
        (4, 21, False),
        (4, 257, False),
    ],
)
def test_ice_credentials_have_the_lengths_of_the_standard(ufrag, pwd, is_good):
    text = CHROMIUM.replace("bGx6", "u" * ufrag).replace("3bVFYq1DwTDqG5nTDPKKqvZ9", "p" * pwd)
    if is_good:
        assert parse_offer(text).ice_pwd == "p" * pwd
    else:
        assert said(text)[0] == "malformed-sdp"


@pytest.mark.parametrize(
    ("port", "size", "expected"),
    [
        ("a=sctp-port:1", "a=max-message-size:1", (1, 1)),
        ("a=sctp-port:65535", "a=max-message-size:9999999999", (65535, 9_999_999_999)),
        ("a=other", "a=other", (5000, 65536)),
    ],
)
def test_what_the_data_channel_may_be_is_read_or_as_the_standard_says(port, size, expected):
    text = CHROMIUM.replace("a=sctp-port:5000", port).replace("a=max-message-size:262144", size)
    data = parse_offer(text).data
    assert (data.sctp_port, data.max_message_bytes) == expected


def test_the_older_form_names_its_port_as_the_format():
    text = CHROMIUM.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP {}").replace(
        "a=sctp-port:5000", "a=sctpmap:5001 webrtc-datachannel 1024"
    )
    assert parse_offer(text.format("5001")).data.sctp_port == 5001
    assert parse_offer(text.format("webrtc-datachannel 5001")).data.sctp_port == 5000


@pytest.mark.parametrize(("number", "is_written"), [(0, False), (1, True), (14, True), (15, False)])
def test_header_extensions_have_the_numbers_that_one_byte_headers_can_hold(number, is_written):
    text = CHROMIUM.replace("a=extmap:5 ", f"a=extmap:{number} ")
    assert parse_offer(text).video.extensions.get(PLAYOUT_DELAY) == (number if is_written else None)


@pytest.mark.parametrize(("length", "is_written"), [(16, True), (17, False)])
def test_a_mid_that_no_header_can_hold_goes_without(length, is_written):
    mid = "m" * length
    video = parse_offer(
        CHROMIUM.replace("a=mid:0", f"a=mid:{mid}").replace("BUNDLE 0", f"BUNDLE {mid}")
    ).video
    assert (MID in video.extensions) == is_written
    assert video.mid == mid


def test_eight_sections_are_served_and_each_has_its_place():
    more = "".join(f"m=audio 9 RTP/AVP 0\r\na=mid:x{number}\r\n" for number in range(6))
    assert len(parse_offer(CHROMIUM + "\r\n" + more).sections) == 8
    assert refused(CHROMIUM + "\r\n" + more + "m=audio 9 RTP/AVP 0\r\n") == "malformed-sdp"


@pytest.mark.parametrize("algorithm", ["sha-256", "SHA-256"])
def test_fingerprints_are_taken_with_their_algorithm(algorithm):
    [found, *_] = parse_offer(CHROMIUM.replace("sha-256", algorithm)).dtls.fingerprints
    assert (found.algorithm, found.value) == ("sha-256", FINGERPRINT)


def test_h264_without_a_profile_is_none_that_we_can_rely_on():
    text = CHROMIUM.replace(";profile-level-id=42e01f", "").replace(";profile-level-id=42001f", "")
    assert said(text)[1].startswith(f"the viewer offers no {NO_PROFILE}")


def test_a_lite_agent_is_told_from_a_full_one():
    assert not parse_offer(CHROMIUM).ice_lite
    assert parse_offer(CHROMIUM.replace("t=0 0", "t=0 0\na=ice-lite")).ice_lite
