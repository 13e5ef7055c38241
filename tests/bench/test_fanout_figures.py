"""A sender that does not send saves CPU time: the fan-out bench must not count it."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from bench.fanout import FPS, check, listener, parse, shortfall

MADE = {"frames": 6 * FPS, "bytes": 3_000_000}


def test_all_that_was_made_and_has_arrived_counts():
    assert shortfall(MADE, 2 * 3_000_000, viewers=2, seconds=6) is None


def test_a_sender_that_holds_back_does_not_count():
    fault = shortfall(MADE, 3_000_000, viewers=2, seconds=6)
    assert "3.0 of 6.0 MB" in fault


def test_nor_do_pictures_that_were_never_made():
    made = {"frames": 4 * FPS, "bytes": 2_000_000}
    assert "120 pictures" in shortfall(made, 2_000_000, viewers=1, seconds=6)


def test_nor_does_a_sender_that_nobody_got_anything_from():
    assert shortfall({"frames": 6 * FPS, "bytes": 0}, 0, viewers=2, seconds=6)


def test_a_peer_that_does_not_run_is_no_figure(unused_tcp_port):
    with pytest.raises(SystemExit, match=f"nothing of ours listens on port {unused_tcp_port}"):
        listener(f"rtsp://127.0.0.1:{unused_tcp_port}/bench")


class Feed:
    """Pictures that the peer takes."""

    def made(self):
        return {"frames": 1, "bytes": 1}


async def test_a_peer_that_shows_nothing_is_told_before_the_run():
    async with TestServer(web.Application()) as server:
        with pytest.raises(SystemExit, match="answers 404 to a viewer"):
            await check(str(server.make_url("/bench/whep")), Feed())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--peer-url", "nonsense", "--peer-feed", "rtsp://127.0.0.1/bench"], "no URL of http or https"),
        (["--peer-url", "http://127.0.0.1:99999/b", "--peer-feed", "rtsp://127.0.0.1/b"], "no URL of http"),
        (["--peer-url", "http://127.0.0.1/b", "--peer-feed", "http://127.0.0.1/b"], "no URL of rtsp"),
        (["--peer-url", "http://127.0.0.1/b"], "go together"),
        (
            ["--peer-url", "http://127.0.0.1/b", "--peer-feed", "rtsp://127.0.0.1/b", "--paths", "turn"],
            "direct path alone",
        ),
    ],
)
def test_a_peer_that_cannot_be_one_is_refused(words, said, capsys):
    with pytest.raises(SystemExit):
        parse(words)
    assert said in capsys.readouterr().err
