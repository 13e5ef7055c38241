"""Against real sockets: what aiohttp says of each fault differs with its version and Python's."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme

from agent.model.network_fault import network_fault


@asynccontextmanager
async def server(tls=None):
    async def serve(reader, writer):
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def fault_of(url, tls=None):
    async with aiohttp.ClientSession() as http:
        with pytest.raises((aiohttp.ClientError, OSError)) as error:
            await http.get(url, ssl=tls or ssl.create_default_context())
    return network_fault(error.value)


async def test_nobody_listens():
    async with server() as port:
        pass
    assert await fault_of(f"https://127.0.0.1:{port}") == "Connection refused"


async def test_plain_http_where_tls_was_meant():
    async with server() as port:
        words = await fault_of(f"https://127.0.0.1:{port}")
    assert words.startswith("no TLS there (")
    assert "_ssl.c" not in words


@pytest.mark.parametrize("name", ["another", "untrusted"])
async def test_a_certificate_that_proves_nothing(name):
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("camera.example.org").configure_cert(context)
    mine = ssl.create_default_context()
    if name == "another":
        authority.configure_trust(mine)
    async with server(context) as port:
        words = await fault_of(f"https://127.0.0.1:{port}", mine)
    assert words.startswith("its certificate is not trusted (")
    assert "_ssl.c" not in words
    assert "SSLContext" not in words


def test_an_error_without_words_has_some():
    assert network_fault(ConnectionResetError()) == "the connection was closed"
    assert network_fault(LookupError()) == "LookupError"
    assert network_fault(aiohttp.ServerDisconnectedError()) == "Server disconnected"
