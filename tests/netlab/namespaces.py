"""Network namespaces of one test: named, entered by processes, and gone with the process that made them.

A keeper process holds a private mount and network namespace (and a user namespace where we are not root). Its
/run/netns is its own, so labs never see each other, names need no prefix, and nothing is left to clean: the
keeper reads a pipe of ours. When that closes, whatever killed us, it kills what runs in the lab, removes the
lab's folder and ends; the kernel takes the rest.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

COMMAND_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 8.0
TOOLS = {"ip": "iproute2", "nft": "nftables", "unshare": "util-linux", "nsenter": "util-linux"}
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where Debian keeps ip and nft from common users

# A fresh /run/netns, shared with those who enter: all see what `ip netns add` mounts there. Where the machine
# has no such folder, a fresh /run, so that we need not make one outside.
_KEEPER = """
[ -d /run/netns ] || { mount -t tmpfs netlab /run && mkdir /run/netns; } || exit 1
mount -t tmpfs netlab /run/netns && mount --make-shared /run/netns && ip link set lo up || exit 1
echo ready
read -r goodbye || for pause in 0.1 0.3 1; do
  for host in /run/netns/*; do kill -KILL $(ip netns pids "${host##*/}"); done 2>/dev/null
  sleep $pause  # for what was on its way in
done
rm -rf "$1"
"""
# Names as the host sees them and the caller's folder, then the program itself. The pid stays the same all the
# way, so whoever started the script owns the program.
_ENTER = """#!/bin/sh
exec {nsenter} unshare --mount --propagation unchanged sh -c '
for file in hosts resolv.conf; do
  [ ! -e "/etc/$file" ] || mount --bind "$0/$file" "/etc/$file" || exit 126
done
cd "$1" && shift && exec "$@"' {folder} "$PWD" {program}"$@"
"""


class LabError(RuntimeError):
    """The lab could not be set up, or a command in it failed."""


@dataclass
class Process:
    """A program that runs in a host of the lab."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log_file: Path
    popen: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, or start it again after a `stop`; the log goes on."""
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.env,
            )

    def log(self) -> str:
        """What it said so far."""
        return self.log_file.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, insist after a while, and reap it."""
        if self.popen.poll() is None:
            self.popen.send_signal(how)
            try:
                self.popen.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()


@dataclass
class Namespaces:
    """Hosts by name; an empty name is the keeper itself, from which all of them can be reached."""

    folder: Path
    keeper: int
    processes: list[Process] = field(default_factory=list)

    def lay(self, host: str, hosts_file: str) -> None:
        """Make it possible to enter `host`, which sees `hosts_file` as its /etc/hosts and asks no DNS."""
        folder = self.folder / (host or "keeper")
        folder.mkdir()
        (folder / "hosts").write_text(hosts_file)
        (folder / "resolv.conf").write_text("")
        self.script(host, folder / "enter")

    def script(self, host: str, path: Path, program: str = "") -> Path:
        """Write a script that runs `program` with its arguments (or the arguments) in `host`."""
        folder = self.folder / (host or "keeper")
        program = f'"{program}" ' if program else ""
        path.write_text(_ENTER.format(nsenter=" ".join(self._nsenter(host)), folder=folder, program=program))
        path.chmod(0o755)
        return path

    def run(self, host: str, *argv: str, stdin: str = "", timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command in `host` to its end; its standard output. Raises LabError."""
        try:
            done = subprocess.run(
                [self._enter(host), *argv],
                input=stdin, text=True, capture_output=True, timeout=timeout_s, check=False,
                env=_environment(),
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            raise LabError(f"{argv[0]} in {host} did not end within {timeout_s:.0f} s") from exc
        if done.returncode:
            raise LabError(
                f"{' '.join(argv)} in {host or 'the keeper'}: {done.stderr.strip() or done.stdout}"
            )
        return done.stdout

    def start(
        self, host: str, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a program in `host`; it ends with the lab, or with us."""
        log_file = self.folder / f"{name}.log"
        process = Process(name, [self._enter(host), *argv], _environment() | dict(env or {}), log_file)
        process.start()
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End every program, the latest first."""
        for process in reversed(self.processes):
            process.stop()

    def _enter(self, host: str) -> str:
        return str(self.folder / (host or "keeper") / "enter")

    def _nsenter(self, host: str) -> list[str]:
        # The path through the keeper's root is read before its mount namespace is entered.
        net = f"/proc/{self.keeper}/root/run/netns/{host}" if host else f"/proc/{self.keeper}/ns/net"
        user = ["--user", "--preserve-credentials"] if os.geteuid() else []
        return ["nsenter", "--target", str(self.keeper), *user, "--mount", f"--net={net}", "--"]


@contextmanager
def namespaces(hosts: Sequence[str], hosts_file: str) -> Iterator[Namespaces]:
    """Hosts without any link yet. Raises LabError where the machine does not allow namespaces."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pinhole-netlab-"))
        spaces = Namespaces(folder, stack.enter_context(_keeper(folder)))
        stack.callback(spaces.stop)
        for host in ("", *hosts):
            spaces.lay(host, hosts_file)
        spaces.run("", "ip", "-batch", "-", stdin="".join(f"netns add {host}\n" for host in hosts))
        yield spaces


def missing() -> str:
    """Why this machine cannot run a lab, empty where it can."""
    lacking = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=_PATH)})
    if lacking:
        return f"needs {' '.join(lacking)}: sudo apt-get install {' '.join(lacking)}"
    try:
        with _keeper(Path(tempfile.mkdtemp(prefix="pinhole-netlab-"))):
            return ""
    except LabError as exc:
        return str(exc)


@contextmanager
def _keeper(folder: Path) -> Iterator[int]:
    """Yield the keeper's pid; `folder` goes with it."""
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    with subprocess.Popen(
        ["unshare", *user, "--net", "--mount", "sh", "-c", _KEEPER, "netlab-keeper", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=_environment(),
    ) as popen:  # fmt: skip
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        try:
            if popen.stdout.readline() != b"ready\n":
                said = popen.stderr.read().decode(errors="replace").strip()
                raise LabError(f"no network namespaces here, neither as root nor by user namespaces: {said}")
            yield popen.pid
        finally:
            with suppress(BrokenPipeError):
                popen.communicate(b"goodbye\n")
            shutil.rmtree(folder, ignore_errors=True)  # where the keeper never came to be


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": _PATH}
