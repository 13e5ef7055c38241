"""No state of `pinhole-release` blocks later releases, and no serial and no mirror can hold a fleet back."""

import hashlib
import io
import json
import ssl
import subprocess
from pathlib import Path

import pytest
from parts.release_tool import load, text

release = load("pinhole_release_stuck")

EMPTY = hashlib.sha256().hexdigest()
NOW = 1_800_000_000.0
TARGET = "device/x86_64/cp311"
UNIT = {"file": "pinhole.service", "path": "/etc/systemd/system/pinhole.service"}
TOOL = {"file": "pinhole-release", "path": "/usr/local/sbin/pinhole-release"}


class Answer(io.BytesIO):
    status = 200


class Machine:
    """A machine on which 1.0 runs and is good, and 1.1 is installed. Its mirror is a folder."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = release.Paths(root / "machine")
        self.mirror = root / "mirror"
        self.settings = release.Settings(
            "device", "pinhole.service", "c", str(root / "signers"), ["check"], "s", url="http://mirror"
        )
        self.key = make_key(root, "key")
        self.trust(self.key)
        self.finding = ("", False)
        self.unit = {"ActiveState": "inactive", "Job": ""}
        monkeypatch.setattr(release, "systemctl", lambda *_, **__: "")
        monkeypatch.setattr(release, "show", lambda *_: self.unit)
        monkeypatch.setattr(release, "target_of", lambda _: TARGET)
        monkeypatch.setattr(release, "examine", lambda *_: self.finding)
        monkeypatch.setattr(release, "check_settings", lambda *_: None)
        monkeypatch.setattr(release, "build", self.build)
        monkeypatch.setattr(release, "open_url", self.open_url)
        monkeypatch.setattr(release.os, "fsync", lambda _: None)  # no power is cut here
        self.now = [100.0]
        monkeypatch.setattr(release.time, "monotonic", lambda: self.now[0])
        monkeypatch.setattr(release.time, "time", lambda: NOW)
        monkeypatch.setattr(release.time, "sleep", self.sleep)
        for folder in ("run/pinhole-release", "opt/pinhole/incoming", "etc/systemd/system", "usr/local/sbin"):
            (self.paths.root / folder).mkdir(parents=True)
        for serial, version in enumerate(("1.0", "1.1"), start=1):
            (self.paths.releases / version).mkdir(parents=True)
            self.build(self.paths, self.settings, manifest(version, serial), self.paths.releases / version)
        release.point_current(self.paths, "1.0")
        release.save_state(self.paths, release.State(good=["1.0"], serial=2))

    def sleep(self, s):
        """While a command waits, the trial's service runs."""
        self.now[0] += s
        if self.unit["ActiveState"] == "inactive":
            self.unit["ActiveState"] = "activating"
            release.run_trial(self.paths, self.settings)
            self.unit["ActiveState"] = "inactive"

    def open_url(self, _, name, headers):
        assert not headers, "nothing was begun"
        return Answer((self.mirror / name).read_bytes() if name.startswith("manifest") else b"")

    def build(self, _, __, manifest, folder):
        (folder / "system").mkdir()
        for system in manifest["system"]:
            (folder / "system" / system["file"]).write_text(f"{system['file']} of {manifest['version']}")
        (folder / "bin").mkdir()
        (folder / "bin/pinhole").write_text("")
        marker = {name: manifest[name] for name in ("version", "serial", "system")}
        marker |= {"python": "11", "wheels": {}, "signers": manifest.get("signers", [])}
        (folder / "release.json").write_text(json.dumps(marker))

    def trust(self, *keys):
        lines = [f'pinhole-release namespaces="pinhole-release" {public(key)}\n' for key in keys]
        Path(self.settings.signers).write_text("".join(lines))

    def offer(self, version, serial, *keys, **more):
        """Put a signed release on the mirror."""
        self.mirror.mkdir(exist_ok=True)
        (self.mirror / "manifest.json").write_text(json.dumps(manifest(version, serial) | more))
        (self.mirror / "manifest.json.sig").write_bytes(
            b"".join(sign(key, self.mirror / "manifest.json") for key in keys or [self.key])
        )

    def pull(self):
        return release.pull(self.paths, self.settings)

    @property
    def state(self):
        return release.load_state(self.paths)

    @property
    def current(self):
        return release.current_version(self.paths)

    @property
    def note(self):
        """What the agent's doctor reads."""
        return json.loads(self.paths.mirror.read_text())


def manifest(version, serial):
    return {
        "format": 1, "version": version, "serial": serial, "targets": {TARGET: []}, "system": [UNIT, TOOL],
        "files": {system["file"]: {"sha256": EMPTY, "size": 0} for system in (UNIT, TOOL)},
    }  # fmt: skip


def make_key(folder, name):
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    return key


def public(key):
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def sign(key, file):
    signature = file.with_suffix(".json.sig")
    signature.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "pinhole-release", file],
        check=True,
        capture_output=True,
    )
    return signature.read_bytes()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def begin(machine, version="1.1", stage="running"):
    """A trial that was killed."""
    state = machine.state
    state.trial = {
        "version": version,
        "previous": "1.0",
        "since": 0.0,
        "stage": stage,
        "needs_confirmation": False,
    }
    release.save_state(machine.paths, state)


# --- stuck states


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "{}", '{"serial": "x"}', "\xff"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_release_without_a_readable_marker_blocks_none(machine, version, content):
    (machine.paths.releases / version / "release.json").write_text(content)
    machine.offer("1.2", 3)
    assert machine.pull()
    assert machine.current == "1.2"


@pytest.mark.parametrize("stage", ["starting", "running", "healthy"])
def test_a_power_cut_in_the_trial_of_a_release_that_cannot_be_read_ends_at_the_last_good_one(machine, stage):
    begin(machine, stage=stage)
    release.point_current(machine.paths, "1.1")
    (machine.paths.releases / "1.1/release.json").write_text("")
    release.boot_check(machine.paths)
    assert (machine.current, machine.state.trial) == ("1.0", None)


@pytest.mark.parametrize("stage", ["starting", "running", "healthy", "returning"])
def test_a_killed_trial_ends_at_the_last_good_release_and_blocks_none(machine, stage):
    begin(machine, stage=stage)
    release.point_current(machine.paths, "1.1")
    with release.lock(machine.paths):
        release.settle(machine.paths, machine.settings)
    assert (machine.current, machine.state.trial) == ("1.0", None)
    machine.offer("1.2", 3)
    assert machine.pull()
    assert machine.current == "1.2"


@pytest.mark.parametrize("lost", ["release.json", "system/pinhole.service"])
def test_a_last_good_release_that_is_damaged_is_better_than_none(machine, lost):
    (machine.paths.releases / "1.0" / lost).unlink()
    machine.finding = ("it sees nothing", True)
    with pytest.raises(release.ReleaseError, match="it sees nothing"):
        release.activate(machine.paths, machine.settings, "1.1", needs_confirmation=False)
    assert (machine.current, machine.state.trial) == ("1.0", None)


def test_a_killed_trial_blocks_no_later_one(machine):
    begin(machine, stage="starting")
    release.point_current(machine.paths, "1.1")
    machine.offer("1.2", 3)
    assert machine.pull()
    assert machine.current == "1.2"


def test_a_command_that_was_killed_before_its_trial_began_costs_the_release_nothing(machine):
    begin(machine, stage="starting")
    assert release.activate(machine.paths, machine.settings, "1.1", needs_confirmation=False)
    assert (machine.current, machine.state.given_back) == ("1.1", [])


def test_a_trial_that_is_about_to_begin_is_left_alone(machine):
    begin(machine, stage="starting")
    machine.unit["Job"] = "17"
    with pytest.raises(release.ReleaseError, match=r"1\.1 is on trial"):
        release.activate(machine.paths, machine.settings, "1.1", needs_confirmation=False)


DAMAGE = ["", "{", "[]", "{}", "\0" * 300, '{"good": 7, "trial": null, "given_back": [], "serial": 2}']


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_state_blocks_no_release_and_forgets_nothing(machine, content):
    machine.paths.state.write_text(content)
    assert (machine.state.good, machine.state.serial) == (["1.0"], 2)
    machine.offer("1.2", 3)
    assert machine.pull()
    assert (machine.current, machine.state.good) == ("1.2", ["1.2", "1.0"])
    release.parse_state(machine.paths.state.read_bytes())


@pytest.mark.parametrize("content", DAMAGE)
def test_where_its_copy_is_damaged_too_it_is_made_from_what_is_there(machine, content):
    for file in (machine.paths.state, machine.paths.state_copy):
        file.write_text(content)
    assert (machine.state.good, machine.state.serial) == (["1.0"], 1)
    machine.offer("0.9", 0)
    with pytest.raises(release.ReleaseError, match="older"):
        machine.pull()
    machine.offer("1.2", 3)
    assert machine.pull()


def test_a_trial_of_the_only_other_release_ends_at_what_ran_before(machine):
    """Rolled back by hand to a release that fails: what ran before is not good, but it ran."""
    release.save_state(machine.paths, release.State(good=["1.0", "1.1"], serial=2))
    machine.finding = ("it sees nothing", True)
    with pytest.raises(release.ReleaseError, match="it sees nothing"):
        release.rollback(machine.paths, machine.settings)
    assert machine.current == "1.0"


def test_a_download_that_was_killed_when_it_was_complete_is_not_asked_for_again(machine, monkeypatch):
    """A web server answers 416 where nothing is left (RFC 9110 section 15.5.17), for ever."""
    monkeypatch.setattr(release, "open_url", lambda *_: pytest.fail("asked"))
    target = machine.paths.incoming / "a.whl"
    (machine.paths.incoming / "a.whl.part").write_bytes(b"")
    release.download(machine.settings, "a.whl", target, {"size": 0, "sha256": EMPTY})
    assert target.exists()


# --- serials


def test_a_serial_of_a_clock_in_2031_blocks_no_later_release(machine):
    """A count begins above all of them."""
    release.save_state(machine.paths, release.State(good=["1.0"], serial=1_930_000_000))
    machine.offer("1.2", release.FIRST_SERIAL + 1)
    assert machine.pull()


def test_an_absurd_serial_is_refused(machine):
    machine.offer("1.2", 5_000_000_000)
    with pytest.raises(release.ReleaseError, match="absurdly far"):
        machine.pull()
    assert machine.state.serial == 2
    machine.offer("1.2", release.FIRST_SERIAL + 5)
    assert machine.pull()


def test_a_signer_can_say_that_serials_were_a_mistake(machine):
    release.save_state(machine.paths, release.State(good=["1.0"], serial=5_000_000_000))
    machine.offer("1.2", release.FIRST_SERIAL + 1)
    with pytest.raises(release.ReleaseError, match="older"):
        machine.pull()
    machine.offer("1.2", release.FIRST_SERIAL + 1, down_from=4_000_000_000)
    assert machine.pull()
    assert machine.state.serial == release.FIRST_SERIAL + 1


# --- mirrors


def test_a_mirror_that_withholds_releases_is_told(machine):
    machine.offer("1.0", 1, expires=int(NOW) + 60)
    assert machine.pull() is False
    assert machine.note == {"version": "1.0", "expires": NOW + 60, "problem": ""}
    machine.offer("1.0", 1, expires=int(NOW) - 60)
    with pytest.raises(release.ReleaseError, match="expired on 2027-01-15: newer ones are withheld"):
        machine.pull()
    assert "expired" in machine.note["problem"]


def test_what_has_expired_is_not_pulled(machine):
    machine.offer("1.2", 3, expires=int(NOW) - 60)
    with pytest.raises(release.ReleaseError, match="expired"):
        machine.pull()
    assert machine.current == "1.0"


def test_a_release_without_a_date_is_taken_as_before(machine):
    machine.offer("1.2", 3)
    assert machine.pull()
    assert machine.note == {"version": "1.2", "expires": 0, "problem": ""}


def test_a_mirror_that_offers_old_or_unsigned_releases_is_told(machine):
    machine.offer("0.9", 1)
    with pytest.raises(release.ReleaseError, match="older"):
        machine.pull()
    assert "older" in machine.note["problem"]
    (machine.mirror / "manifest.json").write_text("{}")
    with pytest.raises(release.ReleaseError, match="bad signature"):
        machine.pull()
    assert "bad signature" in machine.note["problem"]


# --- keys


def test_new_keys_count_once_the_release_that_names_them_is_good(machine, tmp_path):
    new = make_key(tmp_path, "new")
    machine.offer("1.2", 3, machine.key, new, signers=[public(new)])
    assert machine.pull()
    assert machine.pull() is False  # the same release, now by the new key
    machine.offer("1.3", 4)
    with pytest.raises(release.ReleaseError, match="bad signature"):
        machine.pull()
    machine.offer("1.3", 4, new)
    assert machine.pull()


def test_new_keys_of_a_release_that_was_given_back_do_not_count(machine, tmp_path):
    new = make_key(tmp_path, "new")
    machine.finding = ("it sees nothing", True)
    machine.offer("1.2", 3, machine.key, new, signers=[public(new)])
    with pytest.raises(release.ReleaseError, match="it sees nothing"):
        machine.pull()
    machine.offer("1.3", 4, new)
    with pytest.raises(release.ReleaseError, match="bad signature"):
        machine.pull()


def test_keys_that_have_not_signed_themselves_are_not_taken(machine, tmp_path):
    new = make_key(tmp_path, "new")
    machine.offer("1.2", 3, signers=[public(new)])
    with pytest.raises(release.ReleaseError, match="not by a key in the manifest's own signers"):
        machine.pull()


def test_a_stranger_rotates_no_keys(machine, tmp_path):
    stranger = make_key(tmp_path, "stranger")
    machine.offer("1.2", 3, stranger, signers=[public(stranger)])
    with pytest.raises(release.ReleaseError, match="bad signature"):
        machine.pull()


def test_two_of_three_keys_must_sign_where_two_are_asked_for(machine, tmp_path):
    other, third, stranger = (make_key(tmp_path, name) for name in ("other", "third", "stranger"))
    machine.trust(machine.key, other, third)
    machine.settings = release.dataclasses.replace(machine.settings, signatures=2)
    for keys in ([machine.key], [machine.key, machine.key], [machine.key, stranger]):
        machine.offer("1.2", 3, *keys)
        with pytest.raises(release.ReleaseError, match=r"by 1 keys in .*, and 2 are needed"):
            machine.pull()
    machine.offer("1.2", 3, other, third)
    assert machine.pull()


@pytest.mark.parametrize(
    "more",
    [
        {"signers": ["ssh-ed25519 AAAA\nx"]},
        {"signers": "ssh"},
        {"signers": [1]},
        {"expires": "soon"},
        {"down_from": 1.5},
    ],
)
def test_what_came_later_to_the_manifest_is_checked_too(more):
    with pytest.raises(release.ReleaseError, match="malformed"):
        release.parse_manifest(json.dumps(manifest("1.2", 3) | more).encode())


def test_an_older_pinhole_release_does_not_replace_a_newer_one(machine):
    """It would not understand the newer one's settings."""
    tool = machine.paths.root / "usr/local/sbin/pinhole-release"
    tool.write_bytes(text().encode())
    assert release.activate(machine.paths, machine.settings, "1.1", needs_confirmation=False)
    assert tool.read_bytes() == text().encode()


def test_settings_of_a_later_edition_are_read(machine):
    machine.paths.settings.parent.mkdir(parents=True)
    known = vars(machine.settings)
    machine.paths.settings.write_text(json.dumps(known | {"of_tomorrow": 1}))
    assert release.load_settings(machine.paths) == machine.settings


@pytest.mark.parametrize("own_authority", [True, False])
def test_a_mirrors_private_authority_may_lack_key_identifiers(tmp_path, monkeypatch, own_authority):
    """Python 3.13 asks for them by default; the system's authorities are held to that."""
    asked = []

    def default_context(**_):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(release.ssl, "create_default_context", default_context)
    monkeypatch.setattr(release.urllib.request, "urlopen", lambda _, **how: asked.append(how["context"]))
    settings = release.Settings(
        "device", "pinhole.service", "c", "s", ["check"], "s", url="https://mirror",
        ca_file=str(tmp_path / "ca.pem") if own_authority else "",
    )  # fmt: skip
    release.open_url(settings, "release.json", {})
    [context] = asked
    assert bool(context.verify_flags & ssl.VERIFY_X509_STRICT) is not own_authority
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# --- what others could have written


def test_a_state_that_others_could_have_written_is_not_believed(machine):
    state = json.loads(machine.paths.state.read_bytes())
    machine.paths.state.write_text(json.dumps(state | {"serial": 99}))
    machine.paths.state.chmod(0o666)
    assert release.load_state(machine.paths).serial == 2
    release.settle(machine.paths, machine.settings)
    assert json.loads(machine.paths.state.read_bytes()) == state
    assert machine.paths.state.stat().st_mode & 0o777 == 0o644


def test_folders_of_releases_are_closed_to_others(machine, capsys):
    machine.paths.releases.chmod(0o777)
    release.close_folders(machine.paths)
    assert machine.paths.releases.stat().st_mode & 0o777 == 0o755
    release.close_folders(machine.paths)
    assert capsys.readouterr().err.count("others could write to it") == 1


@pytest.mark.parametrize("which", ["settings", "signers"])
def test_settings_and_signers_that_others_could_have_written_are_refused(machine, which):
    machine.paths.settings.parent.mkdir(parents=True, exist_ok=True)
    machine.paths.settings.write_text(json.dumps(vars(machine.settings)))
    file = machine.paths.settings if which == "settings" else Path(machine.settings.signers)
    file.chmod(0o646)
    with pytest.raises(release.ReleaseError, match=f"{file}: .* sudo chmod go-w {file}"):
        release.load_settings(machine.paths)
    file.chmod(0o644)
    assert release.load_settings(machine.paths) == machine.settings
