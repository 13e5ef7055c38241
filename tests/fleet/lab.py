"""Machines on one network: Debian booted by systemd-nspawn, with sshd; we are the control host."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import image
from fleet.workshop import PATH, LabError, Workshop, run_arm64, workshop

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.50.0"
CONTROL = f"{NETWORK}.1"
BOOT_TIMEOUT_S = 90.0


@dataclass
class Machine:
    """One container."""

    name: str
    address: str
    folder: Path
    arch: str
    variables: dict[str, Any] = field(default_factory=lambda: {"ansible_user": "root"})
    """Ansible's, of this host alone."""
    popen: subprocess.Popen[bytes] | None = None


@dataclass
class Lab:
    """Machines by name, and Ansible to reach them."""

    shop: Workshop
    folder: Path
    machines: dict[str, Machine] = field(default_factory=dict)

    def add(self, name: str, arch: str = "amd64", suite: str = image.SUITE) -> Machine:
        """Make a machine and its place in the network; `boot` starts it."""
        machine = Machine(name, f"{NETWORK}.{11 + len(self.machines)}", self.folder / name, arch)
        lower, root = image.build(arch, suite), machine.folder / "root"
        if arch == "arm64":
            run_arm64(self.shop)
        index = len(self.machines)
        self.machines[name] = machine
        for part in ("upper", "work", "root"):
            (machine.folder / part).mkdir(parents=True)
        options = f"lowerdir={lower},upperdir={machine.folder / 'upper'},workdir={machine.folder / 'work'}"
        self.shop.run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
        # A machine here outlives no power cut of ours; dpkg need not wait for the disk.
        self._write(machine, "etc/dpkg/dpkg.cfg.d/lab", "force-unsafe-io\n")
        # There is no time to be had here: the camera would wait a minute for it at its first start.
        self.shop.run("ln", "-s", "/dev/null", f"{root}/etc/systemd/system/pinhole-clock.service")
        self._write(machine, "etc/hostname", f"{name}\n")
        hosts = "".join(f"{NETWORK}.{11 + i} {other}\n" for i, other in enumerate(self.machines))
        self._write(machine, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n{hosts}")
        self._write(machine, "root/.ssh/authorized_keys", (self.folder / "id.pub").read_text(), mode="600")
        self.shop.run("sh", "-c", f"""
            ip netns add {name} && ip link add host0 netns {name} type veth peer name p{index} &&
            ip link set p{index} master br0 up && ip -n {name} link set lo up &&
            ip -n {name} addr add {machine.address}/24 dev host0 && ip -n {name} link set host0 up &&
            ip -n {name} route add default via {CONTROL}""")  # fmt: skip
        return machine

    def boot(self, *names: str) -> None:
        """Start machines and wait for their sshd. Raises LabError."""
        for name in names:
            machine = self.machines[name]
            groups = [group / name for group in self.shop.groups]
            for group in groups:
                group.mkdir(exist_ok=True)
            enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in groups)
            nspawn = (
                f"systemd-nspawn --quiet --directory={machine.folder}/root --boot --register=no --keep-unit "
                f"--network-namespace-path=/run/netns/{name} --machine={name} --resolv-conf=off "
                "--console=pipe --capability=CAP_NET_ADMIN"  # a machine has a firewall of its own
            )
            with (machine.folder / "console.log").open("ab") as log:
                machine.popen = subprocess.Popen(
                    [*self.shop.enter(), "sh", "-c", f"{enter} exec {nspawn}"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env=os.environ | {"PATH": PATH},
                )  # fmt: skip
        for name in names:
            self._await_ssh(self.machines[name])

    def add_operator(self, name: str, user: str = "pi") -> None:
        """From now on Ansible signs in as `user`, who may use sudo, and not as root."""
        may = f"{user} ALL=(ALL) NOPASSWD:ALL"
        self.ssh(name, f"""useradd --create-home --shell /bin/bash {user} && cp -r /root/.ssh /home/{user}/ &&
            chown -R {user}: /home/{user}/.ssh && echo '{may}' >/etc/sudoers.d/{user}""")  # fmt: skip
        self.machines[name].variables["ansible_user"] = user

    def cut_power(self, name: str) -> None:
        """No shutdown: every process in it is gone at once."""
        machine = self.machines[name]
        assert machine.popen is not None
        # nspawn ends with the machine's own process 1, which is the first in the payload's group.
        for group in self.shop.groups:
            for folder, _, _ in os.walk(group / name):
                with suppress(OSError):  # a session's group that is gone by now
                    for pid in Path(folder, "cgroup.procs").read_text().split():
                        if pid != "0":
                            subprocess.run(["kill", "-KILL", pid], check=False, capture_output=True)
        machine.popen.wait(30)

    def set_link(self, name: str, state: str) -> None:
        """`up` or `down`: pull a machine's cable."""
        self.shop.run("ip", "-n", name, "link", "set", "host0", state)
        if state == "up":
            self.shop.run("sh", "-c", f"ip -n {name} route replace default via {CONTROL}")

    def ssh(self, name: str, command: str, timeout_s: float = 60, *, check: bool = True) -> str:
        """Run a command on a machine as root; its standard output."""
        argv = ["ssh", *self._ssh_options(), f"root@{self.machines[name].address}", command]
        try:
            return self.shop.run(*argv, timeout_s=timeout_s)
        except LabError:
            if check:
                raise
            return ""

    def release(self, name: str) -> dict[str, Any]:
        """`pinhole-release status` of a machine."""
        return dict(json.loads(self.ssh(name, "pinhole-release status")))

    def play(
        self, inventory: Path, *arguments: str, playbook: str = "site.yml", timeout_s: float = 900
    ) -> "Played":
        """`ansible-playbook` from the control host."""
        report = inventory.with_suffix(".report")
        report.unlink(missing_ok=True)
        env = ansible_environment(self.folder) | {"PINHOLE_ROLLOUT_REPORT": str(report)}
        popen = subprocess.Popen(
            [*self.shop.enter(), "sh", "-c", 'cd "$0" && exec "$@"', str(ROOT / "ansible"),
             str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), playbook,
             *arguments],
            env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Played(popen, report, timeout_s)

    def _ssh_options(self) -> list[str]:
        return ["-q", "-i", str(self.folder / "id"), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=3"]  # fmt: skip

    def _write(self, machine: Machine, path: str, text: str, mode: str = "644") -> None:
        target = machine.folder / "root" / path
        script = f"mkdir -p {target.parent} && cat >{target} && chmod {mode} {target}"
        self.shop.run("sh", "-c", script, stdin=text)

    def _await_ssh(self, machine: Machine) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                self.ssh(machine.name, "true", timeout_s=20)
            except LabError:
                assert machine.popen is not None
                if machine.popen.poll() is not None:
                    break
                time.sleep(0.3)
            else:
                return
        console = (machine.folder / "console.log").read_text(errors="replace")
        raise LabError(f"{machine.name} does not answer to ssh:\n{console[-3000:]}")


@dataclass
class Played:
    """A run of Ansible, under way or over."""

    popen: subprocess.Popen[str]
    report_file: Path
    timeout_s: float
    output: str = ""

    def end(self) -> "Played":
        """Wait for its end."""
        try:
            self.output, _ = self.popen.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.output, _ = self.popen.communicate()
            raise LabError(
                f"the playbook did not end within {self.timeout_s:.0f} s:\n{self.output[-5000:]}"
            ) from None
        return self

    def ok(self) -> "Played":
        """Wait for its end, which must be good."""
        self.end()
        if self.popen.returncode:
            raise LabError(f"the playbook failed:\n{self.output[-8000:]}")
        return self

    @property
    def report(self) -> dict[str, dict[str, str]]:
        """Who runs what, by host."""
        return dict(json.loads(self.report_file.read_text()))

    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host, from the recap."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        lines = [line.split() for line in recap.splitlines() if "changed=" in line]
        return {
            words[0]: int(next(word for word in words if word.startswith("changed=")).partition("=")[2])
            for words in lines
        }


def ansible_environment(folder: Path) -> dict[str, str]:
    """For Ansible in a lab: machines that nobody knows yet, and nothing left in the user's folders."""
    return os.environ | {
        "PATH": PATH,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=20s -o ServerAliveInterval=3 "
        "-o ServerAliveCountMax=3 -o ConnectTimeout=5 -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "PYTHONUNBUFFERED": "1",
    }


def wait_for(condition: Callable[[], Any], seconds: float, every_s: float = 1.0) -> None:
    """Until it holds; a machine that cannot be reached, as while it boots, is asked again."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(LabError):
            if condition():
                return
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(every_s)


@contextmanager
def lab() -> Iterator[Lab]:
    """A network without machines yet."""
    folder = Path(tempfile.mkdtemp(prefix="pinhole-fleet-"))
    try:
        with workshop() as shop:
            shop.run("sh", "-c", f"""
                mkdir -p /run/netns && mount -t tmpfs fleet /run/netns &&
                ip link add br0 type bridge && ip link set br0 up &&
                ip addr add {CONTROL}/24 dev br0""")  # fmt: skip
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", folder / "id"], check=True
            )
            (folder / "cp").mkdir()
            yield Lab(shop, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
