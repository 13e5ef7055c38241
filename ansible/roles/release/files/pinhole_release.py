#!/usr/bin/python3
"""pinhole-release: install, try, keep and give back releases of Pinhole on this machine.

One program for both ways a release arrives: Ansible pushes the files and calls it, or a timer pulls them.
It needs Python's standard library, ssh-keygen and systemd.

A release is built in place, because an environment cannot be moved. What the last releases already hold is
linked from them: neither fetched, nor unpacked, nor stored again. A new release is on trial until it is
healthy (unit ready, broker reached, pictures captured with a keyframe when one was asked for, and confirmed
from outside where that was asked for).
Whatever else happens, a crash, silence, a kill, a power cut or a lost connection, ends at the last good
release; each command first ends what an earlier one, or a trial, was killed in.

    /opt/pinhole/current -> releases/<version>       switched by one rename(2)
    /opt/pinhole/releases/<version>/                 the environment; release.json in it is written last
    /opt/pinhole/incoming/                           files on their way in
    /opt/pinhole/state.json                          which are good, what is on trial, what was given back
    /opt/pinhole/state-copy.json                     the same, for when that is damaged
    /opt/pinhole/mirror.json                         what the source of releases last said
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import math
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
EDITION = 2
"""Of this program: an older one, which may not read our files, does not replace it."""
FIRST_SERIAL = 2_000_000_000
"""Serials were Unix times before they were counted (ansible/bundle.py): the count begins above those."""
MAX_JUMP = 1_000_000
"""Nobody makes so many releases: a serial further ahead is a mistake that would block all later ones."""
MAX_SIGNATURES = 16
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
KEY = re.compile(r"(sk-)?(ssh|ecdsa)-[0-9a-z@.-]{1,60} [0-9A-Za-z+/=]{40,2000}")
"""An OpenSSH public key without its comment."""
SIGNATURE = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n.+?\n-----END SSH SIGNATURE-----\n?", re.DOTALL)
TRIAL_UNIT = "pinhole-release-trial.service"
CUT_SHORT = "its trial was cut short"
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


@dataclass
class State:
    """state.json: survives a power cut because it is written beside, synced, and renamed."""

    good: list[str] = field(default_factory=list)
    """Newest first."""
    trial: dict[str, Any] | None = None
    """version, previous, since, stage (`starting`, `running`, `healthy`, `returning`), needs_confirmation."""
    given_back: list[dict[str, Any]] = field(default_factory=list)
    """version, reason, at, serial; newest first."""
    serial: int = 0
    """The highest that was ever installed: an older signed release cannot be played back."""


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


def load_state(paths: Paths) -> State:
    """Where the file is damaged, or not ours, its copy counts, and where both are, what is on the disk."""
    for file in (paths.state, paths.state_copy):
        try:
            if is_others(file.lstat()):
                raise ValueError("others than root could have written it")
            return parse_state(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as exc:
            print(f"pinhole-release: {file} is damaged, going on without it: {exc}", file=sys.stderr)
    return rebuild_state(paths)


def parse_state(data: bytes) -> State:
    """Raises ValueError."""
    found = json.loads(data)
    try:
        state = State(**{name: found[name] for name in vars(State())})
        if state.trial:
            state.trial = {"previous": None, "needs_confirmation": False} | state.trial
        versions = [*state.good, *([state.trial["version"]] if state.trial else [])]
        entries = [entry["version"] + entry["reason"] for entry in state.given_back]
        good = all(VERSION.fullmatch(version) for version in versions) and all(
            isinstance(words, str) for words in entries
        )
        if not good or not isinstance(state.serial, int) or (state.trial and "stage" not in state.trial):
            raise ValueError("it has values that were never written to it")
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(repr(exc)) from exc
    return state


def rebuild_state(paths: Paths) -> State:
    """What runs is good, and so is what was here before it; serials go on from what runs."""
    whole, current = installed(paths), current_version(paths)
    if current is None:
        return State()
    serial = whole[current]["serial"] if current in whole else 0
    older = [version for version in whole if version != current and whole[version]["serial"] <= serial]
    older.sort(key=lambda version: whole[version]["serial"], reverse=True)
    return State(good=[current, *older], serial=serial)


def save_state(paths: Paths, state: State) -> None:
    """The copy first: what can be read of the two is then never older than what was begun."""
    data = json.dumps(vars(state), indent=1).encode()
    for file in (paths.state_copy, paths.state):
        write_atomically(file, data, 0o644)


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
        check_additions(manifest)
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


def check_additions(manifest: dict[str, Any]) -> None:
    """What may be missing: older pinhole-releases do not look at it. Raises ReleaseError, TypeError."""
    for name in ("expires", "down_from"):
        if not isinstance(manifest.get(name, 0), int):
            raise ReleaseError(f"the manifest's {name} is malformed")
    signers = manifest.get("signers", [])
    if len(signers) > MAX_SIGNATURES or not all(KEY.fullmatch(key) for key in signers):
        raise ReleaseError("the manifest's signers are malformed")


def target_of(settings: Settings) -> str:
    return f"{settings.profile}/{platform.machine()}/cp{sys.version_info[0]}{sys.version_info[1]}"


def wheels_of(manifest: dict[str, Any], settings: Settings) -> list[str]:
    target = target_of(settings)
    if target not in manifest["targets"]:
        known = ", ".join(sorted(manifest["targets"]))
        raise ReleaseError(f"release {manifest['version']} has nothing for {target}, only for {known}")
    return list(manifest["targets"][target])


def verify(paths: Paths, settings: Settings) -> dict[str, Any]:
    """The manifest, once it is signed by enough keys that this machine trusts. Raises ReleaseError.

    Where it names the keys that count from now on, enough of those must have signed it too: nobody can lock
    a fleet out with a key that does not exist.
    """
    try:
        data = paths.manifest.read_bytes()
        signatures = SIGNATURE.findall(paths.signature.read_bytes())[:MAX_SIGNATURES]
        trusted = Path(settings.signers).read_bytes()
    except FileNotFoundError as exc:
        if exc.filename == str(paths.manifest):
            raise ReleaseError(f"{paths.manifest} is missing: send a release first") from exc
        raise ReleaseError(f"bad signature: {exc.filename} is missing") from exc
    if len(data) > MAX_MANIFEST_BYTES:
        raise ReleaseError("the manifest is too large")
    count_signatures(data, signatures, trusted, settings.signatures, settings.signers)
    manifest = parse_manifest(data)
    if keys := manifest.get("signers"):
        new = allowed_signers(keys).encode()
        count_signatures(data, signatures, new, settings.signatures, "the manifest's own signers")
    return manifest


def allowed_signers(keys: list[str]) -> str:
    lines = (f'pinhole-release namespaces="{NAMESPACE}" {key}\n' for key in keys)
    return "# ssh-keygen(1), ALLOWED SIGNERS: whose releases this machine takes\n" + "".join(lines)


def count_signatures(data: bytes, signatures: list[bytes], trusted: bytes, needed: int, where: str) -> None:
    """Raises ReleaseError where fewer than `needed` different keys of `trusted` have signed."""
    signed_by, said = set(), "no word why"
    for signature in signatures:
        with memory_file(trusted) as keys, memory_file(signature) as one:
            done = subprocess.run(
                ["ssh-keygen", "-Y", "verify", "-f", f"/proc/self/fd/{keys}", "-I", NAMESPACE,
                 "-n", NAMESPACE, "-s", f"/proc/self/fd/{one}"],
                input=data, capture_output=True, check=False, pass_fds=(keys, one),
            )  # fmt: skip
        words = (done.stdout + done.stderr).decode(errors="replace").strip()
        if done.returncode == 0:
            signed_by.add(words.rpartition(" ")[2])  # the key's fingerprint
        elif words:
            said = words.splitlines()[-1]
    if not signed_by:
        raise ReleaseError(f"bad signature: not by a key in {where} ({said})")
    if len(signed_by) < needed:
        raise ReleaseError(f"bad signature: by {len(signed_by)} keys in {where}, and {needed} are needed")


@contextlib.contextmanager
def memory_file(data: bytes) -> Iterator[int]:
    """A file without a name, so that no kill leaves it."""
    handle = os.memfd_create("pinhole-release")
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(data)
        yield handle
    finally:
        os.close(handle)


def check_serial(manifest: dict[str, Any], state: State) -> None:
    """A signed release cannot be played back, and none can block all later ones. Raises ReleaseError."""
    version, serial = manifest["version"], manifest["serial"]
    if state.serial >= manifest.get("down_from", math.inf) > serial:
        return  # its signer says that serials from there on were a mistake
    if serial < state.serial:
        raise ReleaseError(
            f"release {version} is older than one that was here before ({serial}, after {state.serial}): "
            "sign it again to go back"
        )
    if serial > max(state.serial, FIRST_SERIAL) + MAX_JUMP:
        raise ReleaseError(f"release {version} has the serial {serial}, absurdly far after {state.serial}")


def check_fresh(manifest: dict[str, Any], now: float) -> None:
    """Who hands releases out cannot withhold new ones unseen. Raises ReleaseError."""
    expires = manifest.get("expires")
    if expires and expires < now:
        day = time.strftime("%Y-%m-%d", time.gmtime(expires))
        raise ReleaseError(
            f"release {manifest['version']} is the newest that is offered, and its word expired on {day}: "
            "newer ones are withheld, or nobody renewed it"
        )


def installed(paths: Paths) -> dict[str, dict[str, Any]]:
    """Every release that is whole, by version: its release.json."""
    found = {}
    for marker in sorted(paths.releases.glob("*/release.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            release = json.loads(marker.read_text())
            paths_of = [system["path"] + system["file"] for system in release["system"]]
            if isinstance(release["serial"], int) and all(map(str.isprintable, paths_of)):
                found[marker.parent.name] = release | {
                    "python": str(release["python"]), "wheels": dict(release["wheels"]),
                }  # fmt: skip
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
    is_new = version not in installed(paths)
    if is_new:
        check_serial(manifest, state)
        if lacking := missing(paths, settings, manifest):
            raise ReleaseError(
                f"{len(lacking)} files are missing in {paths.incoming}, the first is {lacking[0]}"
            )
        folder = paths.releases / version
        if version == current_version(paths):
            raise ReleaseError(f"release {version} runs here, damaged: give the new build another version")
        remove(folder)  # a build that was cut short
        folder.mkdir(parents=True)
        try:
            build(paths, settings, manifest, folder)
        except BaseException:
            remove(folder)
            raise
    elif installed(paths)[version]["serial"] != manifest["serial"]:
        raise ReleaseError(f"another build of {version} is installed: give the new one a version of its own")
    if is_new or manifest["serial"] > state.serial:  # the latter where the last attempt was cut short in here
        state.serial = manifest["serial"]
        save_state(paths, state)
    for file in paths.incoming.iterdir():
        file.unlink()
    return is_new


def remove(folder: Path) -> None:
    """A release, or whatever lies in its place."""
    with contextlib.suppress(OSError):
        (folder / "release.json").unlink()  # from here on it is not whole
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)


def build(paths: Paths, settings: Settings, manifest: dict[str, Any], folder: Path) -> None:
    names = wheels_of(manifest, settings)
    # picamera2 comes by apt, today or later, and works with the system's Python alone. Wheels go before it.
    share = ["--system-site-packages"] if settings.profile == "device" else []
    command([sys.executable, "-m", "venv", "--without-pip", *share, str(folder)])
    site = next(folder.glob("lib/python*/site-packages"))
    new = [
        str(paths.incoming / name)
        for name in names
        if not take_wheel(paths, name, manifest["files"][name]["sha256"], folder)
    ]
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
        "signers": manifest.get("signers", []),
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


def take_wheel(paths: Paths, name: str, digest: str, folder: Path) -> bool:
    """Link a wheel from a release that has it. One that turns out not to is not asked again."""
    python = platform.python_version_tuple()[1]
    for version, release in installed(paths).items():
        if release["python"] != python or digest not in release["wheels"].values():
            continue
        with contextlib.suppress(OSError, ValueError, StopIteration):
            if link_wheel(name, paths.releases / version, folder):
                return True
        if not (paths.incoming / name).exists():  # so that `missing` asks for it
            release["wheels"] = {key: value for key, value in release["wheels"].items() if value != digest}
            marker = paths.releases / version / "release.json"
            write_atomically(marker, json.dumps(release, indent=1).encode(), 0o644)
    return False


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
        state = settle(paths, settings)
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
        clear_words(paths)
        systemctl("start", "--no-block", TRIAL_UNIT)
    deadline = time.monotonic() + settings.gate_s + 120
    while time.monotonic() < deadline:
        state = load_state(paths)
        if state.trial is None or state.trial["version"] != version:
            break
        if needs_confirmation and state.trial["stage"] == "healthy":
            return True
        time.sleep(POLL_S)
    else:
        with lock(paths):
            state = settle(paths, settings)
        if state.trial:
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
    if state.trial:
        with lock(paths):
            state = settle(paths, settings)
    return True if refusal else expect_good(state, version)


def check_settings(paths: Paths, settings: Settings, version: str) -> None:
    """A release that cannot read this machine's settings is never started."""
    pinhole = paths.releases / version / "bin/pinhole"
    try:
        done = subprocess.run(
            [pinhole, *settings.check], capture_output=True, text=True, check=False, timeout=120
        )
        words = done.stderr.strip().splitlines() if done.returncode else None
    except (OSError, subprocess.SubprocessError) as exc:
        words = [str(exc)]
    if words is not None:
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
        if state.trial["stage"] != "starting":
            give_back(paths, settings, state, CUT_SHORT)
            return False
        state.trial["stage"] = "running"
        save_state(paths, state)
        paths.trial.touch()
        try:
            switch(paths, settings, state.trial["version"])
            reason = watch(paths, settings, state)
        except (ReleaseError, OSError, ValueError, KeyError) as exc:
            reason = f"its trial failed: {exc}"
        finally:
            clear_words(paths)
        if reason:
            give_back(paths, settings, state, reason)
        else:
            keep(paths, settings, state)
        return not reason


def settle(paths: Paths, settings: Settings) -> State:
    """Under the lock: end what was killed, a trial or a command, and clear up after it."""
    state = load_state(paths)
    if state.trial and trial_is_gone():
        clear_words(paths)
        if was_begun(paths, state.trial):
            give_back(paths, settings, state, CUT_SHORT)
        else:
            state.trial = None
    data = json.dumps(vars(state), indent=1).encode()
    if not paths.state.exists() or is_others(paths.state.lstat()) or paths.state.read_bytes() != data:
        save_state(paths, state)  # it was damaged, or has changed
    finish(paths, settings, state)
    if not settings.url:
        paths.mirror.unlink(missing_ok=True)  # nothing is pulled any more
    for folder in paths.releases.iterdir():
        if folder.name not in {*installed(paths), *state.good, current_version(paths)}:
            remove(folder)  # half built, or half removed
        elif folder.name != current_version(paths):
            (folder / "unfinished").unlink(missing_ok=True)  # it never became good
    for folder in (paths.home, paths.root / "etc/systemd/system", paths.root / "usr/local/sbin"):
        for part in [*folder.glob(".pinhole*.part"), *paths.home.glob(".*.part")]:
            part.unlink(missing_ok=True)
    return state


def clear_words(paths: Paths) -> None:
    """What the agent and who watches are told and say during a trial."""
    for file in (paths.trial, paths.run / "confirmed", paths.run / "refused"):
        file.unlink(missing_ok=True)


def trial_is_gone() -> bool:
    """Asked by who has the lock, which a trial has to its end: it is over, or has yet to begin."""
    shown = show(TRIAL_UNIT, "ActiveState", "Job")
    return shown["ActiveState"] in ("inactive", "failed", "deactivating") and shown["Job"] in ("", "0")


def was_begun(paths: Paths, trial: dict[str, Any]) -> bool:
    """Also by a pinhole-release that did not write that it had."""
    switched = current_version(paths) == trial["version"] != trial["previous"]
    return switched or trial["stage"] != "starting"


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
    for system in system_of(paths, version):
        target = paths.root / system["path"].lstrip("/")
        is_unit = target.suffix == ".service"
        if not (folder / "system" / system["file"]).exists():
            continue  # of a damaged release, to which we go back for want of a better
        data = (folder / "system" / system["file"]).read_bytes()
        old = target.read_bytes() if target.exists() else b""
        if is_unit == (at == "activation") and old != data and (is_unit or edition(old) <= edition(data)):
            write_atomically(target, data, 0o644 if is_unit else 0o755)


def edition(program: bytes) -> int:
    found = re.search(rb"^EDITION = (\d+)$", program, re.MULTILINE)
    return int(found[1]) if found else 1


def system_of(paths: Paths, version: str) -> list[dict[str, str]]:
    """Where its files go; by their names where nothing better is left of the release."""
    if release := installed(paths).get(version):
        return list(release["system"])
    units = sorted((paths.releases / version / "system").glob("pinhole*.service"))
    return [{"file": unit.name, "path": f"/etc/systemd/system/{unit.name}"} for unit in units]


def keep(paths: Paths, settings: Settings, state: State) -> None:
    assert state.trial
    version = state.trial["version"]
    write_atomically(paths.releases / version / "unfinished", b"", 0o644)
    state.good = [version, *(other for other in state.good if other != version)]
    state.trial = None
    save_state(paths, state)  # from here on it is kept, and what follows is done again where it was cut short
    finish(paths, settings, state)
    print(f"release {version} is good")


def finish(paths: Paths, settings: Settings, state: State) -> None:
    """What a release brings once it is good: this program's next edition, and whose releases come next."""
    version = current_version(paths)
    if state.trial or version is None or version not in state.good:
        return
    marker = paths.releases / version / "unfinished"
    if not marker.exists():
        return
    try:
        install_system(paths, version, at="end")
        if keys := installed(paths).get(version, {}).get("signers"):
            write_atomically(Path(settings.signers), allowed_signers(keys).encode(), 0o644)
    except OSError as exc:  # tried again by each later command, none of which it may block
        print(
            f"pinhole-release: release {version} is good, but not all of it is in place: {exc}",
            file=sys.stderr,
        )
        return
    prune(paths, settings, state)
    marker.unlink()


def give_back(paths: Paths, settings: Settings, state: State, reason: str) -> None:
    """Return to the last good release, and remember why."""
    assert state.trial
    version = state.trial["version"]
    if state.trial["stage"] != "returning":
        state.trial["stage"] = "returning"
        note_return(state, version, reason, installed(paths).get(version, {}).get("serial", 0))
        state.good = [other for other in state.good if other != version]
        save_state(paths, state)
    good = last_good(paths, state)
    if good:
        switch(paths, settings, good)
    else:
        paths.current.unlink(missing_ok=True)
        systemctl("stop", settings.unit, check=False)
    state.trial = None
    prune(paths, settings, state)
    print(f"release {version} was given back for {good or 'none'}: {reason}")


def last_good(paths: Paths, state: State) -> str | None:
    """Where a trial returns to. Better what ran before, or is not whole any more, than nothing."""
    assert state.trial
    others = [*state.good, *([state.trial["previous"]] if state.trial["previous"] else [])]
    others = [version for version in others if version != state.trial["version"]]
    whole = [version for version in others if version in installed(paths)]
    runs = [version for version in others if (paths.releases / version / "bin/pinhole").exists()]
    return next(iter([*whole, *runs]), None)


def note_return(state: State, version: str, reason: str, serial: int) -> None:
    entry = {"version": version, "reason": reason, "at": time.time(), "serial": serial}
    state.given_back = [entry, *state.given_back][:MAX_HISTORY]


def prune(paths: Paths, settings: Settings, state: State) -> None:
    """Keep the newest good ones, and what is current."""
    current = current_version(paths)
    whole = {*installed(paths), current}
    state.good = [version for version in state.good if version in whole][: settings.keep]
    save_state(paths, state)
    for folder in paths.releases.iterdir():
        if folder.name not in {*state.good, current}:
            remove(folder)


def boot_check(paths: Paths) -> None:
    """Before the unit starts: a release whose trial was cut short is not trusted."""
    with lock(paths, wait_s=30):
        state = load_state(paths)
        if state.trial is None:
            return
        version = state.trial["version"]
        if was_begun(paths, state.trial) and state.trial["stage"] != "returning":
            serial = installed(paths).get(version, {}).get("serial", 0)
            note_return(state, version, "the machine went down during its trial", serial)
            state.good = [other for other in state.good if other != version]
        if good := last_good(paths, state):
            install_system(paths, good, at="activation")
            point_current(paths, good)
            systemctl("daemon-reload", check=False)
        else:
            paths.current.unlink(missing_ok=True)
        state.trial = None
        save_state(paths, state)
        print(f"release {version} was on trial when the machine went down: back to {good or 'none'}")


def rollback(paths: Paths, settings: Settings) -> str:
    """By hand: to the good release before this one."""
    with lock(paths):
        state = settle(paths, settings)
    current = current_version(paths)
    earlier = [version for version in state.good if version != current and version in installed(paths)]
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
            settle(paths, settings)  # what is missing is then known
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
    clear_strays(paths, manifest)
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


def clear_strays(paths: Paths, manifest: dict[str, Any]) -> None:
    """What came in for another release, and never became one."""
    named = {paths.manifest.name, paths.signature.name, *manifest["files"]}
    for file in paths.incoming.iterdir():
        if file.name.removesuffix(".part") not in named:
            file.unlink()


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
        state = settle(paths, settings)
        if state.trial:
            raise ReleaseError(f"release {state.trial['version']} is on trial: wait for its end")
        manifest = look(paths, settings, state)
        version = manifest["version"]
        returns = [entry for entry in state.given_back if entry["version"] == version]
        if current_version(paths) == version:
            for file in paths.incoming.iterdir():
                file.unlink()
            return False
        clear_strays(paths, manifest)
        if len(returns) >= MAX_RETURNS or any(entry["reason"] == BY_HAND for entry in returns):
            print(
                f"release {version} was given back {len(returns)} times ({returns[0]['reason']}): not again"
            )
            return False
        for name in missing(paths, settings, manifest):
            download(settings, name, paths.incoming / name, manifest["files"][name])
        install(paths, settings, manifest)
    return activate(paths, settings, version, needs_confirmation=False)


def look(paths: Paths, settings: Settings, state: State) -> dict[str, Any]:
    """The manifest that is offered, and a note for the agent's doctor on what it is worth."""
    for file in (paths.signature, paths.manifest):
        file.write_bytes(fetch(settings, file.name, MAX_MANIFEST_BYTES))
    note = {"version": "", "expires": 0, "problem": ""}
    with contextlib.suppress(OSError, ValueError, TypeError):
        note |= json.loads(paths.mirror.read_text())
    try:
        manifest = verify(paths, settings)
        if manifest["version"] != current_version(paths):
            check_serial(manifest, state)
        note |= {"version": manifest["version"], "expires": manifest.get("expires", 0), "problem": ""}
        check_fresh(manifest, time.time())
    except ReleaseError as exc:
        note["problem"] = str(exc)
        raise
    finally:
        write_atomically(paths.mirror, json.dumps(note).encode(), 0o644)
    return manifest


def open_url(settings: Settings, name: str, headers: dict[str, str]) -> Any:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.ca_file:  # Python 3.13 asks for key identifiers, which a private authority may not give
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
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
    if part.exists() and have >= info["size"]:  # cut short before its check: nothing is left to ask for
        if is_whole(part, info):
            part.replace(target)
            return
        part.unlink()
        have = 0
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
    add("settle", "(after it) end a trial that was killed, and clear up")
    add("boot-check", "(before the unit starts)")
    args = parser.parse_args(arguments)
    try:
        return run_command(args, paths)
    except ReleaseError as exc:
        print(f"pinhole-release: {exc}", file=sys.stderr)
        return 1


def run_command(args: argparse.Namespace, paths: Paths) -> int:  # noqa: PLR0912 - one case a command
    settings = load_settings(paths)
    close_folders(paths)
    changed: Any = None
    match args.command:
        case "status":
            with contextlib.suppress(ReleaseError), lock(paths):
                settle(paths, settings)
            print(json.dumps(describe(paths)))
        case "receive":
            print(json.dumps({"missing": receive(paths, settings, sys.stdin.buffer)}))
        case "install":
            with lock(paths):
                settle(paths, settings)
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
        case "settle":
            with lock(paths, wait_s=30):
                settle(paths, settings)
        case "boot-check":
            boot_check(paths)
    if changed is not None:
        print(json.dumps({"changed": bool(changed)} | describe(paths)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
