"""A fleet from nothing, its updates, and everything that goes wrong with one. In this order, on one world."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet import releases
from fleet import world as worlds
from fleet.lab import wait_for
from fleet.workshop import LabError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CAMERAS = ("cam1", "cam2", "cam3")
DEVICES = dict.fromkeys(CAMERAS, "amd64") | {"arm1": "arm64"}
BUT_ARM1, ON_CAMERAS = ("--limit", "all,!arm1"), ("--limit", ",".join(CAMERAS))
FIRST, SECOND, CRASHING, BLIND, FIFTH = (f"0.9.{number}" for number in range(1, 6))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    # Signing in as root on some machines, and as somebody who may use sudo on others.
    with worlds.world(tmp_path_factory.mktemp("fleet"), DEVICES, operators=("portal", "cam2")) as made:
        # Its link is counted: a picture of the usual size and rate.
        made.lab.machines["cam1"].variables["agent_settings"] = {"camera": {"source": "synthetic"}}
        with ThreadPoolExecutor(1) as made.beside:
            yield made


def life_of_arm1(world):
    """From nothing, once more, and the next release: qemu takes minutes, in which the others are tested."""
    first, second = (world.folder / f"release-{version}" for version in (FIRST, SECOND))
    plays = (world.play, first), (world.play, first), (world.update, second)
    return [play(release, "--limit", "arm1").ok() for play, release in plays]


def test_from_nothing_to_video(world):
    release, _ = world.build(FIRST), world.build(SECOND)
    early = world.update(release, "--limit", "cam1").end()
    assert early.popen.returncode
    assert "Run site.yml for cam1 first" in early.output
    world.play(release, "--limit", "brokers,turn_servers,portals").ok()
    world.arm1 = world.beside.submit(life_of_arm1, world)
    played = world.play(release, *ON_CAMERAS).ok()
    assert {camera: played.report[camera]["result"] for camera in CAMERAS} == dict.fromkeys(CAMERAS, "good")
    for camera in CAMERAS:
        assert world.watch(camera)["frames"] > 0
    rows = fleet(world)
    assert [(rows[camera]["online"], rows[camera]["version"]) for camera in CAMERAS] == [(True, FIRST)] * 3


def test_a_second_run_changes_nothing(world):
    played = world.play(world.folder / f"release-{FIRST}", *BUT_ARM1).ok()
    assert set(played.changed().values()) == {0}, played.output


def test_an_update_sends_little_and_takes_little(world):
    release = world.folder / f"release-{SECOND}"
    before = int(world.lab.ssh("cam1", "du -sb /opt/pinhole").split()[0])
    link = carried_bytes(world)
    played = world.update(release, *ON_CAMERAS).ok()
    sent = int(re.search(r"cam1: \d+ files of (\d+) bytes to send", played.output).group(1))
    link = carried_bytes(world) - link
    after = int(world.lab.ssh("cam1", "du -sb /opt/pinhole").split()[0])
    print(
        f"\ninstalled {before / 1e6:.1f} MB, with two releases {after / 1e6:.1f} MB; update {sent} bytes, "
        f"{link} bytes on the link both ways with all that Ansible said and the trial's video"
    )
    assert sent < link <= 1_000_000
    assert before <= 200_000_000
    assert after <= 190_000_000
    assert world.versions(CAMERAS) == dict.fromkeys(CAMERAS, SECOND)
    again = world.update(release, *ON_CAMERAS).ok()
    assert again.changed() == dict.fromkeys(CAMERAS, 0), again.output


@pytest.mark.parametrize(
    ("version", "spoil", "reason"),
    [
        (CRASHING, releases.CRASHES, r"it ended \d+ times .*: spoilt: ends at start"),
        (BLIND, releases.BLIND, "it did not capture a picture"),
    ],
    ids=["crashes", "sees-nothing"],
)
def test_a_bad_release_ends_at_the_canary(world, version, spoil, reason):
    played = world.update(world.build(version, spoil), "--limit", "devices", batches=(1, "100%")).end()
    assert played.popen.returncode != 0
    report = played.report
    assert report["cam1"]["result"] == "given back"
    assert re.search(reason, report["cam1"]["reason"]), report["cam1"]
    assert {report[device]["result"] for device in DEVICES if device != "cam1"} == {"not begun"}
    assert world.versions(CAMERAS) == dict.fromkeys(CAMERAS, SECOND)
    assert world.lab.ssh("cam2", f"ls -d /opt/pinhole/releases/{version}", check=False) == ""
    assert world.watch("cam1")["frames"] > 0
    assert fleet(world)["cam1"]["given_back"] == version


def test_a_device_that_vanishes_in_the_middle_comes_back_whole(world):
    release = world.build(FIFTH)
    played = world.update(release, "--limit", "devices", batches=(1, 2, "100%"))
    wait_for(lambda: world.lab.release("cam2")["trial"], 600)
    world.lab.set_link("cam2", "down")
    assert played.end().popen.returncode != 0
    assert played.report["cam2"]["result"] == "failed"
    assert "it vanished" in played.report["cam2"]["reason"]
    assert played.report["arm1"]["result"] == "not begun"
    world.lab.set_link("cam2", "up")
    # Nobody confirms what the other one of its batch shows, either.
    wait_for(lambda: not any(world.lab.release(device)["trial"] for device in ("cam2", "cam3")), 180)
    assert world.lab.release("cam2")["current"] == SECOND
    world.update(release, *ON_CAMERAS).ok()
    assert world.versions(CAMERAS) == dict.fromkeys(CAMERAS, FIFTH)
    assert len(world.lab.release("cam1")["good"]) == 3


def test_a_power_cut_during_a_trial_ends_at_the_last_good_release(world):
    release = world.build("0.9.7")
    played = world.update(release, "--limit", "cam3")
    wait_for(lambda: world.lab.release("cam3")["trial"], 300)
    world.lab.cut_power("cam3")
    played.end()
    world.lab.boot("cam3")
    state = world.lab.release("cam3")
    assert (state["current"], state["trial"]) == (FIFTH, None)
    assert state["given_back"][0]["reason"] == "the machine went down during its trial"
    wait_for(
        lambda: world.lab.ssh("cam3", "systemctl is-active pinhole", check=False).strip() == "active", 60
    )


def test_a_device_pulls_what_is_signed_and_nothing_else(world):
    release = world.build("0.9.8")
    with worlds.serving(world, release):
        show = "systemctl show pinhole-pull.timer --property=RandomizedDelayUSec,NextElapseUSecMonotonic"
        timers = [world.lab.ssh(device, show) for device in ("cam1", "cam2")]
        assert all("RandomizedDelayUSec=20h" in timer for timer in timers)
        assert len(set(timers)) == 2, "both look at the same moment"
        good = (release / "manifest.json").read_text()

        (release / "manifest.json").write_text(good.replace('"0.9.8"', '"0.9.9"'))
        with pytest.raises(LabError, match="bad signature"):
            world.lab.ssh("cam1", "pinhole-release pull", 120)
        assert world.lab.release("cam1")["current"] == FIFTH

        (release / "manifest.json").write_text(good)
        world.lab.ssh("cam1", "flock /run/pinhole-release/lock sleep 8 >/dev/null 2>&1 &")
        with pytest.raises(LabError, match="another pinhole-release is at work"):
            world.lab.ssh("cam1", "pinhole-release pull", 120)
        world.lab.ssh("cam1", "flock /run/pinhole-release/lock true")

        # The portal's word reaches the device over MQTT; the path unit does the rest.
        link = carried_bytes(world)
        assert world.pinhole("fleet", "look", "cam1") == "cam1  asked\n"
        wait_for(lambda: fleet(world)["cam1"]["version"] == "0.9.8", 240)  # asks the portal: not on the link
        wait_for(lambda: "0.9.8" in world.lab.release("cam1")["good"], 120, every_s=5)
        link = carried_bytes(world) - link
        print(f"\npulled with {link} bytes on the link both ways")
        assert link <= 1_000_000
        assert world.lab.release("cam1")["current"] == "0.9.8"
        assert world.watch("cam1")["frames"] > 0
        assert world.lab.release("cam2")["current"] == FIFTH
    shutil.rmtree(release)


def test_an_arm64_machine_goes_the_same_way(world):
    first, again, updated = world.arm1.result()
    assert "aarch64" in world.lab.ssh("arm1", "uname -m")
    assert first.report["arm1"] == {"release": FIRST, "result": "good", "reason": ""}
    assert again.changed() == {"arm1": 0}, again.output
    assert updated.report["arm1"] == {"release": SECOND, "result": "good", "reason": ""}
    state = world.lab.release("arm1")
    assert (state["good"], state["given_back"]) == ([SECOND, FIRST], [])
    assert state["installed"] == [FIRST, SECOND], "a release that ended at the canary came here"
    assert world.watch("arm1")["frames"] > 0
    assert all(row["online"] for row in fleet(world).values())


def test_a_portal_is_updated_too_and_shows_its_cameras(world):
    world.update(world.folder / f"release-{SECOND}", "--limit", "portals").ok()
    assert world.lab.release("portal")["current"] == SECOND
    wait_for(lambda: all(row["online"] for row in fleet(world).values()), 60)
    assert world.watch("cam2")["frames"] > 0
    assert set(fleet(world)) == set(DEVICES)


def fleet(world):
    """What the portal says of each device."""
    return {row["id"]: row for row in json.loads(world.pinhole("fleet", "--json"))["devices"]}


def carried_bytes(world):
    """Over the link of cam1 so far."""
    line = world.lab.ssh("cam1", "grep host0 /proc/net/dev").partition(":")[2].split()
    return int(line[0]) + int(line[8])
