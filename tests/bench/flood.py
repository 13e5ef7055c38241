"""What one client waits for /healthz while another floods the portal without an account; loopback only."""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import socket
import time
import zlib

import aiohttp
from bench.arguments import add_json, none_or_more
from dashboard import summary
from parts.portal import portal
from rich.console import Console
from rich.table import Table

CALM_S, FLOOD_S, PAUSE_S = 3.0, 15.0, 0.02
BOMB = zlib.compress(b"\0" * 200_000_000)
"""194 kB."""
HEAD = (
    "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Content-Encoding: deflate\r\nContent-Length: {len(BOMB)}\r\n\r\n"
).encode()


def serve(pipe):
    """The portal, in a process of its own, until it is told to stop."""

    async def run():
        async with portal() as part:
            pipe.send(part.port)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


def attack(port, connections, bodies):
    """Open silent connections, send compressed bodies among them, and hold all for a while."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def send_body():
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + BOMB)
            await reader.read(64)
            writer.close()

    async def run():
        ends_s = time.monotonic() + FLOOD_S
        held = []
        for number in range(connections):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
            held.append(one)
            if number % 50 == 0:
                await asyncio.sleep(0.02)
        for _ in range(10):
            await asyncio.gather(*(send_body() for _ in range(bodies // 10)))
        await asyncio.sleep(max(0.0, ends_s - time.monotonic()))

    asyncio.run(run())


async def waits(port, seconds):
    """Milliseconds of each request, every one over a connection of its own."""
    found, ends_s = [], time.monotonic() + seconds
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        while time.monotonic() < ends_s:
            began_s = time.monotonic()
            async with http.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
            found.append((time.monotonic() - began_s) * 1000)
            await asyncio.sleep(PAUSE_S)
    return summary(found)


def main(connections, bodies, json_file):
    fork = multiprocessing.get_context("fork")
    pipe, theirs = fork.Pipe()
    server = fork.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = pipe.recv()
    calm = asyncio.run(waits(port, CALM_S))
    attacker = fork.Process(target=attack, args=(port, connections, bodies), daemon=True)
    attacker.start()
    flooded = asyncio.run(waits(port, FLOOD_S))
    attacker.join()
    result = {"calm": calm, f"{connections} connections, {bodies} compressed bodies": flooded}
    assert attacker.exitcode == 0
    pipe.send("stop")
    server.join()
    table = Table("/healthz, in ms", "n", "p50", "p95")
    for name, row in result.items():
        table.add_row(name, str(row["n"]), str(row["p50"]), str(row["p95"]))
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench flood", description=__doc__)
    parser.add_argument("--connections", type=none_or_more, default=10_000)
    parser.add_argument("--bodies", type=none_or_more, default=100)
    add_json(parser)
    arguments = parser.parse_args()
    main(arguments.connections, arguments.bodies, arguments.json)
