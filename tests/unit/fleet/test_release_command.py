"""`pinhole-release`: what it refuses, and where each end of a trial leaves the machine."""

import dataclasses
import hashlib
import io
import json
import tarfile

import pytest
from parts.release_tool import load

release = load("pinhole_release")

HASH = "0" * 64
MANIFEST = {
    "format": 1,
    "version": "1.2.3",
    "serial": 7,
    "files": {
        "a-1-py3-none-any.whl": {"sha256": HASH, "size": 3},
        "pinhole.service": {"sha256": HASH, "size": 1},
    },
    "targets": {"device/x86_64/cp311": ["a-1-py3-none-any.whl"]},
    "system": [{"file": "pinhole.service", "path": "/etc/systemd/system/pinhole.service"}],
}
SETTINGS = release.Settings(
    "device", "pinhole.service", "c", "s", ["config", "check", "c"], "status", gate_s=10
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which 1.0 is good and 1.1 is installed; its clock moves with each pause."""
    paths = release.Paths(tmp_path)
    calls = []
    now = [100.0]
    monkeypatch.setattr(release, "systemctl", lambda *words, **_: calls.append(words) or "")
    monkeypatch.setattr(release.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(release.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    for folder in (paths.run, paths.incoming, tmp_path / "etc/systemd/system", tmp_path / "usr/local/sbin"):
        folder.mkdir(parents=True)
    for serial, version in enumerate(("1.0", "1.1"), start=1):
        folder = paths.releases / version
        (folder / "system").mkdir(parents=True)
        (folder / "system/pinhole.service").write_text(f"unit of {version}")
        system = [{"file": "pinhole.service", "path": "/etc/systemd/system/pinhole.service"}]
        marker = {"version": version, "serial": serial, "python": "11", "wheels": {}, "system": system}
        (folder / "release.json").write_text(json.dumps(marker))
    release.point_current(paths, "1.0")
    release.save_state(paths, release.State(good=["1.0"], trial=trial("1.1"), serial=2))
    return paths, calls


def trial(version, *, needs_confirmation=False):
    return {
        "version": version,
        "previous": "1.0",
        "since": 0.0,
        "stage": "starting",
        "needs_confirmation": needs_confirmation,
    }


def unit_of(paths):
    return (paths.root / "etc/systemd/system/pinhole.service").read_text()


def test_a_camera_sees_the_systems_packages_and_a_portal_does_not(machine, monkeypatch):
    """picamera2 comes by apt; also after the environment was made."""
    paths, _ = machine

    def stop(argv, **_):
        raise release.ReleaseError(" ".join(argv))

    monkeypatch.setattr(release, "command", stop)
    monkeypatch.setattr(release, "wheels_of", lambda *_: [])
    for profile in ("device", "portal"):
        settings = dataclasses.replace(SETTINGS, profile=profile)
        with pytest.raises(release.ReleaseError) as asked:
            release.build(paths, settings, MANIFEST, paths.releases / "1.2.3")
        assert ("--system-site-packages" in str(asked.value)) is (profile == "device")


def test_an_image_is_made_with_a_release_that_is_good(tmp_path):
    paths = release.Paths(tmp_path)
    folder = paths.releases / "1.0"
    for made in (folder / "system", paths.run, tmp_path / "etc/systemd/system", tmp_path / "usr/local/sbin"):
        made.mkdir(parents=True)
    with pytest.raises(release.ReleaseError, match="only the first"):
        release.adopt(paths)  # half built
    system = [
        {"file": "pinhole.service", "path": "/etc/systemd/system/pinhole.service"},
        {"file": "pinhole-release", "path": "/usr/local/sbin/pinhole-release"},
    ]
    for each in system:
        (folder / "system" / each["file"]).write_text("1.0")
    marker = {"version": "1.0", "serial": 1, "python": "13", "wheels": {}, "system": system}
    (folder / "release.json").write_text(json.dumps(marker))
    assert release.adopt(paths)
    assert (release.current_version(paths), release.load_state(paths).good) == ("1.0", ["1.0"])
    assert all((tmp_path / each["path"][1:]).read_text() == "1.0" for each in system)
    with pytest.raises(release.ReleaseError, match="only the first"):
        release.adopt(paths)


def test_a_healthy_release_is_kept_with_its_unit(machine, monkeypatch):
    paths, calls = machine
    monkeypatch.setattr(release, "examine", lambda *_: ("", False))
    assert release.run_trial(paths, SETTINGS)
    state = release.load_state(paths)
    assert (release.current_version(paths), state.good, state.trial) == ("1.1", ["1.1", "1.0"], None)
    assert unit_of(paths) == "unit of 1.1"
    assert ("restart", "--no-block", "pinhole.service") in calls
    assert not paths.trial.exists()


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        (("it did not capture a picture", False), "it did not capture a picture within 10 s"),
        (("it ended 5 times (exit-code): boom", True), "it ended 5 times (exit-code): boom"),
    ],
    ids=["silent", "hopeless"],
)
def test_a_bad_release_is_given_back_with_its_unit(machine, monkeypatch, finding, reason):
    paths, _ = machine
    monkeypatch.setattr(release, "examine", lambda *_: finding)
    assert not release.run_trial(paths, SETTINGS)
    state = release.load_state(paths)
    assert (release.current_version(paths), state.good, state.trial) == ("1.0", ["1.0"], None)
    assert state.given_back[0]["reason"] == reason
    assert unit_of(paths) == "unit of 1.0"
    assert "1.1" not in release.installed(paths)


def test_a_release_that_nobody_confirms_is_given_back(machine, monkeypatch):
    paths, _ = machine
    monkeypatch.setattr(release, "examine", lambda *_: ("", False))
    release.save_state(paths, release.State(good=["1.0"], trial=trial("1.1", needs_confirmation=True)))
    assert not release.run_trial(paths, SETTINGS)
    assert "nobody confirmed" in release.load_state(paths).given_back[0]["reason"]


def test_what_was_seen_from_outside_is_believed(machine, monkeypatch):
    paths, _ = machine
    monkeypatch.setattr(release, "examine", lambda *_: ("", False))
    release.save_state(paths, release.State(good=["1.0"], trial=trial("1.1", needs_confirmation=True)))
    (paths.run / "confirmed").write_text("1.1")
    assert release.run_trial(paths, SETTINGS)


def test_a_release_must_stay_healthy(machine, monkeypatch):
    paths, _ = machine
    findings = iter([("", False)] * 4 + [("it ended", False)] * 100)
    monkeypatch.setattr(release, "examine", lambda *_: next(findings))
    assert not release.run_trial(paths, SETTINGS)


def test_after_a_power_cut_the_last_good_release_starts(machine):
    paths, _ = machine
    release.point_current(paths, "1.1")
    release.boot_check(paths)
    state = release.load_state(paths)
    assert (release.current_version(paths), state.trial) == ("1.0", None)
    assert state.given_back[0]["version"] == "1.1"
    assert unit_of(paths) == "unit of 1.0"


def test_two_at_once_are_refused(machine):
    paths, _ = machine
    with release.lock(paths), pytest.raises(release.ReleaseError, match="at work"), release.lock(paths):
        pass


def test_a_trial_is_not_begun_twice(machine):
    paths, _ = machine
    with pytest.raises(release.ReleaseError, match=r"1\.1 is on trial"):
        release.activate(paths, SETTINGS, "1.1", needs_confirmation=False)


def test_three_are_kept(machine):
    paths, _ = machine
    state = release.State(good=["1.1", "1.0", "gone", "0.9"])
    release.prune(paths, SETTINGS, state)
    assert state.good == ["1.1", "1.0"]
    assert sorted(release.installed(paths)) == ["1.0", "1.1"]


def test_an_older_release_is_not_taken_although_it_is_signed(machine):
    paths, _ = machine
    release.save_state(paths, release.State(good=["1.0"], serial=8))
    with pytest.raises(release.ReleaseError, match="older than one that was here"):
        release.install(paths, SETTINGS, MANIFEST)


def test_a_good_manifest_is_read():
    assert release.parse_manifest(json.dumps(MANIFEST).encode())["version"] == "1.2.3"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"version": "../../etc"}, "malformed"),
        ({"serial": "7"}, "malformed"),
        ({"files": {"../x": {"sha256": HASH, "size": 1}}}, "malformed"),
        ({"files": {"x": {"sha256": "zz", "size": 1}}}, "malformed"),
        ({"files": {"x": {"sha256": HASH, "size": -1}}}, "malformed"),
        ({"targets": {"device/x86_64/cp311": ["other"]}}, "does not list"),
        ({"system": [{"file": "pinhole.service", "path": "/etc/passwd"}]}, "may not write '/etc/passwd'"),
        (
            {"system": [{"file": "pinhole.service", "path": "/etc/systemd/system/../x.service"}]},
            "may not write",
        ),
        ({"files": None}, "malformed"),
    ],
)
def test_a_hostile_manifest_is_refused(change, words):
    with pytest.raises(release.ReleaseError, match=words):
        release.parse_manifest(json.dumps(MANIFEST | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b"\xff"])
def test_no_manifest_at_all_is_refused(data):
    with pytest.raises(release.ReleaseError, match="malformed"):
        release.parse_manifest(data)


@pytest.fixture
def receiver(machine, monkeypatch):
    """A machine that takes parcels; every manifest is as good as signed."""
    paths, _ = machine
    monkeypatch.setattr(
        release, "verify", lambda paths, _: release.parse_manifest(paths.manifest.read_bytes())
    )
    monkeypatch.setattr(release, "target_of", lambda _: "device/x86_64/cp311")
    return lambda *members: release.receive(paths, SETTINGS, parcel(*members))


def parcel(*members):
    """A tar of names and contents, or of members as they are."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if isinstance(member, str):
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data.seek(0)
    return data


def of_type(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


WHEEL, UNIT = b"abc", b"u"
FILES = {
    "a-1-py3-none-any.whl": {"sha256": hashlib.sha256(WHEEL).hexdigest(), "size": 3},
    "pinhole.service": {"sha256": hashlib.sha256(UNIT).hexdigest(), "size": 1},
}
SIGNED = ("manifest.json", json.dumps(MANIFEST | {"files": FILES}).encode()), ("manifest.json.sig", b"s")


def test_a_release_arrives_in_parcels(receiver, machine):
    paths, _ = machine
    assert receiver(*SIGNED) == ["a-1-py3-none-any.whl", "pinhole.service"]
    assert receiver(("a-1-py3-none-any.whl", WHEEL)) == ["pinhole.service"]
    assert receiver(("pinhole.service", UNIT)) == []
    assert (paths.incoming / "a-1-py3-none-any.whl").read_bytes() == WHEEL


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../evil", b"x")], "not a file that the signed manifest names"),
        ([("other.whl", b"x")], "not a file that the signed manifest names"),
        ([("a-1-py3-none-any.whl", b"abcd")], "not a file that the signed manifest names"),
        ([("a-1-py3-none-any.whl", b"abd")], "not the file that the signed manifest names"),
        ([(of_type("pinhole.service", tarfile.SYMTYPE), b"")], "not a file that the signed manifest names"),
        ([(of_type("pinhole.service", tarfile.DIRTYPE), b"")], "not a file that the signed manifest names"),
        ([(of_type("manifest.json", tarfile.SYMTYPE), b"")], "no file, or too large"),
        ([("manifest.json", bytes(release.MAX_MANIFEST_BYTES + 1))], "no file, or too large"),
    ],
)
def test_a_hostile_parcel_is_refused(receiver, machine, members, words):
    paths, _ = machine
    receiver(*SIGNED)
    with pytest.raises(release.ReleaseError, match=words):
        receiver(*members)
    assert sorted(file.name for file in paths.incoming.iterdir()) == ["manifest.json", "manifest.json.sig"]


@pytest.mark.parametrize("data", [b"", b"no tar at all", b"\xff" * 2048])
def test_no_parcel_at_all_is_refused(machine, data):
    with pytest.raises(release.ReleaseError, match="the parcel is malformed"):
        release.receive(machine[0], SETTINGS, io.BytesIO(data))


def test_a_parcel_that_was_cut_short_leaves_nothing(receiver, machine):
    receiver(*SIGNED)
    whole = parcel(("pinhole.service", UNIT)).read()
    with pytest.raises(release.ReleaseError, match=r"parcel is malformed|not the file"):
        release.receive(machine[0], SETTINGS, io.BytesIO(whole[:512]))


def test_a_parcel_has_an_end(receiver, monkeypatch):
    monkeypatch.setattr(release, "MAX_PARCEL_BYTES", 4096)
    with pytest.raises(release.ReleaseError, match="larger than 4096 bytes"):
        receiver(("pinhole.service", bytes(8192)))


def test_files_without_a_manifest_are_refused(machine):
    with pytest.raises(release.ReleaseError, match=r"manifest\.json is missing: send a release first"):
        release.receive(machine[0], SETTINGS, parcel(("pinhole.service", UNIT)))


def test_a_camera_that_makes_no_keyframe_when_asked_is_given_back_with_the_reason(machine, monkeypatch):
    paths, _ = machine
    status = paths.root / "status.json"
    lacks = "its camera made no keyframe when it was asked for one"
    told = {"pid": 7, "version": "1.1", "broker": True, "frames": 0, "lacks": lacks}
    status.write_text(json.dumps(told))
    shown = {"ActiveState": "active", "MainPID": "7", "NRestarts": "0", "Result": "", "StatusText": "serving"}
    monkeypatch.setattr(release, "show", lambda *_: shown)
    assert not release.run_trial(paths, dataclasses.replace(SETTINGS, status_file=str(status)))
    assert release.load_state(paths).given_back[0]["reason"] == f"{lacks} (serving) within 10 s"
