"""A real OpenID Connect provider: django-oauth-toolkit behind Django's own sign-in page, as a process."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CLIENT_ID, CLIENT_SECRET = "pinhole", "a secret between the two"
PASSWORD = "provider-password"
START_TIMEOUT_S = 60.0


@dataclass
class Provider:
    """A running provider with the users `cy@firm.test`, and `un@firm.test` whose address nobody verified."""

    issuer: str


@contextmanager
def provider(redirect_uri: str) -> Iterator[Provider]:
    """Start it and wait until it answers; it knows one client, which must use PKCE."""
    pytest.importorskip("oauth2_provider", reason="needs django-oauth-toolkit: scripts/env test")
    with tempfile.TemporaryDirectory(prefix="pinhole-oidc-") as folder:
        port = _free_port()
        environment = os.environ | {
            "OIDC_FOLDER": folder,
            "OIDC_PORT": str(port),
            "OIDC_REDIRECT": redirect_uri,
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "parts.oidc_server"], env=environment, stdout=output, stderr=output
            )
        try:
            issuer = f"http://127.0.0.1:{port}/o"
            _await(f"{issuer}/.well-known/openid-configuration", process, log)
            yield Provider(issuer)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the provider did not start:\n{log.read_text()}")
