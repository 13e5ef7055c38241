"""Build a signed release: our wheel, what it needs for every kind of machine, and a manifest of both.

    scripts/release --key FILE [--key FILE …] [--out dist/release]
    scripts/release --key FILE --renew          # the same release, for another ninety days
    scripts/release --key FILE --add-signature  # the same release, signed by one more

The folder it makes is what Ansible pushes (`pinhole_release_dir`), and what a web server hands to the devices
that pull. Third-party wheels are fetched once by pip and kept in the cache; each is checked against the lock.
Releases are counted, in a file beside the key: no clock can make one look newer than later ones.
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

from release.joined import join

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pinhole" / "wheels"
NAMESPACE = "pinhole-release"
FIRST_SERIAL = 2_000_000_000
"""Serials were Unix times once: the count begins above those, as pinhole-release knows."""
LIFE_DAYS = 90
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("311", "313")
"""Debian 12 and 13, and so Raspberry Pi OS."""
GLIBC = range(17, 37)
"""manylinux_2_NN (PEP 600): up to Debian 12's glibc 2.36."""
LOCKS = {"device": "device.lock", "portal": "portal.lock"}
UNITS = {
    "pinhole.service": "firmware-config/rootfs/usr/lib/systemd/system/pinhole.service",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--key",
        type=Path,
        required=True,
        action="append",
        help="private key; several sign one after the other",
    )
    add("--out", type=Path, default=ROOT / "dist" / "release", help="folder to make anew")
    add("--target", action="append", metavar="PROFILE/MACHINE/cpNNN", help="these alone")
    add(
        "--days",
        type=int,
        default=LIFE_DAYS,
        help="after these, devices that pull miss a newer one (%(default)s)",
    )
    add("--signers", type=Path, help="file of public keys that alone count once this release is good")
    add(
        "--after",
        type=int,
        default=0,
        metavar="SERIAL",
        help="the last one, where the count beside the key is lost",
    )
    add(
        "--down-from",
        type=int,
        metavar="SERIAL",
        help="serials from there on were a mistake, and do not count",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--renew", action="store_true", help="build nothing: a new expiry for what is in --out"
    )
    again.add_argument(
        "--add-signature", action="store_true", help="build nothing: sign what is in --out too"
    )
    args = parser.parse_args()
    every = [
        f"{profile}/{machine}/cp{python}" for profile in LOCKS for machine in MACHINES for python in PYTHONS
    ]
    if unknown := set(args.target or ()) - set(every):
        parser.error(f"unknown target {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    for key in args.key:
        if fault := key_fault(key):  # said now, and not after a minute of building
            parser.error(f"--key {key}: {fault}; ssh-keygen -t ed25519 -f FILE makes one")
    more: dict[str, Any] = {"expires": int(time.time()) + args.days * 86400}
    if args.signers:
        more["signers"] = read_signers(args.signers)
        if not set(more["signers"]) & set(map(public, args.key)):
            parser.error(
                "--signers: name one of those keys by --key too, or nobody could take this release twice"
            )
    if args.down_from:
        more["down_from"] = args.down_from
    if args.add_signature or args.renew:
        sign_again(args.out, args.key, {"expires": more["expires"]} if args.renew else {})
        return
    part = args.out.with_name(f".{args.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "files").mkdir(parents=True)
    manifest = build(part / "files", args.target or every) | more
    manifest["serial"] = next_serial(args.key, args.out, args.after)
    (part / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    (part / "manifest.json.sig").write_bytes(b"".join(sign(key, part / "manifest.json") for key in args.key))
    shutil.rmtree(args.out, ignore_errors=True)
    part.rename(args.out)
    ours = sum(info["size"] for name, info in manifest["files"].items() if is_ours(name))
    total = sum(info["size"] for info in manifest["files"].values())
    print(
        f"release {manifest['version']} in {args.out}: {total / 1e6:.1f} MB, {ours / 1e3:.0f} kB of it ours"
    )


def next_serial(keys: list[Path], out: Path, after: int) -> int:
    """One more than any that is known; written beside each key before anything is signed with it."""
    known = [FIRST_SERIAL, after, *map(last_serial, keys)]
    if (out / "manifest.json").exists():
        known.append(json.loads((out / "manifest.json").read_text())["serial"])
    serial = max(known) + 1
    for key in keys:
        count(key, serial)
    return serial


def counter(key: Path) -> Path:
    return key.with_name(f"{key.name}.serial")


def last_serial(key: Path) -> int:
    return int(counter(key).read_text()) if counter(key).exists() else 0


def count(key: Path, serial: int) -> None:
    part = counter(key).with_name(f".{key.name}.serial.part")
    part.write_text(f"{max(serial, last_serial(key))}\n")
    part.replace(counter(key))


def sign_again(out: Path, keys: list[Path], change: dict[str, Any]) -> None:
    """What is in `out`, with a change and signed anew, or as it is and signed by more."""
    manifest, signature = out / "manifest.json", out / "manifest.json.sig"
    if not manifest.exists():
        sys.exit(f"release: there is none in {out} yet")
    part = out / ".manifest.json.part"
    content = json.loads(manifest.read_text()) | change
    part.write_text(json.dumps(content, indent=1, sort_keys=True))
    for key in keys:  # whoever signs can make the next one
        count(key, content["serial"])
    made = b"".join(sign(key, part) for key in keys)
    signature.write_bytes((b"" if change else signature.read_bytes()) + made)
    part.replace(manifest)
    print(f"release in {out}: signed {'anew' if change else 'too'} by {', '.join(map(str, keys))}")


def sign(key: Path, file: Path) -> bytes:
    """An armoured signature; several in one file are one release's (older devices read the first)."""
    made = file.with_name(f"{file.name}.sig")
    made.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file))
    signature = made.read_bytes()
    made.unlink()
    return signature


def public(key: Path) -> str:
    """Type and key, without the comment."""
    done = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2])


def read_signers(file: Path) -> list[str]:
    lines = [line.split() for line in file.read_text().splitlines() if line.strip() and line[0] != "#"]
    return [" ".join(words[:2]) for words in lines]


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
    (files / "pinhole-release").write_text(join())
    system.append({"file": "pinhole-release", "path": "/usr/local/sbin/pinhole-release"})
    return {
        "format": 1,
        "version": version,
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
