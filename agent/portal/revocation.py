"""How a revocation reaches the broker: the list of revoked certificates, and a command that has it read."""

import asyncio
import time
from collections.abc import Collection, Sequence

from agent.config import PortalSettings
from agent.errors import PortalError
from agent.portal.authority import Authority
from agent.portal.claims import revoked_serials
from agent.portal.store import Store

COMMAND_TIMEOUT_S = 10.0


async def publish_revocations(
    store: Store, authority: Authority, settings: PortalSettings, kept_out: Collection[str] = ()
) -> None:
    """Write `portal.crl_file` and run `portal.crl_command`; with those devices that are kept out for now.

    Raises PortalError.
    """
    file = settings.crl_file
    if file is None:
        return
    serials = await store.run(lambda db: revoked_serials(db, time.time(), kept_out))
    try:
        await asyncio.to_thread(authority.write_revocations, file, serials)
    except OSError as exc:
        raise PortalError(f"portal.crl_file {file}: cannot write it: {exc.strerror}") from exc
    if settings.crl_command:
        await _run(settings.crl_command)


async def _run(command: Sequence[str]) -> None:
    shown = f"portal.crl_command {' '.join(command)}"
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as exc:
        raise PortalError(f"{shown}: {exc.strerror}") from exc
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            _, said = await process.communicate()
    except TimeoutError as exc:
        raise PortalError(f"{shown}: did not end in {COMMAND_TIMEOUT_S:g} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise PortalError(f"{shown}: exit code {process.returncode}: {said.decode(errors='replace')[-200:]}")
