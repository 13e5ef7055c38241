"""What a release says of itself, signed: whether it is for this machine, and new, and whose it is."""

import contextlib
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from release.formats import Manifest
from release.machine import Paths, ReleaseError, Settings
from release.state import VERSION, State

NAMESPACE = "pinhole-release"
"""Of the signature (ssh-keygen(1), -Y sign), so that a key's other signatures mean nothing here."""
FORMAT = 1
FIRST_SERIAL = 2_000_000_000
"""Serials were Unix times before they were counted (ansible/bundle.py): the count begins above those."""
MAX_JUMP = 1_000_000
"""Nobody makes so many releases: a serial further ahead is a mistake that would block all later ones."""
MAX_SIGNATURES = 16
MAX_MANIFEST_BYTES = 256 * 1024
MAX_FILE_BYTES = 256 * 1024 * 1024
FILE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,199}")
KEY = re.compile(r"(sk-)?(ssh|ecdsa)-[0-9a-z@.-]{1,60} [0-9A-Za-z+/=]{40,2000}")
"""An OpenSSH public key without its comment."""
SIGNATURE = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n.+?\n-----END SSH SIGNATURE-----\n?", re.DOTALL)
SYSTEM_PATHS = re.compile(r"/etc/systemd/system/pinhole[a-z-]*\.service|/usr/local/sbin/pinhole-release")
"""Where a release may write outside of its folder."""


def parse_manifest(data: bytes) -> Manifest:
    """Take a manifest apart. Raises ReleaseError; only call it on what was verified, or will be."""
    try:
        manifest: Manifest = json.loads(data)
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
    return manifest


def check_additions(manifest: Manifest) -> None:
    """What may be missing: older pinhole-releases do not look at it. Raises ReleaseError, TypeError."""
    for name in ("expires", "down_from"):
        if not isinstance(manifest.get(name, 0), int):
            raise ReleaseError(f"the manifest's {name} is malformed")
    signers = manifest.get("signers", [])
    if len(signers) > MAX_SIGNATURES or not all(KEY.fullmatch(key) for key in signers):
        raise ReleaseError("the manifest's signers are malformed")


def target_of(settings: Settings) -> str:
    return f"{settings.profile}/{platform.machine()}/cp{sys.version_info[0]}{sys.version_info[1]}"


def wheels_of(manifest: Manifest, settings: Settings) -> list[str]:
    target = target_of(settings)
    if target not in manifest["targets"]:
        known = ", ".join(sorted(manifest["targets"]))
        raise ReleaseError(f"release {manifest['version']} has nothing for {target}, only for {known}")
    return list(manifest["targets"][target])


def verify(paths: Paths, settings: Settings) -> Manifest:
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


def check_serial(manifest: Manifest, state: State) -> None:
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


def check_fresh(manifest: Manifest, now: float) -> None:
    """Who hands releases out cannot withhold new ones unseen. Raises ReleaseError."""
    expires = manifest.get("expires")
    if expires and expires < now:
        day = time.strftime("%Y-%m-%d", time.gmtime(expires))
        raise ReleaseError(
            f"release {manifest['version']} is the newest that is offered, and its word expired on {day}: "
            "newer ones are withheld, or nobody renewed it"
        )
