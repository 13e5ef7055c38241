"""Runs a program until it ends or a signal comes, and says on standard error what is wrong."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.model.tasks import give_up_later
from agent.model.text import LineFormatter, printable

if TYPE_CHECKING:
    from rich.console import Console

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NOISY = (
    "aioice",
    "aiortc",
    "alembic.runtime.plugins",
    "amqtt",
    "asyncio",
    "libav",
    "transitions",
    "websockets",
)
"""Libraries that tell at `info` what only their authors want to know."""


def log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(LOG_FORMAT, "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in NOISY if level != "debug" else ():
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


@contextmanager
def loading() -> Iterator[None]:
    """Import a program without collecting garbage, which finds none there and takes a tenth of its start.

    What is loaded by then stays: later collections pass it over and are short, and no viewer waits for them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def serve(program: Coroutine[Any, Any, None]) -> None:
    """Run until it ends, or INT, TERM or HUP cancels it; a second signal ends the process at once."""
    asyncio.run(_until_signal(program))


async def _until_signal(program: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(program, name="program")
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) asks to outlive the terminal
        signals.append(signal.SIGHUP)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        for number in signals:
            loop.remove_signal_handler(number)
        task.cancel()
        give_up_later()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


def console(*, stderr: bool = False, markup: bool = True, soft_wrap: bool = False) -> "Console":
    """Where to print; rich is imported for those who print alone: agent and portal do without."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False, markup=markup, soft_wrap=soft_wrap)


def fail(errors: Iterable[BaseException]) -> None:
    out = console(stderr=True, soft_wrap=True)
    for error in errors:
        out.print("[bold red]pinhole:[/]", end=" ")
        out.print(printable(str(error)), markup=False)
    sys.exit(1)
