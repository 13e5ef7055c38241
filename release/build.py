"""Builds a release's environment, from what came in and from what other releases have."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
from importlib.util import cache_from_source
from pathlib import Path

from release.formats import FileInfo, Installed, Manifest
from release.machine import Paths, ReleaseError, Settings, command, current_version, write_atomically
from release.manifest import check_serial, wheels_of
from release.state import installed, load_state, save_state
from release.symbols import drop_symbols


def missing(paths: Paths, settings: Settings, manifest: Manifest) -> list[str]:
    """Names of the files that this machine needs and has not got."""
    have = {digest for release in installed(paths).values() for digest in release["wheels"].values()}
    files = manifest["files"]
    wanted = [name for name in wheels_of(manifest, settings) if files[name]["sha256"] not in have]
    if manifest["version"] in installed(paths):
        wanted = []
    else:
        wanted += [system["file"] for system in manifest["system"]]
    return [name for name in wanted if not is_whole(paths.incoming / name, files[name])]


def is_whole(path: Path, info: FileInfo) -> bool:
    try:
        if path.stat().st_size != info["size"]:
            return False
    except FileNotFoundError:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == info["sha256"]


def install(paths: Paths, settings: Settings, manifest: Manifest) -> bool:
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


def build(paths: Paths, settings: Settings, manifest: Manifest, folder: Path) -> None:
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
        drop_symbols(folder / "bin/python", site)
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
    marker: Installed = {
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
