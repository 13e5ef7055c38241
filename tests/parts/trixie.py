"""Debian 13 with its own Python 3.13 and libcamera, without a boot: commands run in it by chroot.

Root and layers are kept in the user's cache, each under a hash of what it is made from. A command sees layers
over the root, folders of ours, and a network of its own; what it writes is gone with it.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet import workshop
from parts.kept import CACHE, OWN_PROCESSES, kept
from parts.need import need

SUITE = "trixie"
PACKAGES = (
    "ca-certificates", "iproute2", "libcamera-ipa", "python3", "python3-jsonschema", "python3-libcamera",
    "python3-numpy", "python3-pil", "python3-prctl", "python3-tqdm", "python3-venv",
)  # fmt: skip
"""What Raspberry Pi OS has below python3-picamera2."""
ROOT = Path(__file__).resolve().parents[2]
MADE_FROM = ("scripts/env", "pyproject.toml", "tests/requirements.lock")
KIND = "trixie"
"""Their place in the cache."""
CERTIFICATES = Path("/etc/ssl/certs")
MAKE_S = 1500
ADDRESS = "10.60.0.2"
"""A camera with loopback alone has no path to offer."""

_ENTER = """
set -e
cache=$1 layers=$2 upper=$3 folders=$4; shift 4
mount --make-rprivate /
mount -t tmpfs tmpfs "$cache/shelf"
mkdir "$cache/shelf/upper" "$cache/shelf/work"
options=lowerdir=$layers
if [ -n "$upper" ]; then
    options=$options,upperdir=$upper,workdir=$upper.work
else
    options=$options,upperdir=$cache/shelf/upper,workdir=$cache/shelf/work
    ip link set lo up
    ip link add eth0 type veth peer name world
    ip address add 10.60.0.2/24 dev eth0
    ip link set world up
    ip link set eth0 up
fi
cd "$cache/mount"
mount -t overlay overlay -o "$options" .
cd .
cd "$cache/mount"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd
for node in null zero full random urandom; do touch dev/$node; mount --bind /dev/$node dev/$node; done
for pair in $folders; do
    source=${pair%%=*} target=.${pair#*=}
    mkdir -p "${target%/*}"
    if [ -d "$source" ]; then mkdir -p "$target"; else touch "$target"; fi
    mount --bind "$source" "$target"
done
exec chroot . "$@"
"""


def need_tools() -> None:
    """Skip with the reason where something is missing."""
    need(os.geteuid() == 0, "needs root, for chroot")
    for name, package in {"debootstrap": "debootstrap", "ip": "iproute2", "unshare": "util-linux"}.items():
        need(shutil.which(name, path=workshop.PATH), f"needs {name}: sudo apt-get install {package}")
    need(workshop.apt_sources(), "it is made from this computer's own Debian sources, and it has none")


@dataclass(frozen=True)
class Layer:
    """Files that a script makes in the root, kept between runs. The script may ask the network."""

    name: str
    script: str
    folders: Mapping[str, Path] = field(default_factory=dict)
    """By where the script sees them."""
    key: str = ""
    """Of what else it is made from."""
    below: tuple["Layer", ...] = ()


def environment(*below: Layer) -> Layer:
    """What `scripts/env test` makes of this tree at /srv/pinhole, over these layers."""
    return Layer(
        "environment",
        """
        mkdir -p /srv/pinhole/scripts /srv/pinhole/tests && cd /srv/pinhole
        for file in pyproject.toml README.md requirements.lock tests/requirements.lock scripts/env; do
            cp "/tree/$file" "$file"
        done
        scripts/env test
        """,
        {"/tree": ROOT, "/srv/pinhole/agent": ROOT / "agent"},
        "".join((ROOT / name).read_text() for name in MADE_FROM),
        below,
    )


def root() -> Path:
    """The system's folder; made in two minutes where it is not there yet."""
    return kept(f"{KIND}/root", (SUITE, PACKAGES), _bootstrap)


def make(layer: Layer) -> Path:
    """The layer's folder, made where it is not there yet."""
    made_from = (layer.name, layer.script, layer.key, [one.key for one in layer.below], SUITE, PACKAGES)
    return kept(f"{KIND}/{layer.name}", made_from, lambda part: _make(layer, part))


def command(
    *argv: str,
    layers: Sequence[Layer] = (),
    folders: Mapping[str, Path] | None = None,
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """What to run for `argv` in the system; `folders` by where it sees them. Layers: the first is on top."""
    lower = [*(str(make(layer)) for layer in layers), str(root())]
    return _enter(lower, "", folders or {}, env or {}, argv)


def run(*argv: str, timeout_s: float, layers: Sequence[Layer] = (), **how: Mapping[str, object]) -> str:
    """Run to the end; what it prints, both ways. Fails with that where it fails."""
    return _run(command(*argv, layers=layers, **how), timeout_s)


def _enter(
    lower: Sequence[str],
    upper: str,
    folders: Mapping[str, Path],
    env: Mapping[str, str],
    argv: Sequence[str],
) -> list[str]:
    for name in ("shelf", "mount"):
        (CACHE / KIND / name).mkdir(parents=True, exist_ok=True)
    pairs = " ".join(f"{source}={target}" for target, source in folders.items())
    network = [] if upper else ["--net"]
    variables = {"PATH": "/usr/bin:/usr/sbin", "HOME": "/root", "LANG": "C.UTF-8", **env}
    return [
        *OWN_PROCESSES, *network, "sh", "-c", _ENTER, "enter",
        str(CACHE / KIND), ":".join(lower), upper, pairs,
        "env", "-i", *(f"{name}={value}" for name, value in variables.items()), *argv,
    ]  # fmt: skip


def _bootstrap(part: Path) -> None:
    mirror, keyring = workshop.apt_sources() or ("", "")
    _run([*OWN_PROCESSES, "debootstrap", "--variant=minbase", f"--keyring={keyring}",
          f"--include={','.join(PACKAGES)}", SUITE, str(part), mirror], MAKE_S)  # fmt: skip
    shutil.rmtree(part / "var/cache/apt")
    shutil.rmtree(part / "var/lib/apt/lists")


def _make(layer: Layer, part: Path) -> None:
    work = Path(f"{part}.work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    folders = {"/etc/resolv.conf": Path("/etc/resolv.conf"), **layer.folders}
    if (CERTIFICATES / "ca-certificates.crt").exists():  # a network may have an authority of its own
        folders[str(CERTIFICATES)] = CERTIFICATES
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT"))}
    lower = [*(str(make(one)) for one in layer.below), str(root())]
    _run(_enter(lower, str(part), folders, pip, ["sh", "-ec", layer.script]), MAKE_S)
    shutil.rmtree(work)


def _run(argv: Sequence[str], timeout_s: float) -> str:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s, check=False,
        env=os.environ | {"PATH": workshop.PATH, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stdout[-6000:]}"
    return done.stdout
