"""Small programs of the system, asked within a bound."""

import asyncio
import contextlib

LIMIT_S = 3.0
MAX_BYTES = 16 * 1024


async def output_of(*argv: str) -> str | None:
    """What it prints; None where it is not installed, fails, or says nothing in 3 s."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=MAX_BYTES,
        )
    except OSError:
        return None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            printed = await process.stdout.read(MAX_BYTES)
            code = await process.wait()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return printed.decode(errors="replace") if code == 0 else None
