"""`scripts/release`: how releases are counted, dated and signed. What is in them is tested on machines."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from parts import release_tool

ROOT = Path(__file__).parents[3]


def load(name, file):
    spec = importlib.util.spec_from_file_location(name, ROOT / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


bundle = load("pinhole_bundle", "ansible/bundle.py")
tool = release_tool.load("pinhole_release_bundle")


class Desk:
    """Where releases are made."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.out, self.now = folder, folder / "release", [1_800_000_000.0]
        self.monkeypatch = monkeypatch
        manifest = {"format": 1, "version": "1.0", "targets": {}, "system": [], "files": {}}
        monkeypatch.setattr(bundle, "build", lambda *_: dict(manifest))
        monkeypatch.setattr(bundle.time, "time", lambda: self.now[0])
        self.key = self.make_key("key")

    def make_key(self, name):
        key = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
        return key

    def release(self, *words, keys=()):
        """The manifest that comes of it."""
        named = [word for key in keys or [self.key] for word in ("--key", str(key))]
        self.monkeypatch.setattr(sys, "argv", ["release", *named, "--out", str(self.out), *map(str, words)])
        bundle.main()
        return json.loads((self.out / "manifest.json").read_text())

    def verify(self, *trusted, signatures=1):
        """As a device does that trusts these."""
        paths = tool.Paths(self.folder / "machine")
        paths.incoming.mkdir(parents=True, exist_ok=True)
        for file in (paths.manifest, paths.signature):
            file.write_bytes((self.out / file.name).read_bytes())
        signers = self.folder / "signers"
        signers.write_text(tool.allowed_signers([bundle.public(key) for key in trusted]))
        settings = tool.Settings("device", "u", "c", str(signers), [], signatures=signatures)
        return tool.verify(paths, settings)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    return Desk(tmp_path, monkeypatch)


def test_releases_are_counted_whatever_the_clock_says(desk):
    serials = []
    for now in (1.8e9, 1.95e9, 1.0e9, 5e9):
        desk.now[0] = now
        serials.append(desk.release()["serial"])
    assert serials == [bundle.FIRST_SERIAL + i for i in (1, 2, 3, 4)]
    assert tool.FIRST_SERIAL == bundle.FIRST_SERIAL
    desk.verify(desk.key)


def test_the_count_goes_on_where_its_file_or_the_last_release_is_lost(desk):
    first = desk.release()["serial"]
    counter = desk.folder / "key.serial"
    counter.unlink()
    assert desk.release()["serial"] == first + 1
    (desk.out / "manifest.json").unlink()
    assert desk.release()["serial"] == first + 2
    counter.unlink()
    (desk.out / "manifest.json").unlink()
    assert desk.release("--after", first + 50)["serial"] == first + 51


def test_a_release_ends_unless_it_is_renewed(desk):
    made = desk.release()
    assert made["expires"] == desk.now[0] + 90 * 86400
    desk.now[0] += 80 * 86400
    renewed = desk.release("--renew", "--days", 10)
    assert renewed == made | {"expires": made["expires"]}
    desk.now[0] += 1
    renewed = desk.release("--renew")
    assert renewed == made | {"expires": desk.now[0] + 90 * 86400}
    assert desk.verify(desk.key) == renewed


def test_one_more_person_signs(desk):
    other = desk.make_key("other")
    made = desk.release()
    assert desk.release("--add-signature", keys=[other]) == made
    assert desk.verify(desk.key, other, signatures=2) == made
    assert desk.verify(other) == made
    (desk.out / "manifest.json").unlink()
    assert desk.release(keys=[other])["serial"] == made["serial"] + 1, "who signed can make the next one"


def test_devices_that_know_of_one_signature_read_the_first(desk):
    other = desk.make_key("other")
    desk.release(keys=[desk.key, other])
    (desk.folder / "signers").write_text(tool.allowed_signers([bundle.public(desk.key)]))
    done = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", desk.folder / "signers", "-I", tool.NAMESPACE,
         "-n", tool.NAMESPACE, "-s", desk.out / "manifest.json.sig"],
        input=(desk.out / "manifest.json").read_bytes(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_keys_are_changed_by_a_release_that_both_have_signed(desk):
    new = desk.make_key("new")
    signers = desk.folder / "new.pub"
    with pytest.raises(SystemExit):
        desk.release("--signers", signers)
    assert not desk.out.exists()
    made = desk.release("--signers", signers, keys=[desk.key, new])
    assert made["signers"] == [bundle.public(new)]
    assert desk.verify(desk.key) == desk.verify(new) == made


def test_nothing_is_renewed_where_nothing_is(desk):
    with pytest.raises(SystemExit, match="there is none"):
        desk.release("--renew")
