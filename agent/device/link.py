"""Notices that this machine's addresses changed: another modem, another network, a lease that ran out."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

SETTLE_S = 0.3
"""A new link brings several changes in a row; they are one."""
POLL_S = 5.0
"""Where the kernel does not tell, and in case it told too early."""
# linux/rtnetlink.h: changes of links, and of addresses of both families
_GROUPS = 0x1 | 0x10 | 0x100
_MESSAGE_BYTES = 64 * 1024


class LinkMonitor:
    """Calls `on_change` with the new addresses when they are not the old ones."""

    def __init__(
        self, addresses: Callable[[], Sequence[str]], on_change: Callable[[list[str]], None]
    ) -> None:
        self._addresses = addresses
        self._on_change = on_change
        self._known = sorted(addresses())
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        with contextlib.ExitStack() as stack:
            if kernel := _open_netlink():
                stack.enter_context(kernel)
                loop = asyncio.get_running_loop()
                loop.add_reader(kernel, self._drain, kernel)
                stack.callback(loop.remove_reader, kernel)
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._told.wait()
                        await asyncio.sleep(SETTLE_S)
                self._told.clear()
                self.check()

    def check(self) -> None:
        """Compare once."""
        now = sorted(self._addresses())
        if now != self._known:
            log.info("addresses changed from %s to %s", self._known, now)
            self._known = now
            if now:  # without any there is nothing to tell, and nobody to tell it to
                self._on_change(now)

    def _drain(self, kernel: socket.socket) -> None:
        with contextlib.suppress(OSError):  # ENOBUFS: messages were lost, which is a change too
            kernel.recv(_MESSAGE_BYTES)
        self._told.set()


def _open_netlink() -> socket.socket | None:
    try:
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except (AttributeError, OSError) as exc:
        log.info("no netlink here (%s): addresses are looked at every %.0f s", exc, POLL_S)
        return None
    kernel.setblocking(False)
    kernel.bind((0, _GROUPS))
    return kernel
