"""Offers as browsers and other programs write them: each is served, or refused in words that help."""

from pathlib import Path

import pytest
from aiortc import sdp
from data.offers import FINGERPRINT

from agent.errors import NegotiationError
from agent.rtc.answer import Local, Ssrcs, encode_answer, parse_offer
from agent.rtc.codecs import MID

OFFERS = Path(__file__).parents[2] / "data" / "sdp"
HOST = "1 1 udp 2130706431 192.0.2.7 5000 typ host"
LOCAL = Local("ufra", "p" * 22, FINGERPRINT, (HOST,), {"video": Ssrcs(111, 222, 333)}, "cn")

SERVED = {
    # What the answer holds: kind and port of each section, the video's payload types, its profile.
    "00-plain": ("video 9, application 9", "102 103", "42e01f"),
    "01-firefox-stopped-audio-without-mid": ("audio 0, video 9, application 9", "126 127", "42e01f"),
    "03-max-bundle-video-first-data-port0": ("video 9, application 9", "102 103", "42e01f"),
    "03b-max-bundle-all-with-transport": ("audio 9, video 9, application 9", "102 103", "42e01f"),
    "04-gstreamer-whep": ("video 9, audio 0", "96 97", "42c01f"),
    "05-safari-640c1f-first": ("video 9, application 9", "98 99", "42e01f"),
    "06-only-640c1f": ("video 9", "96 97", "640c1f"),
    "07-only-4d0032": ("video 9", "96 97", "4d0032"),
    "08-42e033": ("video 9", "96 97", "42e033"),
    "11-fmtp-with-spaces-and-capitals": ("video 9", "96 97", "42e01f"),
    "12-firefox-extmap-directions": ("video 9, application 9", "126 127", "42e01f"),
    "17-sha-512-fingerprint": ("video 9", "102 103", "42e01f"),
    "19-lf-only-no-last-newline": ("video 9, application 9", "102 103", "42e01f"),
    "20-two-videos": ("video 9, video 0, application 9", "102 103", "42e01f"),
    "23-candidates-odd": ("video 9, application 9", "102 103", "42e01f"),
    "24-ice-lite-session-level": ("video 9, application 9", "102 103", "42e01f"),
    "27-image-section-rejected": ("video 9, image 0, application 9", "102 103", "42e01f"),
    "chromium-balanced-av": ("audio 9, video 9, application 9", "108 109 49", "42e01f"),
    "chromium-max-bundle-av": ("audio 9, video 9, application 9", "108 109 49", "42e01f"),
    "chromium-max-bundle-vd": ("video 9, application 9", "108 109 49", "42e01f"),
}
REFUSED = {
    "09-packetization-mode-0-only": ("no-h264", "no H.264 with packetization-mode 1 and a profile"),
    "10-no-fmtp-at-all": ("no-h264", "no H.264 with packetization-mode 1 and a profile"),
    "13-twelve-sections": ("malformed-sdp", "12 media sections"),
    "14-ufrag-with-underscore": ("malformed-sdp", "ice-ufrag 'zlm_1'"),
    "16-sha-1-fingerprint": ("no-dtls", "needs a sha-256 fingerprint, and has one by 'sha-1'"),
    "18-no-bundle-group": ("no-bundle", "does not bundle"),
    "21-vp8-only": ("no-h264", "no H.264 but VP8:"),
    "22-sendonly": ("no-video", "its video is sendonly: offer to receive"),
    # Debian's Firefox, before its OpenH264 plug-in is there.
    "firefox-audio-first-max-bundle": ("no-h264", "no H.264 but AV1, VP8, VP9"),
    "firefox-balanced-two-videos": ("no-h264", "no H.264 but AV1, VP8, VP9"),
    "firefox-dashboard-max-bundle": ("no-h264", "no H.264 but AV1, VP8, VP9"),
}
OURS = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"


def read(name):
    return (OFFERS / f"{name}.sdp").read_bytes().decode()


def answered(text):
    return encode_answer(parse_offer(text), LOCAL)


def m_lines(answer):
    return [line[2:] for line in answer.split("\r\n") if line.startswith("m=")]


def group(answer):
    return next(line.split()[1:] for line in answer.split("\r\n") if line.startswith("a=group:BUNDLE"))


def section(answer, kind):
    return next(part for part in answer.split("\r\nm=") if part.startswith(kind)).split("\r\n")


def with_h264(text):
    """Firefox's offer as it is once the browser has an H.264 decoder."""
    return text.replace("a=rtpmap:120 VP8/90000", f"a=rtpmap:120 H264/90000\r\na=fmtp:120 {OURS}")


def test_every_offer_has_its_right_value():
    assert {file.stem for file in OFFERS.iterdir()} == {*SERVED, *REFUSED}


@pytest.mark.parametrize("name", SERVED)
def test_an_offer_is_served(name):
    sections, payload_types, profile = SERVED[name]
    offered, answer = read(name), answered(read(name))
    lines = [line.split() for line in m_lines(answer)]
    assert ", ".join(f"{kind} {port}" for kind, port, *_ in lines) == sections
    assert [line.split()[2] for line in m_lines(offered.replace("\n", "\r\n"))] == [line[2] for line in lines]
    video = section(answer, "video 9")
    assert video[0].split()[3:] == payload_types.split()
    assert any(f"profile-level-id={profile}" in line for line in video)
    assert len(group(answer)) == sections.count(" 9"), "whoever is accepted is in the bundle"
    assert answer.count("a=candidate:") == 1


@pytest.mark.parametrize("name", REFUSED)
def test_an_offer_is_refused_in_words(name):
    code, words = REFUSED[name]
    with pytest.raises(NegotiationError) as caught:
        parse_offer(read(name))
    assert caught.value.code == code
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["firefox-dashboard-max-bundle", "firefox-audio-first-max-bundle"])
def test_firefox_gets_its_picture_and_its_control_channel(name):
    answer = answered(with_h264(read(name)))
    assert [line.split()[1] for line in m_lines(answer)] == ["9"] * answer.count("\r\nm=")
    assert "a=sendonly" in section(answer, "video")
    assert "a=sctp-port:5000" in section(answer, "application")
    assert group(answer) == [str(number) for number in range(answer.count("\r\nm="))]


def test_the_first_of_two_videos_is_served_though_the_second_exists_in_the_bundle_alone():
    answer = answered(with_h264(read("firefox-balanced-two-videos")))
    assert [line.split()[1] for line in m_lines(answer)] == ["9", "0", "9"]


def test_the_section_that_carries_the_bundle_is_kept_and_sends_nothing():
    answer = answered(read("chromium-max-bundle-av"))
    audio, video = section(answer, "audio"), section(answer, "video")
    assert "a=inactive" in audio
    assert "a=rtpmap:111 opus/48000/2" in audio
    assert "a=ice-ufrag:ufra" in audio
    assert any(line.startswith("a=candidate:") for line in audio)
    assert not any(line.startswith("a=candidate:") for line in video)
    assert group(answer) == ["0", "1", "2"]


def test_the_carrier_s_transport_is_taken_where_the_others_have_none():
    text = read("03b-max-bundle-all-with-transport")
    head, *rest = text.split("m=video")
    bare = [line for line in rest[0].split("\r\n") if not line.startswith(("a=ice", "a=fing", "a=setup"))]
    offer = parse_offer(head + "m=video" + "\r\n".join(bare))
    assert (offer.ice_ufrag, len(offer.dtls.fingerprints)) == ("bGx6", 1)


def test_a_section_with_port_0_outside_the_bundle_is_rejected_whatever_it_says():
    text = read("03-max-bundle-video-first-data-port0").replace("BUNDLE 0 1", "BUNDLE 0")
    assert [line.split()[1] for line in m_lines(answered(text))] == ["9", "0"]


def test_a_rejected_section_is_repeated_with_what_it_said_of_itself():
    long_mid = read("27-image-section-rejected").replace("a=mid:1", "a=mid:" + "x" * 20)
    image = section(answered(long_mid), "image")
    assert image[0] == "image 0 udptl t38"
    assert "a=mid:" + "x" * 20 in image
    assert not any(
        "mid" in line for line in section(answered(read("01-firefox-stopped-audio-without-mid")), "audio")
    )


@pytest.mark.parametrize(
    "nonsense",
    [
        "a=mid:not a token",
        "a=fmtp:9 no rtpmap",
        "a=rtpmap:x y",
        "a=extmap:one",
        "a=ssrc:none",
        "a=setup:holdconn",
        "a=candidate:none",
        "a=rtcp-fb:",
        "c=IN IP4",
        "a=sctp-port:none",
    ],
)
@pytest.mark.parametrize("where", ["image 0", "audio 9"])
def test_what_a_section_says_that_nobody_needs_spoils_nothing(where, nonsense):
    text = (
        read("27-image-section-rejected")
        .replace("m=image 0", f"m={where}")
        .replace("a=mid:1", f"a=mid:1\r\n{nonsense}")
    )
    assert [line.split()[1] for line in m_lines(answered(text))] == ["9", "0", "9"]


def test_a_mid_that_does_not_fit_the_header_extension_goes_without_it():
    text = read("12-firefox-extmap-directions")
    long = text.replace("BUNDLE 0 1", f"BUNDLE {'v' * 20} 1").replace("a=mid:0", f"a=mid:{'v' * 20}")
    assert MID in parse_offer(text).video.extensions
    assert MID not in parse_offer(long).video.extensions
    assert group(answered(long)) == ["v" * 20, "1"]


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_an_extension_that_the_viewer_does_not_receive_is_not_written(direction):
    text = read("12-firefox-extmap-directions").replace("6/recvonly", f"6/{direction}")
    assert sorted(parse_offer(text).video.extensions.values()) == [3, 4, 7]


@pytest.mark.parametrize(
    "parameters",
    [
        "profile-level-id=42E01F; packetization-mode=1; level-asymmetry-allowed=1",
        "Profile-Level-ID=42e01f;PACKETIZATION-MODE=1",
        " profile-level-id = 42e01f ;packetization-mode= 1;",
        "packetization-mode=1;profile-level-id=42e01f;sprop-parameter-sets=Z0LAHg==,aM48gA==",
    ],
)
def test_parameters_are_read_as_they_are_written(parameters):
    plain = read("11-fmtp-with-spaces-and-capitals")
    written = plain.replace(
        "profile-level-id=42E01F; packetization-mode=1; level-asymmetry-allowed=1", parameters
    )
    video = parse_offer(written.replace("a=fmtp:97 apt=96", "a=fmtp:97 APT = 96")).video
    assert (video.payload_type, video.rtx_payload_type) == (96, 97)


@pytest.mark.parametrize(
    ("line", "mids"),
    [
        ("a=group:BUNDLE  0   1 ", ["0", "1"]),
        ("a=group:BUNDLE 0 1 9", ["0", "1"]),
        ("a=group:BUNDLE 0 0 1", ["0", "1"]),
        ("a=group:BUNDLE 0\r\na=group:BUNDLE 1", ["0"]),
        ("a=group:LS 0 1\r\na=group:BUNDLE 0 1", ["0", "1"]),
        ("a=group:\r\na=group:BUNDLE\r\na=group:BUNDLE 0 1", ["0", "1"]),
        ("a=group:BUNDLE 1 0", ["0", "1"]),
    ],
)
def test_groups_are_read_as_they_are_written(line, mids):
    assert group(answered(read("00-plain").replace("a=group:BUNDLE 0 1", line))) == mids


def test_many_mids_and_many_attributes_do_not_multiply():
    """Ten times as much as an offer may have: by the square, everybody's video would stand for minutes."""
    mids = "a=group:BUNDLE 0" + "".join(f" x{number}" for number in range(40_000))
    sdp = read("00-plain").replace("a=group:BUNDLE 0 1", mids) + "a=x\r\n" * 60_000
    assert parse_offer(sdp).carrier == "0"


def test_what_stands_at_session_level_counts_for_every_section():
    offer = parse_offer(read("24-ice-lite-session-level"))
    assert offer.ice_lite
    assert (offer.ice_ufrag, offer.dtls.fingerprints[0].value) == ("bGx6", FINGERPRINT)
    text = read("24-ice-lite-session-level").replace("a=recvonly\r\n", "")
    assert parse_offer(text).video.payload_type == 102, "without a direction it is sendrecv"
    with pytest.raises(NegotiationError) as caught:
        parse_offer(text.replace("a=ice-lite", "a=sendonly"))
    assert caught.value.code == "no-video"


def test_odd_candidates_are_passed_on_and_judged_one_by_one():
    assert len(parse_offer(read("23-candidates-odd")).candidates) == 8


def test_an_answer_is_read_by_another_parser():
    for name in SERVED.keys() - {"27-image-section-rejected"}:  # aiortc reads no protocol in lower case
        described = sdp.SessionDescription.parse(answered(read(name)))
        assert [media.kind for media in described.media] == [
            kind.split()[0] for kind in SERVED[name][0].split(", ")
        ]
