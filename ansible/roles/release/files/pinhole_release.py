#!/usr/bin/python3
"""pinhole-release: install, try, keep and give back releases of Pinhole on this machine.

One program for both ways a release arrives: Ansible pushes the files and calls it, or a timer pulls them.
It needs Python's standard library, ssh-keygen and systemd.

A release is built in place, because an environment cannot be moved. What the last releases already hold is
linked from them: neither fetched, nor unpacked, nor stored again. A new release is on trial until it is
healthy (unit ready, broker reached, pictures captured with a keyframe when one was asked for, and confirmed
from outside where that was asked for).
Whatever else happens, a crash, silence, a power cut or a lost connection, ends at the last good release.

    /opt/pinhole/current -> releases/<version>       switched by one rename(2)
    /opt/pinhole/releases/<version>/                 the environment; release.json in it is written last
    /opt/pinhole/incoming/                           files on their way in
    /opt/pinhole/state.json                          which are good, what is on trial, what was given back
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from pathlib import Path
from typing import IO, Any

NAMESPACE = "pinhole-release"
"""Of the signature (ssh-keygen(1), -Y sign), so that a key's other signatures mean nothing here."""
FORMAT = 1
MAX_MANIFEST_BYTES = 256 * 1024
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_PARCEL_BYTES = MAX_FILE_BYTES + 1024 * 1024
MAX_RETURNS = 3
"""A release that was given back this often is not tried again by itself."""
BY_HAND = "rolled back by hand"
MAX_HISTORY = 20
MAX_RESTARTS = 4
"""A unit that was started again this often is not waited for any longer."""
SETTLE_S = 5.0
"""How long a release must stay healthy before it is believed."""
POLL_S = 0.5
NETWORK_TIMEOUT_S = 60.0
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
FILE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,199}")
SYSTEM_PATHS = re.compile(r"/etc/systemd/system/pinhole[a-z-]*\.service|/usr/local/sbin/pinhole-release")
"""Where a release may write outside of its folder."""


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


@dataclass
class State:
    """state.json: survives a power cut because it is written beside, synced, and renamed."""

    good: list[str] = field(default_factory=list)
    """Newest first."""
    trial: dict[str, Any] | None = None
    """version, previous, since, stage (`starting`, `healthy`), needs_confirmation."""
    given_back: list[dict[str, Any]] = field(default_factory=list)
    """version, reason, at, serial; newest first."""
    serial: int = 0
    """The highest that was ever installed: an older signed release cannot be played back."""


def load_settings(paths: Paths) -> Settings:
    try:
        return Settings(**json.loads(paths.settings.read_text()))
    except (OSError, ValueError, TypeError) as exc:
        raise ReleaseError(f"{paths.settings}: {exc}") from exc


def load_state(paths: Paths) -> State:
    try:
        return State(**json.loads(paths.state.read_text()))
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError) as exc:
        raise ReleaseError(f"{paths.state}: {exc}") from exc


def save_state(paths: Paths, state: State) -> None:
    write_atomically(paths.state, json.dumps(vars(state), indent=1).encode(), 0o644)


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """After a power cut there is the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
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


# --- what a release says of itself


def parse_manifest(data: bytes) -> dict[str, Any]:
    """Take a manifest apart. Raises ReleaseError; only call it on what was verified, or will be."""
    try:
        manifest = json.loads(data)
        if manifest["format"] != FORMAT:
            raise ReleaseError(
                f"this release has format {manifest['format']!r}: update pinhole-release first"
            )
        if not VERSION.fullmatch(manifest["version"]) or not isinstance(manifest["serial"], int):
            raise ReleaseError("the manifest's version or serial is malformed")
        for name, info in manifest["files"].items():
            bytes.fromhex(info["sha256"])
            if not FILE.fullmatch(name) or not 0 <= info["size"] <= MAX_FILE_BYTES:
                raise ReleaseError(f"the manifest's file {name!r:.80} is malformed")
        for names in manifest["targets"].values():
            if not set(names) <= set(manifest["files"]):
                raise ReleaseError("the manifest's targets name files that it does not list")
        for system in manifest["system"]:
            if system["file"] not in manifest["files"] or not SYSTEM_PATHS.fullmatch(system["path"]):
                raise ReleaseError(f"a release may not write {system['path']!r:.80}")
    except ReleaseError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ReleaseError(f"the manifest is malformed: {exc!r}") from exc
    return dict(manifest)


def target_of(settings: Settings) -> str:
    return f"{settings.profile}/{platform.machine()}/cp{sys.version_info[0]}{sys.version_info[1]}"


def wheels_of(manifest: dict[str, Any], settings: Settings) -> list[str]:
    target = target_of(settings)
    if target not in manifest["targets"]:
        known = ", ".join(sorted(manifest["targets"]))
        raise ReleaseError(f"release {manifest['version']} has nothing for {target}, only for {known}")
    return list(manifest["targets"][target])


def verify(paths: Paths, settings: Settings) -> dict[str, Any]:
    """The manifest, once its signature is by a key that this machine trusts. Raises ReleaseError."""
    try:
        data = paths.manifest.read_bytes()
    except FileNotFoundError as exc:
        raise ReleaseError(f"{paths.manifest} is missing: send a release first") from exc
    if len(data) > MAX_MANIFEST_BYTES:
        raise ReleaseError("the manifest is too large")
    done = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", settings.signers, "-I", NAMESPACE, "-n", NAMESPACE,
         "-s", str(paths.signature)],
        input=data, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise ReleaseError(
            f"bad signature: not by a key in {settings.signers} ({said[-1] if said else 'no word why'})"
        )
    return parse_manifest(data)


def installed(paths: Paths) -> dict[str, dict[str, Any]]:
    """Every release that is whole, by version: its release.json."""
    found = {}
    for marker in sorted(paths.releases.glob("*/release.json")):
        with contextlib.suppress(OSError, ValueError):
            found[marker.parent.name] = json.loads(marker.read_text())
    return found


def missing(paths: Paths, settings: Settings, manifest: dict[str, Any]) -> list[str]:
    """Names of the files that this machine needs and has not got."""
    have = {digest for release in installed(paths).values() for digest in release["wheels"].values()}
    files = manifest["files"]
    wanted = [name for name in wheels_of(manifest, settings) if files[name]["sha256"] not in have]
    if manifest["version"] in installed(paths):
        wanted = []
    else:
        wanted += [system["file"] for system in manifest["system"]]
    return [name for name in wanted if not is_whole(paths.incoming / name, files[name])]


def is_whole(path: Path, info: dict[str, Any]) -> bool:
    try:
        if path.stat().st_size != info["size"]:
            return False
    except FileNotFoundError:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == info["sha256"]


# --- building one


def install(paths: Paths, settings: Settings, manifest: dict[str, Any]) -> bool:
    """Build the release's environment; False where it is there already. Raises ReleaseError."""
    version, state = manifest["version"], load_state(paths)
    if version in installed(paths):
        if installed(paths)[version]["serial"] != manifest["serial"]:
            raise ReleaseError(
                f"another build of {version} is installed: give the new one a version of its own"
            )
        return False
    if manifest["serial"] < state.serial:
        raise ReleaseError(
            f"release {version} is older than one that was here before: sign it again to go back"
        )
    if lacking := missing(paths, settings, manifest):
        raise ReleaseError(f"{len(lacking)} files are missing in {paths.incoming}, the first is {lacking[0]}")
    folder = paths.releases / version
    shutil.rmtree(folder, ignore_errors=True)  # a build that was cut short
    folder.mkdir(parents=True)
    try:
        build(paths, settings, manifest, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    state.serial = manifest["serial"]
    save_state(paths, state)
    for file in paths.incoming.iterdir():
        file.unlink()
    return True


def build(paths: Paths, settings: Settings, manifest: dict[str, Any], folder: Path) -> None:
    names = wheels_of(manifest, settings)
    # picamera2 comes by apt, today or later, and works with the system's Python alone. Wheels go before it.
    share = ["--system-site-packages"] if settings.profile == "device" else []
    command([sys.executable, "-m", "venv", "--without-pip", *share, str(folder)])
    site = next(folder.glob("lib/python*/site-packages"))
    donors = {
        digest: paths.releases / version
        for version, release in installed(paths).items()
        if release["python"] == platform.python_version_tuple()[1]
        for digest in release["wheels"].values()
    }
    new = []
    for name in names:
        donor = donors.get(manifest["files"][name]["sha256"])
        if donor is None or not link_wheel(name, donor, folder):
            new.append(str(paths.incoming / name))
    if lacking := [name for name in new if not Path(name).exists()]:
        raise ReleaseError(f"{lacking[0]} cannot be taken from an older release: send it again")
    if new:
        pip_install(folder, new)
    # The agent cannot write its own folder. Unchecked and with the path of `current`, the same source gives
    # the same bytes in every release; what was linked has come with them, and compileall would make it anew.
    sources = [str(file) for file in site.rglob("*.py") if not Path(cache_from_source(str(file))).exists()]
    if sources:
        command([str(folder / "bin/python"), "-m", "compileall", "-q", "--invalidation-mode",
                 "unchecked-hash", "-s", str(folder), "-p", str(paths.current), "-i", "-"],
                ok=(0, 1), stdin="\n".join(sources))  # fmt: skip
    (folder / "system").mkdir()
    for system in manifest["system"]:
        shutil.copyfile(paths.incoming / system["file"], folder / "system" / system["file"])
    os.sync()
    marker = {
        "version": manifest["version"],
        "serial": manifest["serial"],
        "python": platform.python_version_tuple()[1],
        "wheels": {name: manifest["files"][name]["sha256"] for name in names},
        "system": manifest["system"],
    }
    write_atomically(folder / "release.json", json.dumps(marker, indent=1).encode(), 0o644)


def pip_install(folder: Path, wheels: list[str]) -> None:
    """With the pip that Debian's python3-venv brings, so that no release carries one."""
    pips = sorted(map(str, Path("/usr/share/python-wheels").glob("pip-*.whl")))
    if not pips:
        raise ReleaseError("pip is missing: apt-get install python3-venv")
    command(
        [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
         "--no-compile", "--ignore-installed", "--disable-pip-version-check", "--no-input", "--no-cache-dir",
         *wheels],
        env=os.environ | {"PYTHONPATH": pips[-1], "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip


def link_wheel(name: str, donor: Path, folder: Path) -> bool:
    """Link a wheel's files from another release; False where it is not to be had like that."""
    source, target = (next(path.glob("lib/python*/site-packages")) for path in (donor, folder))
    info = dist_info(name, source)
    if info is None:
        return False
    lines = (info / "RECORD").read_text().splitlines()
    relative = [Path(line.split(",")[0].strip('"')) for line in lines]
    files = [path for path in relative if ".." not in path.parts and not path.is_absolute()]
    if any(path.parts[-2:-1] == ("bin",) and path.name == "pinhole" for path in relative):
        return False  # its script names the folder that it is in: our own wheel is small, and built anew
    for path in files:
        if not (source / path).is_file():
            return False
    for path in files:
        for file in (path, Path(cache_from_source(str(path)))):
            if (source / file).is_file():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                (target / file).unlink(missing_ok=True)
                os.link(source / file, target / file)
    return True


def dist_info(wheel: str, site: Path) -> Path | None:
    """PEP 427: a wheel's name begins with the distribution and its version, as its dist-info does."""
    distribution, version = wheel.split("-")[:2]
    wanted = f"{distribution}-{version}.dist-info".lower()
    return next((path for path in site.glob("*.dist-info") if path.name.lower() == wanted), None)


# --- trying one


def activate(paths: Paths, settings: Settings, version: str, *, needs_confirmation: bool) -> bool:
    """Begin a trial and see it through, or up to the confirmation; False where the release is in use.

    The trial itself is a service: it ends well also where the caller is gone. Raises ReleaseError.
    """
    with lock(paths):
        state = load_state(paths)
        if state.trial:
            raise ReleaseError(f"release {state.trial['version']} is on trial: wait for its end")
        if version not in installed(paths):
            raise ReleaseError(f"release {version} is not installed")
        if current_version(paths) == version and version in state.good:
            return False
        check_settings(paths, settings, version)
        state.trial = {
            "version": version,
            "previous": current_version(paths),
            "since": time.time(),
            "stage": "starting",
            "needs_confirmation": needs_confirmation,
        }
        save_state(paths, state)
        for name in ("confirmed", "refused"):
            (paths.run / name).unlink(missing_ok=True)
        systemctl("start", "--no-block", "pinhole-release-trial.service")
    deadline = time.monotonic() + settings.gate_s + 120
    while time.monotonic() < deadline:
        state = load_state(paths)
        if state.trial is None or state.trial["version"] != version:
            break
        if needs_confirmation and state.trial["stage"] == "healthy":
            return True
        time.sleep(POLL_S)
    else:
        raise ReleaseError("the trial does not end: see `journalctl -u pinhole-release-trial`")
    return expect_good(state, version)


def adopt(paths: Paths) -> bool:
    """Where an image is made, and nothing can be tried: what was installed is the first good release."""
    versions = list(installed(paths))
    if current_version(paths) or len(versions) != 1:
        raise ReleaseError("only the first release of a machine is taken without a trial")
    [version] = versions
    for at in ("activation", "end"):
        install_system(paths, version, at=at)
    point_current(paths, version)
    state = load_state(paths)
    state.good = [version]
    save_state(paths, state)
    return True


def expect_good(state: State, version: str) -> bool:
    if version in state.good:
        return True
    reason = next((entry["reason"] for entry in state.given_back if entry["version"] == version), "unknown")
    raise ReleaseError(f"release {version} was given back: {reason}")


def confirm(paths: Paths, settings: Settings, version: str, refusal: str = "") -> bool:
    """Somebody outside has seen its pictures, or has not; waits for the trial's end. Raises ReleaseError."""
    state = load_state(paths)
    if state.trial is None or state.trial["version"] != version:
        return expect_good(state, version)
    name, text = ("refused", refusal) if refusal else ("confirmed", version)
    write_atomically(paths.run / name, text.encode(), 0o600)
    deadline = time.monotonic() + settings.gate_s + 60
    while (state := load_state(paths)).trial and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return True if refusal else expect_good(state, version)


def check_settings(paths: Paths, settings: Settings, version: str) -> None:
    """A release that cannot read this machine's settings is never started."""
    pinhole = paths.releases / version / "bin/pinhole"
    done = subprocess.run(
        [pinhole, *settings.check], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()
        message = f"its check of the settings fails: {' '.join(words[-3:])[:300]}"
        state = load_state(paths)
        note_return(state, version, message, installed(paths)[version]["serial"])
        save_state(paths, state)
        raise ReleaseError(f"release {version} was given back: {message}")


def run_trial(paths: Paths, settings: Settings) -> bool:
    """The body of the service: switch, watch, keep or give back. True where it was kept."""
    with lock(paths, wait_s=30):
        state = load_state(paths)
        if state.trial is None:
            return True
        trial = state.trial
        paths.trial.touch()
        try:
            switch(paths, settings, trial["version"])
            reason = watch(paths, settings, state)
        finally:
            paths.trial.unlink(missing_ok=True)
        if reason:
            give_back(paths, settings, state, reason)
        else:
            keep(paths, settings, state)
        return not reason


def watch(paths: Paths, settings: Settings, state: State) -> str:
    """Wait until the release on trial has proven itself; else why it has not."""
    assert state.trial
    deadline = time.monotonic() + settings.gate_s
    healthy_since: float | None = None
    reason = "it did not start"
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        if (paths.run / "refused").exists():
            return (paths.run / "refused").read_text()[:400] or "refused from outside"
        reason, hopeless = examine(settings, state.trial["version"])
        if hopeless:
            return reason
        if reason:
            healthy_since = None
            continue
        healthy_since = healthy_since or time.monotonic()
        if time.monotonic() - healthy_since < SETTLE_S:
            continue
        if not state.trial["needs_confirmation"] or (paths.run / "confirmed").exists():
            return ""
        if state.trial["stage"] != "healthy":
            state.trial["stage"] = "healthy"
            save_state(paths, state)
        reason = "healthy here, but nobody confirmed that its pictures arrive"
    return f"{reason} within {settings.gate_s:.0f} s"


def examine(settings: Settings, version: str) -> tuple[str, bool]:
    """What is not well yet, and whether waiting is in vain."""
    shown = show(settings.unit, "ActiveState", "MainPID", "NRestarts", "Result", "StatusText")
    restarts = int(shown.get("NRestarts") or 0)
    if shown["ActiveState"] == "failed" or restarts >= MAX_RESTARTS:
        return f"it ended {restarts + 1} times ({shown['Result']}): {last_words(settings.unit)}", True
    if shown["ActiveState"] != "active":
        return f"the unit is {shown['ActiveState']}, not active", False
    if settings.health_url:
        return ask_health(settings.health_url, version), False
    try:
        status = json.loads(Path(settings.status_file).read_text())
    except (OSError, ValueError):
        return "the agent has not said how it is", False
    if str(status.get("pid")) != shown["MainPID"] or status.get("version") != version:
        return "the agent of this release has not said how it is", False
    words = f" ({shown['StatusText']})" if shown.get("StatusText") else ""
    if not status.get("broker"):
        return f"it did not reach the broker{words}", False
    if not status.get("frames"):
        return f"{status.get('lacks') or 'it did not capture a picture'}{words}", False
    return "", False


def ask_health(url: str, version: str) -> str:
    try:
        # The portal of this machine: its certificate is for the name that browsers use.
        context = ssl._create_unverified_context()  # noqa: SLF001
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            body = json.loads(answer.read(4096))
    except (OSError, ValueError) as exc:
        return f"{url} does not answer well: {exc}"
    return "" if body.get("version") == version else f"{url} answers for release {body.get('version')}"


def switch(paths: Paths, settings: Settings, version: str) -> None:
    """Make a release the current one, with the units it brings, and start it."""
    install_system(paths, version, at="activation")
    point_current(paths, version)
    systemctl("daemon-reload")
    systemctl("reset-failed", settings.unit, check=False)
    systemctl("restart", "--no-block", settings.unit)


def point_current(paths: Paths, version: str) -> None:
    part = paths.home / ".current.part"
    part.unlink(missing_ok=True)
    part.symlink_to(Path("releases") / version)
    part.replace(paths.current)
    sync_folder(paths.home)


def install_system(paths: Paths, version: str, *, at: str) -> None:
    """The unit changes with the release; what runs this trial changes only once the release is good."""
    folder = paths.releases / version
    for system in json.loads((folder / "release.json").read_text())["system"]:
        target = paths.root / system["path"].lstrip("/")
        is_unit = target.suffix == ".service"
        data = (folder / "system" / system["file"]).read_bytes()
        if is_unit == (at == "activation") and (not target.exists() or target.read_bytes() != data):
            write_atomically(target, data, 0o644 if is_unit else 0o755)


def keep(paths: Paths, settings: Settings, state: State) -> None:
    assert state.trial
    version = state.trial["version"]
    state.good = [version, *(other for other in state.good if other != version)]
    state.trial = None
    install_system(paths, version, at="end")
    prune(paths, settings, state)
    save_state(paths, state)
    print(f"release {version} is good")


def give_back(paths: Paths, settings: Settings, state: State, reason: str) -> None:
    """Return to the last good release, and remember why."""
    assert state.trial
    version = state.trial["version"]
    release = installed(paths).get(version, {})
    note_return(state, version, reason, release.get("serial", 0))
    state.trial = None
    state.good = [other for other in state.good if other != version]
    good = next((other for other in state.good if other != version and other in installed(paths)), None)
    if good:
        switch(paths, settings, good)
    else:
        paths.current.unlink(missing_ok=True)
        systemctl("stop", settings.unit, check=False)
    save_state(paths, state)
    prune(paths, settings, state)
    print(f"release {version} was given back for {good or 'none'}: {reason}")


def note_return(state: State, version: str, reason: str, serial: int) -> None:
    entry = {"version": version, "reason": reason, "at": time.time(), "serial": serial}
    state.given_back = [entry, *state.given_back][:MAX_HISTORY]


def prune(paths: Paths, settings: Settings, state: State) -> None:
    """Keep the newest good ones, and what is current."""
    state.good = [version for version in state.good if version in installed(paths)][: settings.keep]
    kept = {*state.good, current_version(paths)}
    for folder in paths.releases.iterdir():
        if folder.name not in kept:
            (folder / "release.json").unlink(missing_ok=True)  # from here on it is not whole
            shutil.rmtree(folder, ignore_errors=True)


def boot_check(paths: Paths) -> None:
    """Before the unit starts: a release whose trial was cut short is not trusted."""
    with lock(paths, wait_s=30):
        state = load_state(paths)
        if state.trial is None:
            return
        version = state.trial["version"]
        note_return(
            state, version, "the machine went down during its trial", installed(paths)[version]["serial"]
        )
        state.trial = None
        if good := next((other for other in state.good if other in installed(paths)), None):
            install_system(paths, good, at="activation")
            point_current(paths, good)
            systemctl("daemon-reload", check=False)
        else:
            paths.current.unlink(missing_ok=True)
        save_state(paths, state)
        print(f"release {version} was on trial when the machine went down: back to {good or 'none'}")


def rollback(paths: Paths, settings: Settings) -> str:
    """By hand: to the good release before this one."""
    state, current = load_state(paths), current_version(paths)
    earlier = [version for version in state.good if version != current]
    if not earlier:
        raise ReleaseError("there is no other good release on this machine")
    if current in state.good:
        with lock(paths):
            state.good.remove(current)
            note_return(state, str(current), BY_HAND, state.serial)
            save_state(paths, state)
    activate(paths, settings, earlier[0], needs_confirmation=False)
    return earlier[0]


# --- getting one


def receive(paths: Paths, settings: Settings, stream: IO[bytes]) -> list[str]:
    """Take a parcel, a tar of a release's manifest.json, manifest.json.sig and files, or of some of them.

    The names of the files that this machine still lacks. Raises ReleaseError.
    """
    with tempfile.TemporaryFile(dir=paths.incoming) as spool:  # nobody waits for a link that is slow, or gone
        size = 0
        while chunk := stream.read(64 * 1024):
            size += len(chunk)
            if size > MAX_PARCEL_BYTES:
                raise ReleaseError(f"the parcel is larger than {MAX_PARCEL_BYTES} bytes")
            spool.write(chunk)
        spool.seek(0)
        with lock(paths):
            try:
                with tarfile.open(fileobj=spool, mode="r:") as parcel:
                    manifest = unpack(paths, settings, parcel)
            except (tarfile.TarError, ValueError, EOFError, OverflowError) as exc:
                raise ReleaseError(f"the parcel is malformed: {exc}") from exc
            return missing(paths, settings, manifest)


def unpack(paths: Paths, settings: Settings, parcel: tarfile.TarFile) -> dict[str, Any]:
    """Nothing but plain files that the signed manifest names, each as large as it says."""
    members = {member.name: member for member in parcel.getmembers()}
    for file in (paths.signature, paths.manifest):
        if member := members.pop(file.name, None):
            if not member.isfile() or member.size > MAX_MANIFEST_BYTES:
                raise ReleaseError(f"{file.name} in the parcel is no file, or too large")
            extract(parcel, member, file)
    manifest = verify(paths, settings)
    for name, member in members.items():
        info = manifest["files"].get(name)
        if info is None or not member.isfile() or member.size != info["size"]:
            raise ReleaseError(f"the parcel's {name!r:.80} is not a file that the signed manifest names")
        part = paths.incoming / f"{name}.part"
        extract(parcel, member, part)
        if not is_whole(part, info):
            part.unlink()
            raise ReleaseError(f"{name} is not the file that the signed manifest names")
        part.replace(paths.incoming / name)
    return manifest


def extract(parcel: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = parcel.extractfile(member)
    assert source, "of a plain file"
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)


def pull(paths: Paths, settings: Settings) -> bool:
    """Fetch the newest release, check it, build it, try it; False where there is nothing new."""
    if not settings.url:
        raise ReleaseError(f"{paths.settings} names no url: releases are pushed to this machine")
    with lock(paths):
        paths.incoming.mkdir(parents=True, exist_ok=True)
        for file in (paths.signature, paths.manifest):
            file.write_bytes(fetch(settings, file.name, MAX_MANIFEST_BYTES))
        manifest = verify(paths, settings)
        version, state = manifest["version"], load_state(paths)
        returns = [entry for entry in state.given_back if entry["version"] == version]
        if current_version(paths) == version:
            return False
        if manifest["serial"] < state.serial:
            raise ReleaseError(f"release {version} is older than one that was here before: refused")
        if len(returns) >= MAX_RETURNS or any(entry["reason"] == BY_HAND for entry in returns):
            print(
                f"release {version} was given back {len(returns)} times ({returns[0]['reason']}): not again"
            )
            return False
        for name in missing(paths, settings, manifest):
            download(settings, name, paths.incoming / name, manifest["files"][name])
        install(paths, settings, manifest)
    return activate(paths, settings, version, needs_confirmation=False)


def open_url(settings: Settings, name: str, headers: dict[str, str]) -> Any:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    request = urllib.request.Request(f"{settings.url.rstrip('/')}/{name}", headers=headers)
    if request.type not in ("http", "https"):
        raise ReleaseError(f"{settings.url}: must be https:// or http://")
    try:
        return urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT_S, context=context)
    except OSError as exc:
        raise ReleaseError(f"{request.full_url}: {exc}") from exc


def fetch(settings: Settings, name: str, limit: int) -> bytes:
    with open_url(settings, name, {}) as answer:
        data: bytes = answer.read(limit + 1)
    if len(data) > limit:
        raise ReleaseError(f"{name} is larger than {limit} bytes")
    return data


def download(settings: Settings, name: str, target: Path, info: dict[str, Any]) -> None:
    """Go on where the last attempt ended: a mobile link breaks."""
    part = target.with_name(f"{name}.part")
    have = part.stat().st_size if part.exists() else 0
    with open_url(settings, f"files/{name}", {"Range": f"bytes={have}-"} if have else {}) as answer:
        resumes = answer.status == 206
        with part.open("ab" if resumes else "wb") as file:
            size = have if resumes else 0
            try:
                while chunk := answer.read(64 * 1024):
                    size += len(chunk)
                    if size > info["size"]:
                        break
                    file.write(chunk)
            except OSError as exc:
                raise ReleaseError(f"{name}: the connection broke after {size} bytes: {exc}") from exc
    if not is_whole(part, info):
        if part.stat().st_size >= info["size"]:
            part.unlink()
            raise ReleaseError(f"{name} is not the file that the signed manifest names")
        raise ReleaseError(f"{name}: the connection broke after {size} bytes")
    part.replace(target)


# --- the machine


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


def last_words(unit: str) -> str:
    done = subprocess.run(
        ["journalctl", "-u", unit, "-n", "8", "-o", "cat", "--no-pager", "_TRANSPORT=stdout"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def describe(paths: Paths) -> dict[str, Any]:
    state = load_state(paths)
    return {
        "current": current_version(paths),
        "good": state.good,
        "trial": state.trial,
        "given_back": state.given_back,
        "installed": sorted(installed(paths)),
        "serial": state.serial,
    }


def main(arguments: list[str] | None = None, paths: Paths = Paths()) -> int:
    parser = argparse.ArgumentParser(prog="pinhole-release", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, words: str, *operands: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=words)
        for operand in operands:
            sub.add_argument(operand)
        return sub

    add("status", "print what runs here, what is good and what was given back, as JSON")
    add("receive", "take a tar of manifest.json, manifest.json.sig and files; print what is lacking, as JSON")
    add("install", "verify the release that was received, and build it")
    add("adopt", "make the first release the one in use, without a trial: where an image is made")
    sub = add("activate", "switch to a release, and back if it is not healthy in time", "version")
    sub.add_argument("--needs-confirmation", action="store_true", help="return once it is healthy here")
    add("confirm", "its pictures were seen from outside: keep it", "version")
    add("refuse", "its pictures were not seen: give it back", "version", "reason")
    add("rollback", "return to the good release before this one")
    add("pull", "fetch, verify, build and try the newest release")
    add("trial", "(the trial's service)")
    add("boot-check", "(before the unit starts)")
    args = parser.parse_args(arguments)
    try:
        return run_command(args, paths)
    except ReleaseError as exc:
        print(f"pinhole-release: {exc}", file=sys.stderr)
        return 1


def run_command(args: argparse.Namespace, paths: Paths) -> int:
    settings = load_settings(paths)
    paths.releases.mkdir(parents=True, exist_ok=True)
    paths.incoming.mkdir(parents=True, exist_ok=True)
    changed: Any = None
    match args.command:
        case "status":
            print(json.dumps(describe(paths)))
        case "receive":
            print(json.dumps({"missing": receive(paths, settings, sys.stdin.buffer)}))
        case "install":
            with lock(paths):
                changed = install(paths, settings, verify(paths, settings))
        case "adopt":
            with lock(paths):
                changed = adopt(paths)
        case "activate":
            changed = activate(paths, settings, args.version, needs_confirmation=args.needs_confirmation)
        case "confirm":
            changed = confirm(paths, settings, args.version)
        case "refuse":
            changed = confirm(paths, settings, args.version, refusal=args.reason)
        case "rollback":
            changed = rollback(paths, settings)
        case "pull":
            changed = pull(paths, settings)
        case "trial":
            return 0 if run_trial(paths, settings) else 1
        case "boot-check":
            boot_check(paths)
    if changed is not None:
        print(json.dumps({"changed": bool(changed)} | describe(paths)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
