"""From a claim code to a V4L2 camera's picture, in the sandbox; and what is left when the power is cut."""

import json
from pathlib import Path

import pytest
from board.vm import machine
from parts.far_portal import claim, far_portal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # with the disk made anew

SETTINGS = """
[camera]
source = "v4l2:/dev/video0"
width_px = 320
height_px = 180
fps = 5
[camera.preview]
enabled = false
[data_plan]
monthly_cap_mb = 1000
"""
CLAIM = "PINHOLE_PORTAL={url}\nPINHOLE_DEVICE=board\nPINHOLE_CODE={code}\nPINHOLE_OPTIONS=--ca-file {ca}\n"
CA_ON_DEVICE = "/run/pinhole-enroll/portal-ca.pem"
STATE = "/var/lib/pinhole"
CUT = "#!/bin/sh\\nsh /srv/inside/flaky.sh cut\\n"
RESCUE = (
    "env PATH=/run/stub:$PATH PINHOLE=/bin/true UPTIME_FILE=/run/stub/uptime "
    f"IDENTITY={STATE}/portal-keys.json sh /usr/libexec/pinhole/rescue"
)


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    with far_portal(tmp_path_factory.mktemp("portal"), machine.HOST) as stack:
        yield stack


@pytest.fixture(scope="module")
def enrolled(board, portal):
    """By the claim on its boot partition, as from a card; all that it writes is on the flaky disk."""
    board.run("sh /srv/inside/flaky.sh make && modprobe vivid n_devs=1 node_types=0x1 && udevadm settle")
    words = CLAIM.format(
        url=portal.url.replace("127.0.0.1", machine.HOST), code=claim(portal, "board"), ca=CA_ON_DEVICE
    )
    ca = Path(portal.env["SSL_CERT_FILE"]).read_text()
    files = {"claim.env": words, "portal-ca.pem": ca, "pinhole.toml": SETTINGS}
    board.run("mkdir -p /boot/firmware/pinhole && systemctl start chrony")
    for name, text in files.items():
        board.run(f"cat >/boot/firmware/pinhole/{name} <<'EOF'\n{text}EOF")
    board.run("systemctl start pinhole-enroll", 240)
    return board


def watch(portal):
    """Whether a viewer sees pictures of the camera, from here."""
    code, seen, said = portal.watch("--device", "board", "--seconds", "2", timeout_s=90)
    return (seen if code == 0 else None), said


def until_seen(board, portal):
    board.until("systemctl is-active pinhole", 120)
    for _ in range(8):
        seen, said = watch(portal)
        if seen:
            return seen
    raise AssertionError(f"no picture: {said}\n{board.run('journalctl --no-pager -u pinhole -n 40')}")


def test_a_usb_camera_plays_from_the_sandbox(enrolled, portal):
    seen = until_seen(enrolled, portal)
    assert (seen["width_px"], seen["height_px"]) == (320, 180)
    assert seen["frames"] > 1
    said = enrolled.run("journalctl --no-pager -o cat -u pinhole")
    assert "reading yuyv422 from vivid at /dev/video0" in said
    assert enrolled.run("ls /boot/firmware/pinhole/claim.env 2>&1 || true").endswith(
        "No such file or directory\n"
    )


def test_the_clock_may_be_set_at_any_time(enrolled):
    """What the running chronyd was started with, read back by itself."""
    options = enrolled.run("tr '\\0' ' ' </proc/$(cat /run/chrony/chronyd.pid)/cmdline").split()[1:]
    printed = enrolled.run(f"chronyd -p {' '.join(options)}")
    assert [line for line in printed.splitlines() if line.startswith("makestep")][-1] == "makestep 1 -1"


def test_what_was_synced_outlives_a_power_cut(enrolled, portal):
    """Identity, settings and data plan; what nobody synced is gone, so it was a cut."""
    before = identity(enrolled)
    enrolled.run("systemctl stop pinhole")
    usage = json.loads(enrolled.run(f"cat {STATE}/data-usage.json"))
    assert usage["sent_bytes"] > 1000
    enrolled.run(f"echo late >{STATE}/late; sh /srv/inside/flaky.sh cut; sh /srv/inside/flaky.sh mend")
    assert "No such file" in enrolled.run(f"cat {STATE}/late 2>&1", check=False)
    assert identity(enrolled) == before
    assert json.loads(enrolled.run(f"cat {STATE}/data-usage.json")) == usage
    enrolled.run("systemctl start pinhole", 200)
    assert until_seen(enrolled, portal)["frames"] > 1, "without enrolling again"


def test_a_power_cut_takes_a_minute_of_the_journal_at_most(enrolled):
    """SyncIntervalSec; a critical message may wait as long, where others follow it."""
    enrolled.run("systemctl stop pinhole")  # its sandbox would hold the disk
    enrolled.run("logger -p user.crit 'it fell' && logger -p user.err 'it hung' && sleep 75", 200)
    enrolled.run("sh /srv/inside/flaky.sh cut; sh /srv/inside/flaky.sh mend")
    assert {"it fell", "it hung"} <= set(enrolled.run("journalctl --no-pager --output=cat").splitlines())


def test_a_reboot_that_helps_nothing_is_counted_even_if_the_power_goes_with_it(enrolled):
    enrolled.run(
        "systemctl stop pinhole && mkdir -p /run/stub && echo 601.0 1.0 >/run/stub/uptime && "
        f"printf '{CUT}' >/run/stub/systemctl && chmod +x /run/stub/systemctl"
    )
    assert "rebooting the board: number 1" in enrolled.run(RESCUE)
    enrolled.run("sh /srv/inside/flaky.sh mend")
    assert enrolled.run("cat /var/lib/pinhole-rescue/reboots").strip() == "1"


def identity(board):
    """Every file of it, by its hash."""
    files = f"find {STATE} -type f ! -name data-usage.json"
    return board.run(f"{files} | sort | xargs sha256sum")
