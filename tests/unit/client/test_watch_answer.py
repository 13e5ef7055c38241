"""An answer that the terminal's viewer cannot use is named, whatever is odd about it."""

import pytest

from agent.client.peer import Peer
from agent.client.report import Meter
from agent.errors import NegotiationError

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("sdp", "words"),
    [
        (HEAD + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "refuses the video"),
        (HEAD + "a=setup:holdconn\r\n", "unusable"),
        (HEAD + "a=group\r\n", "unusable"),
        (HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=msid\r\na=fmtp:96 a=1\r\n", "unusable"),
        (HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ssrc:\r\n", "unusable"),
        ("nothing", "unusable"),
    ],
)
async def test_an_odd_answer_is_an_error_in_words(sdp, words):
    peer = Peer([], relay_only=False, stream=None, meter=Meter(0.0))
    with pytest.raises(NegotiationError, match=words) as caught:
        await peer.accept(sdp)
    assert caught.value.code == "bad-answer"
    await peer.close()
