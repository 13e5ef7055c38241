"""A machine that is played, on which `pinhole-release` is killed before a step and then used again.

A step is whatever another process could see: a file opened to be written, renamed, linked or removed, a
folder made, a program started, a word to systemd. The kill is SIGKILL, to a child process on real files;
systemd, pip and the network are played.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from parts.release_tool import load

release = load("pinhole_release_kills")

EVENTS = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "shutil.copyfile",
    "shutil.rmtree", "subprocess.Popen",
}  # fmt: skip
SHARED, UNIT, TOOL = "shared-1-py3-none-any.whl", "pinhole.service", "pinhole-release"
TARGET = "device/x86_64/cp311"
GOOD, BAD = ("", False), ("it ended 5 times", True)


@dataclass(frozen=True)
class Story:
    """What somebody does until it is done, on a machine where 1.0 and 1.1 are good, and 1.1 runs."""

    tell: object
    ends_at: tuple[str, ...]
    finding: tuple[str, bool] = GOOD
    word: str = "confirmed"
    """From outside, once the release is healthy."""


def pull(world):
    release.pull(world.paths, world.settings)


def push(world):
    """As the role release does."""
    world.command("status")
    if release.current_version(world.paths) == "1.2":
        return
    sent = [(file.name, file.read_bytes()) for file in (world.mirror / "1.2").glob("manifest*")]
    lacking = release.receive(world.paths, world.settings, parcel(sent))
    for name in lacking:
        release.receive(world.paths, world.settings, parcel([(name, content(name))]))
    world.command("install")
    world.command("activate", "1.2", "--needs-confirmation")
    world.command("confirm", "1.2")


def roll_back(world):
    release.rollback(world.paths, world.settings)


STORIES = {
    "pull": Story(pull, ("1.2",)),
    "pull-bad": Story(pull, ("1.1",), BAD),
    "push": Story(push, ("1.2",)),
    "push-bad": Story(push, ("1.1",), BAD),
    "push-refused": Story(push, ("1.1",), word="refused"),
    "rollback": Story(roll_back, ("1.0", "1.1")),
    "rollback-bad": Story(roll_back, ("1.1",), BAD),
}


class World:
    """A machine, its systemd, and a mirror."""

    def __init__(self, root, mirror, story=Story(pull, ())):
        self.paths, self.mirror = release.Paths(root), mirror
        self.finding, self.word = story.finding, story.word
        self.settings = release.Settings(
            "device",
            UNIT,
            "c",
            str(root / "etc/pinhole/release-signers"),
            ["check"],
            "s",
            url="http://mirror",
        )
        self.offered = "1.2"
        self.now, self.trial, self.steps, self.kill_at = 0.0, "inactive", 0, None

    def step(self):
        self.steps += 1
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event, args):
        if event == "open":
            mode, flags = args[1] or "", args[2]
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else mode != "r"
            if not writes or not str(args[0]).startswith(str(self.paths.root)):
                return
        elif event not in EVENTS:
            return
        self.step()

    def names(self, version):
        return [SHARED, own(version), f"{UNIT}-{version}", f"{TOOL}-{version}"]

    def command(self, *words):
        if release.main(list(words), self.paths):
            raise release.ReleaseError(f"{words} failed")

    # what the machine has

    def systemctl(self, *words, **_):
        self.step()
        if words[:2] == ("start", "--no-block"):
            self.trial = "activating"
        return ""

    def show(self, *_):
        return {"ActiveState": self.trial, "Job": ""}

    def sleep(self, s):
        """While who waits sleeps, the trial's service runs."""
        self.now += s
        state = release.load_state(self.paths)
        if self.trial == "running" and state.trial["stage"] == "healthy":
            release.write_atomically(self.paths.run / self.word, b"no picture", 0o600)
        if self.trial == "activating":
            self.trial = "running"
            try:
                release.run_trial(self.paths, self.settings)
            finally:
                self.trial = "inactive"

    def venv(self, argv, **_):
        self.step()
        if "venv" in argv:
            folder = Path(argv[-1])
            for made in ("lib/python3/site-packages", "bin"):
                (folder / made).mkdir(parents=True)
            (folder / "bin/pinhole").write_text("")

    def pip_install(self, folder, wheels):
        self.step()
        for wheel in wheels:
            name = "-".join(Path(wheel).name.split("-")[:2])
            site = folder / "lib/python3/site-packages"
            (site / f"{name}.py").write_text("x")
            (site / f"{name}.dist-info").mkdir()
            (site / f"{name}.dist-info/RECORD").write_text(f"{name}.py,,\n{name}.dist-info/RECORD,,\n")

    def open_url(self, _, name, headers):
        self.step()
        start = int(headers["Range"][6:-1]) if headers else 0
        data = (
            (self.mirror / self.offered / name).read_bytes() if name.startswith("man") else content(name[6:])
        )
        answer = Answer(data[start:])
        answer.status = 206 if headers else 200
        return answer


class Answer(io.BytesIO):
    status = 200


def own(version):
    return f"pinhole-{version}-py3-none-any.whl"


def content(name):
    return name.encode() * 3


def parcel(members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    data.seek(0)
    return data


def write_manifest(folder, version, serial):
    names = [SHARED, own(version), f"{UNIT}-{version}", f"{TOOL}-{version}"]
    manifest = {
        "format": 1, "version": version, "serial": serial,
        "files": {name: {"sha256": hashlib.sha256(content(name)).hexdigest(), "size": len(content(name))}
                  for name in names},
        "targets": {TARGET: names[:2]},
        "system": [{"file": names[2], "path": "/etc/systemd/system/pinhole.service"},
                   {"file": names[3], "path": "/usr/local/sbin/pinhole-release"}],
        "signers": [f"ssh-ed25519 {'A' * 60}{serial}"],
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "manifest.json.sig").write_text("signed")


def play(world, monkeypatch):
    """Put this world in place of the real one."""
    monkeypatch.setattr(release, "systemctl", world.systemctl)
    monkeypatch.setattr(release, "show", world.show)
    monkeypatch.setattr(release, "command", world.venv)
    monkeypatch.setattr(release, "pip_install", world.pip_install)
    monkeypatch.setattr(release, "open_url", world.open_url)
    monkeypatch.setattr(release, "examine", lambda *_: world.finding)
    monkeypatch.setattr(release, "count_signatures", lambda *_: world.step())
    monkeypatch.setattr(release, "check_settings", lambda *_: world.step())
    monkeypatch.setattr(release, "load_settings", lambda _: world.settings)
    monkeypatch.setattr(release, "target_of", lambda _: TARGET)
    monkeypatch.setattr(release.os, "fsync", lambda _: world.step())
    monkeypatch.setattr(release.os, "sync", world.step)
    monkeypatch.setattr(release.time, "monotonic", lambda: world.now)
    monkeypatch.setattr(release.time, "sleep", world.sleep)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The machine before each story, and the mirror; made by the program itself."""
    folder = tmp_path_factory.mktemp("begun")
    for serial, version in enumerate(("1.0", "1.1", "1.2", "1.3"), start=1):
        write_manifest(folder / "mirror" / version, version, serial)
    root = folder / "machine"
    for made in (
        "etc/systemd/system",
        "etc/pinhole",
        "usr/local/sbin",
        "opt/pinhole/releases",
        "opt/pinhole/incoming",
    ):
        (root / made).mkdir(parents=True)
    (root / "etc/pinhole/release-signers").write_text("of the first day")
    world = World(root, folder / "mirror")
    with pytest.MonkeyPatch.context() as patch:
        play(world, patch)
        for world.offered in ("1.0", "1.1"):
            release.pull(world.paths, world.settings)
    return folder


def in_child(world, body, kill_at=None):
    """How many steps it took; None where it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            world.steps, world.kill_at = 0, kill_at
            sys.addaudithook(world.audit)
            with contextlib.suppress(release.ReleaseError):
                body()
            os.write(writing, str(world.steps).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        steps = said.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    assert steps, "it raised something else"
    return int(steps)


def power_cut(world):
    shutil.rmtree(world.paths.run, ignore_errors=True)
    release.boot_check(world.paths)


def stop_post(world):
    """As pinhole-release-trial.service does where its process is gone."""
    world.command("settle")


AFTERWARDS = {"again": lambda _: None, "power cut": power_cut, "stop-post": stop_post}


def files(folder):
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def runs(world):
    """The release that starts when the machine does."""
    assert (world.paths.current / "bin/pinhole").exists(), "nothing can start"
    return release.current_version(world.paths)


def is_tidy(world, ends_at):
    """One of the ends, whole, with its unit; and nothing else."""
    paths, current = world.paths, runs(world)
    assert current in ends_at
    state = release.parse_state(paths.state.read_bytes())
    assert state == release.parse_state(paths.state_copy.read_bytes())
    assert state.trial is None
    assert files(paths.incoming) in ([], ["manifest.json", "manifest.json.sig"])
    assert files(paths.home) == [
        "current",
        "incoming",
        "mirror.json",
        "releases",
        "state-copy.json",
        "state.json",
    ]
    assert files(paths.releases) == sorted(release.installed(paths))
    assert not list(paths.releases.glob("*/unfinished"))
    assert files(paths.run) in ([], ["lock"])
    assert files(paths.root / "etc/pinhole") == ["release-signers"]
    units, programs = paths.root / "etc/systemd/system", paths.root / "usr/local/sbin"
    assert (files(units), files(programs)) == ([UNIT], [TOOL])
    assert (units / UNIT).read_bytes() == content(f"{UNIT}-{current}")
    if current in state.good:
        assert (programs / TOOL).read_bytes() == content(f"{TOOL}-{current}")


def kill(begun, folder, story, at, afterwards, monkeypatch):
    """One kill, and what comes after. False where the story was over before."""
    root = folder / "machine"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(begun / "machine", root, symlinks=True)
    world = World(root, begun / "mirror", story)
    play(world, monkeypatch)
    if in_child(world, lambda: story.tell(world), at) is not None:
        return False
    runs(world)
    AFTERWARDS[afterwards](world)
    runs(world)
    in_child(world, lambda: story.tell(world))
    is_tidy(world, story.ends_at)
    world.offered, world.finding = "1.3", GOOD
    in_child(world, lambda: pull(world))
    is_tidy(world, ("1.3",))
    assert "A3" not in (root / "etc/pinhole/release-signers").read_text()
    assert "A4" in (root / "etc/pinhole/release-signers").read_text()
    return True


def count_steps(begun, folder, story, monkeypatch):
    shutil.copytree(begun / "machine", folder / "counted", symlinks=True)
    world = World(folder / "counted", begun / "mirror", story)
    play(world, monkeypatch)
    return in_child(world, lambda: story.tell(world))
