"""scripts/flash on images with real partitions: written, injected, and read back by other tools."""

import csv
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from flash import bootpart
from flash.configtxt import lint
from parts import card
from parts.need import need

ROOT = Path(__file__).parents[2]
PORTAL = "https://cams.example.org"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMm0 operator@example.org"
BOOT_FILES = {
    "config.txt", "cmdline.txt", "user-data", "network-config", "meta-data", "custom.toml",
    "pinhole/claim.env",
}  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A small Raspberry Pi OS, with its hash beside it."""
    card.need_tools()
    folder = tmp_path_factory.mktemp("image")
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "os-release").write_text("ID=debian\nVERSION_CODENAME=trixie\n")
    card.build(folder / "pios.img", root)
    shutil.rmtree(root)
    note_hash(folder / "pios.img")
    return folder / "pios.img"


def note_hash(image):
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    image.with_name(f"{image.name}.sha256").write_text(f"{digest}  {image.name}\n")


def flash(*arguments, **env):
    """The command as a person runs it, without the wrapper that makes the environment."""
    return subprocess.run(
        [sys.executable, "-m", "flash", *map(str, arguments)],
        capture_output=True, text=True, timeout=100, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "firmware-config"), "COLUMNS": "120"} | env,
    )  # fmt: skip


def door(image, to, *more, **env):
    return flash(image, to, "--portal", PORTAL, "--device", "door", "--code", "K7QX-2MVP-9RTD", *more, **env)


def claims_file(folder, *rows):
    file = folder / "claims.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("device", "code", "expires"), *rows])
    return file


def test_an_image_file_gets_the_boot_files_and_its_claim(image, tmp_path):
    (tmp_path / "key.pub").write_text(f"{KEY}\n")
    (tmp_path / "pinhole.toml").write_text('[camera]\nsource = "picamera"\n')
    result = door(
        image, tmp_path / "door.img",
        "--ssh-key", tmp_path / "key.pub", "--settings", tmp_path / "pinhole.toml",
        "--wifi", 'Café "7"', "--country", "DE", "--timezone", "Europe/Berlin", WIFI_PASSWORD='say "friend"',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for step in ("checking", "writing", "verifying", "8 boot files, read back"):
        assert step in result.stderr
    written = bootpart.find(tmp_path / "door.img")
    assert written.names() | written.names("pinhole") == BOOT_FILES | {"pinhole", "pinhole/pinhole.toml"}
    assert written.read("pinhole/claim.env").decode().splitlines() == [
        "PINHOLE_PORTAL=https://cams.example.org",
        "PINHOLE_DEVICE=door",
        "PINHOLE_CODE=K7QX-2MVP-9RTD",
    ]
    assert lint(written.read("config.txt").decode()) == []
    words = written.read("cmdline.txt").decode().split()
    assert "root=PARTUUID=dead-02" in words
    assert "console=tty1" in words
    assert not [word for word in words if "serial0" in word or word in ("quiet", "splash")]
    bookworm = tomllib.loads(written.read("custom.toml").decode())
    assert bookworm["system"]["hostname"] == "door"
    assert bookworm["ssh"]["authorized_keys"] == [KEY]
    assert bookworm["wlan"]["ssid"] == 'Café "7"'
    assert bookworm["wlan"]["password"] == 'say "friend"'
    assert card.read_root(tmp_path / "door.img", "/etc/os-release").startswith("ID=debian"), (
        "the root is untouched"
    )


def test_cloud_init_takes_what_is_written(image, tmp_path):
    need(shutil.which("cloud-init"), "needs cloud-init: sudo apt-get install cloud-init")
    (tmp_path / "key.pub").write_text(f"{KEY}\n")
    extra = ("--ssh-key", tmp_path / "key.pub", "--wifi", "Yard: 'no' # 1", "--country", "DE")
    assert door(image, tmp_path / "door.img", *extra, WIFI_PASSWORD="a: b # 'c'").returncode == 0
    boot = bootpart.find(tmp_path / "door.img")
    import yaml  # cloud-init's own parser

    for name in ("user-data", "network-config", "meta-data"):
        (tmp_path / name).write_bytes(boot.read(name))
        assert isinstance(yaml.safe_load(boot.read(name)), dict)
    network = yaml.safe_load(boot.read("network-config"))
    assert network["wifis"]["wlan0"]["access-points"] == {"Yard: 'no' # 1": {"password": "a: b # 'c'"}}
    assert schema(tmp_path / "user-data").returncode == 0
    broken = tmp_path / "broken"
    broken.write_text((tmp_path / "user-data").read_text().replace("users:", "users: 7\nx:"))
    assert schema(broken).returncode != 0, "the check can fail"


def schema(file):
    return subprocess.run(
        ["cloud-init", "schema", "--config-file", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("suffix", [".xz", ".zst"])
def test_packed_images(image, tmp_path, suffix):
    packed = tmp_path / f"pios.img{suffix}"
    if suffix == ".xz":
        packed.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    else:
        need(shutil.which("zstd"), "needs zstd: sudo apt-get install zstd")
        subprocess.run(["zstd", "-q", "-1", image, "-o", packed], check=True, timeout=60)
    note_hash(packed)
    assert door(packed, tmp_path / "door.img").returncode == 0
    assert b"door" in bootpart.find(tmp_path / "door.img").read("pinhole/claim.env")
    assert (tmp_path / "door.img").stat().st_size == image.stat().st_size

    packed.write_bytes(packed.read_bytes()[:-1000])
    note_hash(packed)
    result = door(packed, tmp_path / "door.img")
    assert result.returncode == 1
    assert "cannot be unpacked" in result.stderr


def test_many_devices_from_a_csv(image, tmp_path):
    claims = claims_file(
        tmp_path, ("cam-1", "AAAA-1111", ""), ("cam-2", "BBBB-2222", ""), ("cam-3", "CCCC-3333", "")
    )
    cards = tmp_path / "cards"
    cards.mkdir()
    arguments = (image, cards, "--portal", PORTAL, "--claims", claims)
    result = flash(*arguments, "--device", "cam-1", "--device", "cam-3")
    assert result.returncode == 0, result.stderr
    assert sorted(file.name for file in cards.iterdir()) == ["cam-1.img", "cam-3.img"]
    for name, code in (("cam-1", "AAAA-1111"), ("cam-3", "CCCC-3333")):
        boot = bootpart.find(cards / f"{name}.img")
        assert f"PINHOLE_CODE={code}".encode() in boot.read("pinhole/claim.env")
        assert f"local-hostname: {name}".encode() in boot.read("meta-data")
    assert "cam-9" in flash(*arguments, "--device", "cam-9").stderr


def test_another_file_than_the_one_that_was_meant_writes_nothing(image, tmp_path):
    result = door(image, tmp_path / "door.img", "--sha256", "0" * 64)
    assert result.returncode == 1
    assert "download it again" in result.stderr
    assert not (tmp_path / "door.img").exists()


def test_an_image_without_a_hash_is_not_trusted(image, tmp_path):
    alone = tmp_path / "alone.img"
    shutil.copy(image, alone)
    assert "--sha256 HEX" in door(alone, tmp_path / "door.img").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices are root's")
def test_a_disk_of_this_machine_is_refused(image):
    result = subprocess.run(
        ["findmnt", "--noheadings", "--output", "SOURCE", "/"], capture_output=True, text=True, check=True
    )
    source = re.sub(r"\[.*", "", result.stdout.strip())
    if not source.startswith("/dev/"):
        pytest.skip("the root is on no disk here")
    before = Path("/proc/mounts").read_text()
    refused = door(image, source, "--yes")
    assert refused.returncode == 1
    assert re.search(r"is in use|give the whole card|no card|no disk", refused.stderr)
    assert Path("/proc/mounts").read_text() == before


def test_what_is_no_raspberry_pi_image_is_refused(tmp_path):
    card.need_tools()
    other = tmp_path / "other.img"
    other.write_bytes(os.urandom(1 << 20))
    note_hash(other)
    assert door(other, tmp_path / "door.img").returncode == 1
