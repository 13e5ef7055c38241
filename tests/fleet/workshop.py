"""A place for machines: private mounts, processes and network, which end with the process that made them.

The keeper is process 1 of its own process namespace and reads a pipe of ours. When that closes, whatever
killed us, it takes the control groups and the binary format away and ends; with it the kernel ends every
process in there, and then takes mounts and links.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

TOOLS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "qemu-aarch64-static": "qemu-user-static",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "unshare": "util-linux",
}
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
RELEASES = {"bookworm", "trixie"}
"""Of Debian, that run these tests."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# The start of every 64-bit little-endian ELF executable for EM_AARCH64 (183), in binfmt_misc's notation. F:
# the interpreter is opened now, so it need not be in the machine's own file system.
AARCH64 = (
    r":{name}:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:F"
)
_KEEPER = """
mount --make-rprivate / && ip link set lo up || exit 1
echo ready
read -r goodbye
kill -KILL -1 2>/dev/null
for pause in 0.1 0.2 0.5 1 2; do
  for folder in $1; do find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null; done
  for folder in $1; do [ ! -e "$folder" ] || { sleep $pause; continue 2; }; done
  break
done
[ ! -e "$2/$3" ] || echo -1 >"$2/$3"
"""

_numbers = itertools.count()


class LabError(RuntimeError):
    """A machine could not be made or started, or a command failed."""


class Workshop:
    """Commands run inside it; `keeper` is the pid of its first process."""

    def __init__(self, name: str, keeper: int, groups: list[Path]) -> None:
        self.name, self.keeper, self.groups = name, keeper, groups

    def enter(self) -> list[str]:
        """What a command begins with, to run inside."""
        return ["nsenter", "--target", str(self.keeper), "--mount", "--net", "--pid", "--"]

    def run(
        self, *argv: str, timeout_s: float = 60, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> str:
        """Run to the end; standard output. Raises LabError."""
        try:
            done = subprocess.run(
                [*self.enter(), *argv], input=stdin, text=True, capture_output=True, timeout=timeout_s,
                check=False, env=os.environ | {"PATH": PATH, "LC_ALL": "C.UTF-8"} | dict(env or {}),
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            raise LabError(f"{' '.join(argv[:3])} did not end within {timeout_s:.0f} s") from exc
        if done.returncode:
            raise LabError(f"{' '.join(argv)[:200]}: {(done.stderr.strip() or done.stdout)[-2000:]}")
        return done.stdout


def missing() -> str:
    """Why this computer can start no machines; empty where it can."""
    if os.geteuid():
        return "systemd-nspawn and debootstrap need root"
    lacking = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)})
    if lacking:
        return f"needs {' '.join(lacking)}: apt-get install {' '.join(lacking)}"
    if not apt_sources():
        return "machines are made from this computer's own Debian sources, and it has none"
    try:
        with workshop():
            return ""
    except LabError as exc:
        return str(exc)


@contextmanager
def workshop() -> Iterator[Workshop]:
    """With the network of nobody but its own."""
    name = f"pinhole-fleet-{os.getpid()}-{next(_numbers)}"
    groups = [root / name for root in group_roots()]
    with subprocess.Popen(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL",
         "sh", "-c", _KEEPER, "keeper", " ".join(map(str, groups)), str(BINFMT), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"PATH": PATH},
    ) as popen:  # fmt: skip
        assert popen.stdin and popen.stdout and popen.stderr  # noqa: PT018 - for the types alone
        try:
            if popen.stdout.readline() != b"ready\n":
                said = popen.stderr.read().decode(errors="replace").strip()
                raise LabError(f"no namespaces here: {said}")
            # unshare's child is process 1 of the new namespace.
            children = Path(f"/proc/{popen.pid}/task/{popen.pid}/children").read_text().split()
            for group in groups:
                group.mkdir()
            yield Workshop(name, int(children[0]), groups)
        finally:
            with suppress(BrokenPipeError):
                popen.communicate(b"goodbye\n", timeout=30)


def group_roots() -> list[Path]:
    """Where systemd keeps its control groups: one hierarchy, or two on machines with version 1."""
    roots = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        where, _, kind = line.partition(" - ")
        point, options = where.split()[4], kind.split()
        if options[0] == "cgroup2" or (options[0] == "cgroup" and "name=systemd" in options[2]):
            roots[point] = Path(point)
    return list(roots.values())


def apt_sources() -> tuple[str, str] | None:
    """Debian mirror of this computer, and its keyring; a mirror has every release."""
    texts = [file.read_text() for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))]
    for text in texts:
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            suites = RELEASES.intersection(fields.get("Suites", "").split())
            if suites and "debian-archive" in fields.get("Signed-By", ""):
                return fields["URIs"].split()[0], fields["Signed-By"]
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]:
        for line in file.read_text().splitlines() if file.exists() else ():
            words = [word for word in line.split() if not word.startswith(("[", "signed-by"))]
            if words[:1] == ["deb"] and RELEASES.intersection(words[2:3]):
                return words[1], "/usr/share/keyrings/debian-archive-keyring.gpg"
    return None


def run_arm64(shop: Workshop) -> None:
    """Let the kernel hand arm64 programs to qemu; ends with the workshop."""
    # Where somebody else mounted it, ours is the same one; and a rule of our own stays when another's goes.
    shop.run("sh", "-c", f"[ -e {BINFMT}/register ] || mount -t binfmt_misc binfmt_misc {BINFMT}")
    qemu = shutil.which("qemu-aarch64-static", path=PATH)
    rule = AARCH64.format(name=shop.name, qemu=qemu)
    shop.run("sh", "-c", f"[ -e {BINFMT}/{shop.name} ] || cat >{BINFMT}/register", stdin=rule)
