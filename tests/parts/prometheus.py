"""Debian's Prometheus, and its tool that judges what Prometheus is to read."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parts.need import need

PROGRAM, TOOL = shutil.which("prometheus"), shutil.which("promtool")


def promtool(*arguments: str, said: bytes = b"", cwd: Path | None = None) -> str:
    """All that it says; an AssertionError where it finds fault."""
    need(TOOL, "needs promtool: sudo apt-get install prometheus")
    ended = subprocess.run(
        [str(TOOL), *arguments],
        input=said,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    words = ended.stdout.decode()
    assert ended.returncode == 0, words
    return words


@contextmanager
def prometheus(folder: Path, configuration: str) -> Iterator[str]:
    """A running one; yields its URL."""
    need(PROGRAM, "needs prometheus: sudo apt-get install prometheus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "prometheus.yml").write_text(configuration)
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(PROGRAM),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()
