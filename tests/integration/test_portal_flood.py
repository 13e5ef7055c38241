"""Whoever floods the portal's port without an account holds nobody else up, and ends nothing."""

import asyncio
import logging
import ssl
import time
import zlib
from collections import Counter

import aiohttp
import psutil
import pytest
import trustme
from parts.portal import PASSWORD, USER, portal
from sqlalchemy import func, select

from agent.portal import door, listener
from agent.portal.tables import Attempt

JSON = {"Content-Type": "application/json"}


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def silent(part, count, sent=b""):
    """Connections that say nothing, or not enough."""
    found = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        writer.write(sent)
        found.append((reader, writer))
    return found


async def close(connections):
    for _, writer in connections:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in connections), return_exceptions=True)


async def test_the_longest_silent_connection_gives_way_to_who_asks(monkeypatch):
    monkeypatch.setattr(door, "MAX_CONNECTIONS", 50)
    async with portal() as part, client() as http:
        body = {"user": USER, "password": PASSWORD}
        assert (await http.post(f"{part.url}/api/login", json=body)).status == 200
        async with http.ws_connect(f"{part.url}/api/ws") as ws:
            await ws.receive_json(timeout=60)
            flood = await silent(part, 200)
            async with client() as other:
                assert (await other.get(f"{part.url}/healthz")).status == 200
            ended = await asyncio.gather(
                *(reader.read(1) for reader, _ in flood[:140]), return_exceptions=True
            )
            assert all(one == b"" or isinstance(one, ConnectionError) for one in ended)
            await ws.send_json({"type": "ping"})
            assert (await ws.receive_json(timeout=60))["type"] == "pong", "who speaks is not ended"
            await close(flood)


async def test_bodies_that_do_not_come_hold_nobody_up(monkeypatch):
    monkeypatch.setattr(door, "MAX_CONNECTIONS", 50)
    head = b"POST /api/enter HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60\r\n"
    async with portal() as part, client() as http:
        flood = await silent(part, 100, head + b"\r\n{")
        answer = await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        assert answer.status == 200
        await close(flood)


async def test_a_flood_of_guesses_keeps_nobody_out_who_is_signed_in():
    body = {"user": "nobody", "password": "wrong-horse-battery"}
    async with portal() as part, client() as http, client() as attacker:
        await http.post(f"{part.url}/api/login", json={"user": USER, "password": PASSWORD})
        await http.get(f"{part.url}/api/session")

        async def guess(number):
            for _ in range(3):
                named = body | {"user": f"nobody-{number}"}
                async with attacker.post(f"{part.url}/api/login", json=named) as answer:
                    codes[answer.status] += 1

        codes = Counter()
        flood = [asyncio.create_task(guess(number)) for number in range(200)]
        while not all(task.done() for task in flood):
            answer = await http.get(f"{part.url}/api/session")
            assert answer.status == 200, "who is signed in is served"
        await asyncio.gather(*flood)
        assert codes.keys() <= {401, 429, 503}
        known = part.accounts.store.run_here(lambda db: db.scalar(select(func.count()).select_from(Attempt)))
        assert known <= codes[401] + 1, "guesses that are not heard fill no table"


async def test_a_body_without_a_sign_in_is_small():
    async with portal() as part, client() as http:
        for more in ({"data": b"x" * 10_000}, {"data": pieces()}):
            answer = await http.post(f"{part.url}/api/login", headers=JSON, **more)
            assert answer.status == 413


async def pieces():
    """A body whose length nobody says beforehand."""
    yield b"{"


async def test_whoever_begins_no_tls_gives_way_and_takes_little_memory(monkeypatch, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    monkeypatch.setattr(door, "MAX_CONNECTIONS", 400)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with portal(cert_file=tmp_path / "both.pem", key_file=tmp_path / "both.pem") as part:
        before = psutil.Process().memory_info().rss
        flood = await silent(part, 600)
        async with client() as http:
            assert (await http.get(f"{part.url}/healthz", ssl=trust)).status == 200
        assert (psutil.Process().memory_info().rss - before) / len(flood) < 150_000
        ended = await asyncio.gather(*(reader.read(1) for reader, _ in flood[:190]), return_exceptions=True)
        assert all(one == b"" or isinstance(one, ConnectionError) for one in ended)
        await close(flood)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a header"])
async def test_who_does_not_finish_asking_is_ended(monkeypatch, sent):
    monkeypatch.setattr(listener, "KEEPALIVE_S", 0.2)
    async with portal() as part:
        [(reader, _)] = flood = await silent(part, 1, sent)
        assert await asyncio.wait_for(reader.read(1), 15) == b""
        await close(flood)


async def test_a_compressed_body_is_refused_before_it_is_unpacked():
    bomb = zlib.compress(b"\0" * 200_000_000)
    async with portal() as part, client() as http:
        headers = {"Content-Type": "application/json", "Content-Encoding": "deflate"}
        for _ in range(5):
            answer = await http.post(f"{part.url}/api/login", data=bomb, headers=headers)
            assert answer.status == 415
            assert (await answer.json())["code"] == "compressed"


async def test_what_is_no_http_is_logged_in_one_line_a_second(caplog):
    caplog.set_level(logging.INFO)
    async with portal() as part:
        began_s = time.monotonic()
        flood = await silent(part, 40, b"GET / HTTP/1.1\r\nBad Header\x00: x\r\n\r\n")
        answers = await asyncio.gather(*(reader.readline() for reader, _ in flood))
        assert all(b"400" in answer for answer in answers)
        ended_s = time.monotonic()
        await close(flood)
    lines = [record for record in caplog.records if record.name in ("agent.portal.http", "aiohttp.server")]
    assert 1 <= len(lines) <= min(5 + ended_s - began_s, 20)
    assert not any(record.exc_info for record in lines)


def test_lines_that_were_not_said_are_counted():
    now = [0.0]
    once = door._OnceASecond(lambda: now[0])
    error = door.HttpProcessingError(code=400, message="no header")

    def said():
        record = logging.LogRecord(
            "x", logging.ERROR, "x.py", 1, "from %s", ("::1",), (type(error), error, None)
        )
        return record.getMessage() if once.filter(record) else None

    assert said() == "from ::1 (1 so far): no header"
    assert said() is said() is None
    now[0] += 1
    assert said() == "from ::1 (4 so far): no header"
