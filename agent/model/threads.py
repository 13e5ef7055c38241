"""Calls that may block, or hang for good, in threads that do not keep the process."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from agent.errors import PinholeError

T = TypeVar("T")

SAVE_S = 20.0
"""For what must be on disk before it counts: a worn card takes seconds, and a dead one never answers."""
MAX_LEFT = 8
"""Threads of one name that may be left behind: who tries again meets what is whole again, within a bound."""
_left: Counter[str] = Counter()
_lock = threading.Lock()


class HungCallError(PinholeError):
    """A call did not return in time; its thread is left behind."""


async def call_in_thread(name: str, limit_s: float, call: Callable[[], T]) -> T:
    """Run a call that may block in a daemon thread, so that one that hangs does not keep the process.

    Raises HungCallError after `limit_s`, and at once while `MAX_LEFT` of that name hang; and what the call
    raises.
    """
    if _left[name] >= MAX_LEFT:
        raise HungCallError(
            f"{name}: {MAX_LEFT} calls have not returned, so no more are tried until one does"
        )
    is_over = is_left = False
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T may be None

    def body() -> None:
        nonlocal is_over
        result, error = None, None
        try:
            result = call()
        except BaseException as exc:  # noqa: BLE001  # it is raised in the loop
            error = exc
        with _lock:
            is_over = True
            _left[name] -= is_left
        call_soon(loop, settle, result, error)

    threading.Thread(target=body, name=name, daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            return await done
    except (TimeoutError, asyncio.CancelledError) as exc:
        if done.done() and not done.cancelled():
            raise
        with _lock:
            is_left = not is_over
            _left[name] += is_left
        if isinstance(exc, asyncio.CancelledError):
            raise
        raise HungCallError(f"{name} did not return within {limit_s:g} s") from exc


async def save_in_thread(name: str, save: Callable[[], bool]) -> bool:
    """What `save` says of the disk: whether it has what must be kept; False where it never answers."""
    try:
        return await call_in_thread(name, SAVE_S, save)
    except HungCallError:
        return False


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    """`call_soon_threadsafe` from a thread that may outlive the loop."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, *args)


def in_background(work: Callable[[], None]) -> object:
    """Do it in a thread of the loop's own; nobody waits for it."""
    return asyncio.get_running_loop().run_in_executor(None, work)
