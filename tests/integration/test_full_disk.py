"""A portal whose disk is full, on a small file system of its own: who is in stays in, and others come in."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import aiohttp
import aiohttp.web
import pytest
from parts.need import need
from parts.portal import PASSWORD, USER, add_user

from agent.client.session import PortalClient, SignIn
from agent.errors import PortalError
from agent.portal.store import StoreError

ROOT = __file__.rpartition("/tests/")[0]
SIZE_MIB = 24


@pytest.fixture
def disk(tmp_path):
    """A file system in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "pinhole-test", folder]
    need(
        os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0,
        "needs to mount a small file system: run as root",
    )
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder):
    with (folder / "filling").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@contextmanager
def portal(folder):
    """The real program, and its log, which is on another disk."""
    config = folder / "pinhole.toml"
    config.write_text('[broker]\nurl = "mqtt://127.0.0.1:9"\n[portal]\nport = 0\n')
    add_user(config)
    log = folder.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "portal", "--config", config],
            cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(15)


async def until(seen, timeout_s=60.0):
    """What `seen` gives, once it is true."""
    async with asyncio.timeout(timeout_s):
        while not (found := await seen()):
            await asyncio.sleep(0.1)
    return found


async def test_a_full_disk_shuts_nobody_out(disk):
    with portal(disk) as (process, log):

        async def url():
            assert process.poll() is None, log.read_text()
            return log.read_text().partition("dashboard at ")[2].partition("\n")[0]

        base = await until(url)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:

            async def health():
                async with http.get(f"{base}/healthz") as answer:
                    return await answer.json()

            async def is_full():
                return (await health())["disk_full"]

            async def has_room_again():
                return not await is_full()

            async def keeps_room():
                file = disk / "portal.db-wal"
                return file.exists() and file.stat().st_size > 2 << 20

            assert await has_room_again()
            await until(keeps_room)
            async with PortalClient.connect(base, SignIn(USER, PASSWORD)) as watching:
                fill(disk)
                await until(is_full)
                for _ in range(20):
                    async with PortalClient.connect(base, SignIn(USER, PASSWORD)) as client:
                        assert client.hello
                async with http.post(
                    f"{base}/api/login", json={"user": USER, "password": PASSWORD}
                ) as answer:
                    assert answer.status == 200, await answer.text()
                await watching.send({"type": "offer", "session": "a" * 32, "device": "front", "sdp": "v=0"})
                assert (await watching.receive()).type == "reject", "the WebSocket lives"

            async def is_told():
                return "disk is full: sign-ins go on" in log.read_text()

            await until(is_told)  # its room is looked at every ten seconds; what finds none may be a write
            (disk / "filling").unlink()
            await until(has_room_again)
            said = log.read_text()
            assert "Traceback" not in said
            assert "Logging error" not in said
            assert said.count("disk is full: sign-ins go on") == 1

            async def audited():
                async with http.get(f"{base}/api/audit?limit=500") as answer:
                    rows = (await answer.json())["entries"]
                return sum(row["action"] == "sign-in" for row in rows) >= 22

            await until(audited)
            await http.post(f"{base}/api/logout", json={})

            async def in_file():
                return '"sign-out"' in (disk / "portal-audit.jsonl").read_text().rpartition("\n{")[2]

            await until(in_file)
    lines = (disk / "portal-audit.jsonl").read_text().splitlines()
    broken = [line for line in lines if line and not line.endswith("}")]
    assert len(broken) <= 1, "half a line at most, where the disk had room for no more"
    noted = [json.loads(line)["action"] for line in lines if line and line not in broken]
    assert noted.count("sign-in") >= 22, "the file, too, has what was done while its disk was full"


def test_a_command_on_a_full_disk_says_so(disk):
    config = disk / "pinhole.toml"
    config.touch()
    add_user(config)
    fill(disk)
    with pytest.raises(StoreError, match="its disk is full: make room"):
        add_user(config)


async def test_watch_repeats_the_portals_own_words():
    words = "The portal's disk is full: its administrator must make room."

    async def refuse(_request):
        return aiohttp.web.json_response({"code": "disk-full", "message": words}, status=503)

    app = aiohttp.web.Application()
    app.router.add_post("/api/login", refuse)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    try:
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        with pytest.raises(PortalError) as caught:
            async with PortalClient.connect(url, SignIn("ann", "x")):
                pass
    finally:
        await runner.cleanup()
    assert str(caught.value) == f"the portal says: {words}"
