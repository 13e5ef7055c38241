"""Requests to where a user says, and to nowhere inside: the one way of notifications to others by HTTP.

Whoever may add a channel chooses its address. So a name is looked up here, and every address that it has must
be public, at the moment of each connection; nothing is followed elsewhere (OWASP: server-side request
forgery).
"""

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from agent.errors import PortalError
from agent.model.text import printable

TIMEOUT_S = 15.0
MAX_URL_CHARS = 2000
MAX_WORDS_BYTES = 300
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in the last four bytes."""
_GLOBAL = ipaddress.ip_network("2000::/3")
"""All that is assigned (RFC 4291 section 2.4); Python calls public what it does not know to be special."""
_SPECIAL = tuple(map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Of these: Teredo and others (RFC 2928), documentation (RFC 3849, RFC 9637), 6to4 (RFC 7526: ended)."""
_RETRY_MOST_S = 3600.0


class ChannelError(PortalError):
    """A message was not taken, or an address cannot be one; in words for whoever owns the channel."""

    def __init__(
        self,
        words: str,
        *,
        retry_after_s: float | None = None,
        is_final: bool = False,
        is_gone: bool = False,
    ) -> None:
        super().__init__(words)
        self.retry_after_s, self.is_final, self.is_gone = retry_after_s, is_final, is_gone


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    words: str
    """The beginning of its body."""
    retry_after_s: float | None


def is_public(text: str) -> bool:
    """Whether an address is one of the internet's, however it is written."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
        if address not in _GLOBAL or any(address in special for special in _SPECIAL):
            return False
    return address.is_global and not address.is_multicast


class _PublicResolver(AbstractResolver):
    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not found or not all(is_public(one["host"]) for one in found):
            raise OSError(None, f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Outside:
    """Sends requests; belongs to one event loop."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    def check(self, url: str) -> str:
        """An address as it may be used; returns its host. Raises ChannelError, in words."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
            raise ChannelError("That is no address of a web server.", is_final=True)
        if parts.scheme != "https" and not (self._allow_private and parts.scheme == "http"):
            raise ChannelError("The address must begin with https://.", is_final=True)
        if parts.username is not None:
            raise ChannelError("The address must not hold a user name.", is_final=True)
        is_literal = host.replace(".", "").isdecimal() or ":" in host
        if not self._allow_private and (
            host == "localhost" or host.endswith(".localhost") or (is_literal and not is_public(host))
        ):
            raise ChannelError("The address must be a public one.", is_final=True)
        return host

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Ask, within 15 s, and follow nothing. Raises ChannelError where nobody answers."""
        self.check(url)
        try:
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as answer:
                words = printable((await answer.content.read(MAX_WORDS_BYTES)).decode(errors="replace"))
                return Answer(answer.status, " ".join(words.split()), _retry_after(answer.headers))
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as exc:
            raise ChannelError(f"It cannot be reached: {_reason(exc)}") from exc

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._allow_private else _PublicResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=32),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                trust_env=False,
                max_line_size=8190,
            )
        return self._session


def refused(answer: Answer, what: str) -> ChannelError:
    """Words for an answer that is none of success: what is asked wrongly is not asked again."""
    words = f"{what} answered {answer.status}{f': {answer.words}' if answer.words else ''}"
    is_final = 400 <= answer.status < 500 and answer.status not in (408, 425, 429)
    return ChannelError(words, retry_after_s=answer.retry_after_s, is_final=is_final)


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds, at most an hour; a date (RFC 9110 section 10.2.3) counts as none, for our own pauses do."""
    text = str(headers.get("Retry-After", ""))
    return min(float(text), _RETRY_MOST_S) if text.isascii() and text.isdecimal() else None


def _reason(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return " ".join(str(getattr(exc, "os_error", None) or exc).split())[:200] or type(exc).__name__
