"""The machine: where everything is, what it was set to, files that survive a power cut, systemd."""

import contextlib
import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class ReleaseError(Exception):
    """Says what is wrong and, where it helps, what to do."""


@dataclass(frozen=True)
class Paths:
    """Where everything is; below another root in tests."""

    root: Path = Path("/")

    @property
    def home(self) -> Path:
        return self.root / "opt/pinhole"

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def incoming(self) -> Path:
        return self.home / "incoming"

    @property
    def manifest(self) -> Path:
        """Of the release that is coming in."""
        return self.incoming / "manifest.json"

    @property
    def signature(self) -> Path:
        return self.incoming / "manifest.json.sig"

    @property
    def current(self) -> Path:
        return self.home / "current"

    @property
    def state(self) -> Path:
        return self.home / "state.json"

    @property
    def state_copy(self) -> Path:
        return self.home / "state-copy.json"

    @property
    def mirror(self) -> Path:
        return self.home / "mirror.json"

    @property
    def run(self) -> Path:
        return self.root / "run/pinhole-release"

    @property
    def trial(self) -> Path:
        """While it is there, the agent captures a picture without a viewer."""
        return self.run / "trial"

    @property
    def settings(self) -> Path:
        return self.root / "etc/pinhole/release.json"


@dataclass(frozen=True)
class Settings:
    """/etc/pinhole/release.json."""

    profile: str
    unit: str
    config: str
    signers: str
    check: list[str]
    """Arguments to the new release's `pinhole` that check the settings before anything is switched."""
    status_file: str = ""
    """The agent's own word on how it is."""
    health_url: str = ""
    """The portal's."""
    url: str = ""
    """Where releases are pulled from; empty where they are only pushed."""
    ca_file: str = ""
    gate_s: float = 120.0
    keep: int = 3
    signatures: int = 1
    """By how many different keys of `signers` a release must be signed."""


def is_others(status: os.stat_result) -> bool:
    """Whether somebody else than root could have written it."""
    open_to_group = status.st_mode & 0o020 and status.st_gid != 0
    return bool(status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o002 or open_to_group)


def check_ours(path: Path) -> None:
    """Raises ReleaseError, OSError."""
    if is_others(path.stat()):
        mend = f"if it is as you left it: sudo chown root:root {path} && sudo chmod go-w {path}"
        raise ReleaseError(f"{path}: others than root could have written it: {mend}")


def close_folders(paths: Paths) -> None:
    """Nobody else writes where releases are kept. Raises ReleaseError where a folder is somebody else's."""
    for folder in (paths.home, paths.releases, paths.incoming):
        folder.mkdir(parents=True, exist_ok=True)
        status = folder.stat()
        if is_others(status) and status.st_uid in (0, os.geteuid()):
            folder.chmod(status.st_mode & 0o7755)
            print(f"pinhole-release: {folder}: others could write to it: they no longer can", file=sys.stderr)
        else:
            check_ours(folder)


def load_settings(paths: Paths) -> Settings:
    known = {field.name for field in dataclasses.fields(Settings)}
    try:
        check_ours(paths.settings)
        found = json.loads(paths.settings.read_text())
        settings = Settings(**{name: value for name, value in found.items() if name in known})
        if Path(settings.signers).exists():
            check_ours(Path(settings.signers))
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise ReleaseError(f"{paths.settings}: {exc}") from exc
    return settings


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """After a power cut there is the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def lock(paths: Paths, *, wait_s: float = 0.0) -> Iterator[None]:
    """One at a time. Raises ReleaseError."""
    paths.run.mkdir(parents=True, exist_ok=True)
    with (paths.run / "lock").open("a") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() >= deadline:
                    raise ReleaseError("another pinhole-release is at work on this machine") from exc
                time.sleep(0.1)
        yield


def current_version(paths: Paths) -> str | None:
    try:
        return paths.current.readlink().name
    except OSError:
        return None


def command(
    argv: list[str], *, ok: tuple[int, ...] = (0,), env: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, input=stdin)
    if done.returncode not in ok:
        raise ReleaseError(f"{' '.join(argv[:4])} …: {(done.stderr or done.stdout).strip()[-400:]}")
    return done


def systemctl(*arguments: str, check: bool = True) -> str:
    return command(["systemctl", *arguments], ok=(0,) if check else tuple(range(256))).stdout


def show(unit: str, *properties: str) -> dict[str, str]:
    lines = systemctl("show", unit, f"--property={','.join(properties)}").splitlines()
    return dict.fromkeys(properties, "") | dict(line.split("=", 1) for line in lines if "=" in line)
