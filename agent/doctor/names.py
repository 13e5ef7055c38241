"""Names to addresses, with a bound that the system's resolver does not have."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agent.errors import PathError


def is_name(host: str) -> bool:
    """Whether this has to be looked up at all."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


async def look_up(host: str, getaddrinfo: Callable[..., Any] = socket.getaddrinfo) -> tuple[str, ...]:
    """A name's addresses in the order of preference (RFC 6724). Raises PathError; cancel it at any time.

    A dead name server holds its thread for a minute or so; a daemon's does not keep the process.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(addresses: tuple[str, ...], error: OSError | UnicodeError | None) -> None:
        if found.done():
            return
        if error:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def body() -> None:
        addresses: tuple[str, ...] = ()
        error = None
        try:
            infos = getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as exc:
            error = exc
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, error)

    threading.Thread(target=body, name=f"look up {host}", daemon=True).start()
    try:
        return await found
    except (OSError, UnicodeError) as exc:
        raise PathError(f"unknown host ({getattr(exc, 'strerror', None) or exc})") from exc
