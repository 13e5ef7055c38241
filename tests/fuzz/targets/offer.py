"""SDP offers, as a hostile viewer may write them."""

from pathlib import Path

from data.offers import CHROMIUM, FINGERPRINT
from fuzz.target import Target

from agent.errors import NegotiationError
from agent.rtc.answer import VIDEO_ALONE, Local, Ssrcs, encode_answer, parse_offer
from agent.rtc.codecs import Directions
from agent.rtc.sdp import Description

LOCAL = Local(
    ice_ufrag="abcd",
    ice_pwd="a" * 22,
    fingerprint=FINGERPRINT,
    candidates=("1 1 udp 2130706431 192.0.2.1 5000 typ host",),
    ssrcs={"video": Ssrcs(1, 2, 3), "audio": Ssrcs(4, 5, 6)},
    cname="c",
)
FIELD = Path(__file__).parents[2] / "data" / "sdp"
CODES = {"malformed-sdp", "no-video", "no-h264", "no-bundle", "no-dtls"}
MAX_ANSWER_BYTES = 16 * 1024


def check(data: bytes) -> None:
    """An offer that is answered by SDP which its viewer can read, line for line, or a documented refusal."""
    text = data.decode(errors="replace")
    for ours in (VIDEO_ALONE, {**VIDEO_ALONE, "audio": "sendrecv"}):
        _check(text, ours)


def _check(text: str, ours: Directions) -> None:
    try:
        offer = parse_offer(text, ours)
    except NegotiationError as exc:
        assert exc.code in CODES, exc.code
        assert len(str(exc)) < 300
        return
    assert len(offer.candidates) <= 64
    assert all(0 <= media.payload_type <= 127 for media in offer.media)
    assert offer.data is None or (0 < offer.data.sctp_port < 65536 and offer.data.max_message_bytes >= 0)
    answer = encode_answer(offer, LOCAL)
    assert len(answer) < MAX_ANSWER_BYTES
    lines = answer.split("\r\n")
    assert lines == [*answer.splitlines(), ""], "a line break was smuggled in"
    assert sum(line.startswith("m=") for line in lines) == len(offer.sections)
    assert all(line[1:2] == "=" for line in lines[:-1])
    described = Description.parse(answer)
    assert [media.mid for media in described.media] == [section.mid for section in offer.sections]
    accepted = [media.mid for media in described.media if media.port]
    assert {media.mid for media in offer.media} <= set(accepted)
    assert described.bundles == (tuple(accepted),)


def seeds() -> list[bytes]:
    """Browsers' and other programs' offers, and one with less and more in it."""
    video = CHROMIUM.split("m=application")[0]
    candidate = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n"
    field = [path.read_bytes() for path in sorted(FIELD.glob("*.sdp"))]
    return [
        *field,
        CHROMIUM.encode(),
        video.encode(),
        (video + candidate).encode(),
        b"v=0\r\nm=video 9 x 1\r\n",
    ]


TARGET = Target("offer", "SDP offers: a viewer, through the portal.", check, seeds, max_bytes=8192)
