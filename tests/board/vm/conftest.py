"""One boot for all: Debian's kernel, our rootfs, a release, and the hardware that a kernel can play."""

import pytest
from board.vm import brought, machine, system


@pytest.fixture(scope="session")
def board(tmp_path_factory):
    """Booted, with the settings of the system as the role firmware leaves them."""
    system.need_tools()
    made = system.made()
    folder = tmp_path_factory.mktemp("board")
    with machine.boot(made, brought.make(folder), folder) as one:
        one.run("systemd-sysusers && systemd-tmpfiles --create pinhole.conf && systemctl daemon-reload")
        yield one
