"""Build a signed release: our wheel, what it needs for every kind of machine, and a manifest of both.

    scripts/release --key FILE [--out dist/release]

The folder it makes is what Ansible pushes (`pinhole_release_dir`), and what a web server hands to the devices
that pull. Third-party wheels are fetched once by pip and kept in the cache; each is checked against the lock.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pinhole" / "wheels"
NAMESPACE = "pinhole-release"
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("311", "313")
"""Debian 12 and 13, and so Raspberry Pi OS."""
GLIBC = range(17, 37)
"""manylinux_2_NN (PEP 600): up to Debian 12's glibc 2.36."""
LOCKS = {"device": "device.lock", "portal": "portal.lock"}
UNITS = {
    "pinhole.service": "firmware-config/rootfs/usr/lib/systemd/system/pinhole.service",
}
TOOL = "ansible/roles/release/files/pinhole_release.py"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__.splitlines()[0])
    parser.add_argument("--key", type=Path, required=True, help="private key: ssh-keygen -t ed25519 -f FILE")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "release", help="folder to make anew")
    parser.add_argument("--target", action="append", metavar="PROFILE/MACHINE/cpNNN", help="these alone")
    args = parser.parse_args()
    every = [
        f"{profile}/{machine}/cp{python}" for profile in LOCKS for machine in MACHINES for python in PYTHONS
    ]
    if unknown := set(args.target or ()) - set(every):
        parser.error(f"unknown target {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    if fault := key_fault(args.key):  # said now, and not after a minute of building
        parser.error(f"--key {args.key}: {fault}; ssh-keygen -t ed25519 -f FILE makes one")
    part = args.out.with_name(f".{args.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "files").mkdir(parents=True)
    manifest = build(part / "files", args.target or every)
    (part / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    run("ssh-keygen", "-q", "-Y", "sign", "-f", str(args.key), "-n", NAMESPACE, str(part / "manifest.json"))
    shutil.rmtree(args.out, ignore_errors=True)
    part.rename(args.out)
    ours = sum(info["size"] for name, info in manifest["files"].items() if is_ours(name))
    total = sum(info["size"] for info in manifest["files"].values())
    print(
        f"release {manifest['version']} in {args.out}: {total / 1e6:.1f} MB, {ours / 1e3:.0f} kB of it ours"
    )


def key_fault(key: Path) -> str:
    """Why it cannot sign, as far as can be known without its passphrase; empty where it can."""
    try:
        with key.open("rb"):
            pass
    except OSError as exc:
        return f"cannot read it: {exc.strerror}"
    known = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, check=False)
    return "it is no SSH key" if known.returncode else ""


def is_ours(name: str) -> bool:
    """What changes with each release."""
    return name.startswith("pinhole")


def build(files: Path, targets: list[str]) -> dict[str, Any]:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    say(f"building pinhole {version}")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--disable-pip-version-check", "--wheel-dir", str(files), str(ROOT))  # fmt: skip
    wheel = next(files.glob("pinhole-*.whl")).name
    chosen = {}
    for target in targets:
        say(f"wheels for {target}")
        chosen[target] = [wheel, *collect(target, files)]
    system = [{"file": name, "path": f"/etc/systemd/system/{name}"} for name in UNITS]
    for name, source in UNITS.items():
        shutil.copyfile(ROOT / source, files / name)
    shutil.copyfile(ROOT / TOOL, files / "pinhole-release")
    system.append({"file": "pinhole-release", "path": "/usr/local/sbin/pinhole-release"})
    return {
        "format": 1,
        "version": version,
        "serial": int(time.time()),
        "targets": chosen,
        "system": system,
        "files": {
            file.name: {"sha256": digest(file), "size": file.stat().st_size}
            for file in sorted(files.iterdir())
        },
    }


def collect(target: str, files: Path) -> list[str]:
    """Link the wheels of one target into `files`; their names."""
    profile, machine, tag = target.split("/")
    python = tag.removeprefix("cp")
    wanted = "\n".join(requirements(ROOT / "ansible" / LOCKS[profile], machine, python)) + "\n"
    folder = CACHE / profile / f"{machine}-{python}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (part / "lock").write_text(wanted)
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}"]
        run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--require-hashes", "--dest", str(part), "-r", str(part / "lock"),
            "--implementation", "cp", "--python-version", python, "--abi", f"cp{python}", "--abi", "abi3",
            "--abi", "none", *(word for name in platforms for word in ("--platform", name)))  # fmt: skip
        part.rename(folder)
    names = sorted(file.name for file in folder.glob("*.whl"))
    for name in names:
        if not (files / name).exists():
            shutil.copyfile(folder / name, files / name)
    return names


def requirements(lock: Path, machine: str, python: str) -> Iterator[str]:
    """The lock's lines for one kind of machine, without markers."""
    dotted = f"{python[0]}.{python[1:]}"
    environment = {
        "python_version": dotted,
        "python_full_version": f"{dotted}.2",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "extra": "",
    }
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        text, *hashes = line.split("--hash=")
        requirement = Requirement(text.strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield " --hash=".join([f"{requirement.name}{requirement.specifier}", *map(str.strip, hashes)])


def digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def run(*argv: str) -> None:
    done = subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"release: {argv[0]} {' '.join(argv[1:4])} … failed")


def say(words: str) -> None:
    print(f"release: {words}", file=sys.stderr)


if __name__ == "__main__":
    main()
