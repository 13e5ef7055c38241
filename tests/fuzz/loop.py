"""An event loop for targets whose parser lives in one, and what must not happen on it."""

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_on_exception)
    return loop


_faults: list[BaseException] = []


def _on_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _faults.append(context.get("exception") or AssertionError(context["message"]))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it, then cancel every task it left. Raises what it raised, or what a task or callback did."""
    loop = _loop()
    _faults.clear()
    try:
        loop.run_until_complete(coroutine)
        loop.run_until_complete(asyncio.sleep(0))  # what was started meanwhile takes its first step
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        results = loop.run_until_complete(asyncio.gather(*left, return_exceptions=True)) if left else []
    cancelled = asyncio.CancelledError
    _faults.extend(r for r in results if isinstance(r, BaseException) and not isinstance(r, cancelled))
    if _faults:
        raise _faults[0]
