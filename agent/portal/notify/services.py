"""ntfy, Telegram, Signal and others, by Apprise; for administrators. The only module that imports it.

An Apprise URL may read files and reach whatever this machine reaches: so only services of this list are let
through, without what has Apprise read a file, and only administrators add them.
"""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from agent.portal.notify.outside import ChannelError
from agent.portal.notify.words import Message

MAX_URL_CHARS = 1000
THREADS = 4
"""Apprise's requests have timeouts of their own, of four seconds each."""
SERVICES = frozenset(
    {
        "discord", "gotify", "gotifys", "hassio", "hassios", "matrix", "matrixs", "mmost", "mmosts", "ntfy",
        "ntfys", "opsgenie", "pagerduty", "pbul", "pover", "prowl", "rocket", "rockets", "signal", "signals",
        "slack", "tgram", "twilio", "wxteams", "zulip",
    }
)  # fmt: skip
_REFUSED = frozenset(
    {"template", "attach", "attachment", "config", "include", "avatar_url", "rto", "cto", "retry", "wait"}
)
"""What has files read, and what keeps a thread for longer than Apprise's own timeouts."""
_TYPES = {"error": "failure", "warning": "warning"}


class Services:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notification")

    @staticmethod
    def is_there() -> bool:
        """Whether Apprise is installed."""
        try:
            import apprise  # noqa: F401, PLC0415  an extra, and slow to load
        except ModuleNotFoundError:
            return False
        return True

    async def check(self, url: str) -> str:
        """Returns how it is shown, without its secrets. Raises ChannelError."""
        shown: str = await self._run(_shown, url)
        return shown

    async def send(self, url: str, message: Message, picture: bytes | None = None) -> None:
        """Raises ChannelError."""
        await self._run(_send, url, message, picture)

    async def _run(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Words(logging.Handler):
    """What Apprise says went wrong: it says so in its log alone, from the thread that asked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and len(self.words) < 3:
            self.words.append(record.getMessage())


def _parse(url: str) -> Any:
    scheme = url.partition("://")[0].lower()
    if len(url) > MAX_URL_CHARS or not url.isprintable() or scheme not in SERVICES:
        raise ChannelError(
            f"No such service: an address begins with one of {', '.join(sorted(SERVICES))} and ://.",
            is_final=True,
        )
    try:
        asked = {key.lower().strip(" +-:") for key, _ in parse_qsl(urlsplit(url).query)}
    except ValueError:
        asked = {"template"}
    if asked & _REFUSED:
        raise ChannelError(
            "The address must neither have files read nor say how long or how often to try.", is_final=True
        )
    try:
        import apprise  # noqa: PLC0415  an extra, and slow to load
    except ModuleNotFoundError as exc:
        raise ChannelError("The portal lacks Apprise: install pinhole[notify].", is_final=True) from exc
    found = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(secure_logging=True))
    if found is None:
        raise ChannelError("Apprise does not understand this address.", is_final=True)
    return found


def _shown(url: str) -> str:
    found = _parse(url)
    return f"{found.service_name}: {found.url(privacy=True).partition('?')[0]}"[:128]


def _send(url: str, message: Message, picture: bytes | None) -> None:
    service = _parse(url)
    from apprise import AppriseAttachment, NotifyType  # noqa: PLC0415  loaded by now
    from apprise.attachment.memory import AttachMemory  # noqa: PLC0415

    attach = None
    if picture:
        attach = AppriseAttachment()
        memory: Any = AttachMemory
        attach.add(memory(content=picture, name="still.jpg", mimetype="image/jpeg"))
    body = "\n".join(filter(None, (message.body, message.url)))
    words, log = _Words(), logging.getLogger("apprise")
    log.addHandler(words)
    try:
        kind = NotifyType(_TYPES.get(message.severity, "info"))
        is_told = service.notify(
            body=body or message.title, title=message.title, notify_type=kind, attach=attach
        )
    finally:
        log.removeHandler(words)
    if not is_told:
        raise ChannelError(" ".join(" ".join(words.words).split())[:250] or "The service did not take it.")
