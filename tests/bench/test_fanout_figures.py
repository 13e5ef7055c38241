"""A sender that does not send saves CPU time: the fan-out bench must not count it."""

import json
from io import StringIO

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from bench.fanout import FPS, WIDTH, check, listener, main, parse, shortfall, show
from rich.console import Console

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


def row(cpu_percent, us_a_packet):
    return {"cpu_percent": cpu_percent, "us_a_packet": us_a_packet}


@pytest.mark.parametrize("kinds", [("stock", "ours"), ("stock", "ours", "peer")])
def test_the_table_cuts_nothing_and_an_added_viewer_has_a_unit(kinds):
    result = {"direct": {kind: {1: row(10.25, 1641.27), 16: row(160.25, 1641.27)} for kind in kinds}}
    out = StringIO()
    show(Console(file=out, width=WIDTH), result)
    assert "…" not in out.getvalue()
    assert out.getvalue().count("1641.27") == 2 * len(kinds)
    assert "direct, ours: an added viewer costs 10.0 % of a core" in out.getvalue()
    assert result["direct"]["ours"][16]["of_stock"] == 1


async def test_what_was_measured_before_a_failure_is_shown_and_kept(tmp_path, monkeypatch, capsys):
    async def fail(_options, _console, result, _profiles):
        result["direct"] = {"stock": {1: row(12.5, 164.1), 2: row(24.5, 160.1)}, "ours": {1: row(5.5, 82.05)}}
        raise SystemExit("ours, 2 viewers: too busy")

    monkeypatch.setattr("bench.fanout.measure_all", fail)
    file = tmp_path / "figures.json"
    with pytest.raises(SystemExit, match="too busy"):
        await main(parse(["--json", str(file)]))
    assert json.loads(file.read_text())["direct"]["stock"]["2"]["us_a_packet"] == 160.1
    assert "82.05" in capsys.readouterr().out


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
