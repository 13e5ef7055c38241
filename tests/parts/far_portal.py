"""A portal for a machine that is not this one and reaches it under another address, by https."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from parts.mosquitto import mosquitto
from parts.stack import ROOT, Stack, running_stack

PORTAL = """
cert_file = "{folder}/cert.pem"
key_file = "{folder}/key.pem"
broker_url = "{broker}"
"""
"""Reached by https, as devices ask for; it tells them where the broker is for them."""


@contextmanager
def far_portal(folder: Path, host: str) -> Iterator[Stack]:
    """`host` is this machine, as the other one sees it; `folder`/ca.pem proves the portal."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    server = ca.issue_cert("127.0.0.1", host)
    server.private_key_pem.write_to_path(folder / "key.pem")
    server.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    with mosquitto() as broker:
        url = broker.settings().url
        portal = PORTAL.format(folder=folder, broker=url.replace("127.0.0.1", host))
        with running_stack(f'url = "{url}"', portal=portal, ca_file=folder / "ca.pem", agent=False) as stack:
            yield stack


def claim(stack: Stack, device: str) -> str:
    """A claim code for it."""
    command = [sys.executable, "-m", "agent", "portal", "claim", "--device", device]
    result = subprocess.run(
        [*command, "--config", stack.folder / "pinhole.toml"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env=stack.env,
    )  # fmt: skip
    return result.stdout.strip()
