"""How a release arrives: as a parcel from Ansible, or pulled from a web server."""

import contextlib
import json
import shutil
import ssl
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

from release.build import install, is_whole, missing
from release.formats import FileInfo, Manifest
from release.machine import Paths, ReleaseError, Settings, current_version, lock, write_atomically
from release.manifest import MAX_FILE_BYTES, MAX_MANIFEST_BYTES, check_fresh, check_serial, verify
from release.outcome import settle
from release.state import State
from release.trial import BY_HAND, activate

MAX_PARCEL_BYTES = MAX_FILE_BYTES + 1024 * 1024
MAX_RETURNS = 3
"""A release that was rolled back this often is not tried again by itself."""
NETWORK_TIMEOUT_S = 60.0


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


def unpack(paths: Paths, settings: Settings, parcel: tarfile.TarFile) -> Manifest:
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


def clear_strays(paths: Paths, manifest: Manifest) -> None:
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
                f"release {version} was rolled back {len(returns)} times ({returns[0]['reason']}): not again"
            )
            return False
        for name in missing(paths, settings, manifest):
            download(settings, name, paths.incoming / name, manifest["files"][name])
        install(paths, settings, manifest)
    return activate(paths, settings, version, needs_confirmation=False)


def look(paths: Paths, settings: Settings, state: State) -> Manifest:
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


def download(settings: Settings, name: str, target: Path, info: FileInfo) -> None:
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
