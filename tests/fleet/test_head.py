"""A head that turns while its agent is killed: what the unit runs then, under the systemd of each Debian.

The agent is made up and drives the head over its port; what tells the head to stop is the release's own, by
an isolated Python as the unit names it, in the service's sandbox. The port is a pseudo terminal of the
machine, which belongs to root and the group dialout as a real one does.
"""

import json
import subprocess
from pathlib import Path

import pytest
from fleet import lab as labs

from agent.serial.ptz.motion import Velocity
from agent.serial.ptz.pelco import STOP, drive, encode_d

ROOT = Path(__file__).resolve().parents[2]
ROOTFS = ROOT / "firmware-config/rootfs"
SUITES = ("bookworm", "trixie")
DRIVE, STILL = encode_d(1, drive(Velocity(1, 0, 0))), encode_d(1, STOP)
STOPS = 3
KILLS = 3
PORT = '''#!/usr/bin/python3
"""The head's end: says what it hears, frame by frame."""
import os, tty
from pathlib import Path

head, port = os.openpty()
tty.setraw(port)
os.chown(os.ttyname(port), 0, {dialout})
os.chmod(os.ttyname(port), 0o660)
Path("/dev/pinhole-ptz").symlink_to(os.ttyname(port))
kept = b""
while True:
    kept += os.read(head, 4096)
    while len(kept) >= 7:
        print(kept[:7].hex(), flush=True)
        kept = kept[7:]
'''
AGENT = '''#!/usr/bin/python3
"""In the agent's place, and its sandbox: moves the head for as long as it lives."""
import os, socket, sys, time

if sys.argv[1] != "run":
    raise SystemExit(0)
port = os.open("/dev/pinhole-ptz", os.O_RDWR | os.O_NOCTTY)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    while True:
        manager.sendto(b"READY=1\\nWATCHDOG=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
        os.write(port, bytes.fromhex("{drive}"))
        time.sleep(0.1)
'''
SET_UP = """
set -e
python3 -m venv --without-pip /opt/pinhole/current
cd /opt/pinhole/current/lib/python3*/site-packages
mv /root/release/agent .
mkdir pinhole-1.0.dist-info
printf 'Metadata-Version: 2.1\nName: pinhole\nVersion: 1.0\n' >pinhole-1.0.dist-info/METADATA
install -m 755 /root/agent /opt/pinhole/current/bin/pinhole
mkdir -p /etc/pinhole
install -d -o pinhole -g pinhole -m 700 /var/lib/pinhole
printf '[ptz]\\nport = "/dev/pinhole-ptz"\\nprotocol = "pelco-d"\\n' >/etc/pinhole/pinhole.toml
touch /var/lib/pinhole/portal-keys.json
systemd-run --quiet --unit=head python3 -u /root/port
until [ -e /dev/pinhole-ptz ]; do sleep 0.1; done
systemctl daemon-reload
systemctl start pinhole
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    rootfs = tmp_path_factory.mktemp("head") / "rootfs.tar"
    subprocess.run(["tar", "--create", "--file", rootfs, "--directory", ROOTFS, "."], check=True)
    with labs.lab() as lab:
        for suite in SUITES:
            root = lab.add(suite, suite=suite).folder / "root"
            unpack = (
                f"tar --extract --file {rootfs} --directory {root} --no-same-owner --keep-directory-symlink"
            )
            lab.shop.run("sh", "-c", unpack)
            lab.shop.run("sh", "-c", f"mkdir {root}/root/release && cp -r {ROOT}/agent {root}/root/release/")
        lab.boot(*SUITES)
        for suite in SUITES:
            dialout = lab.ssh(suite, "getent group dialout | cut -d: -f3").strip()
            put(lab, suite, "/root/port", PORT.format(dialout=dialout))
            put(lab, suite, "/root/agent", AGENT.format(drive=DRIVE.hex()))
            lab.ssh(suite, SET_UP)
        yield lab


def put(lab, suite, path, text):
    lab.ssh(suite, f"cat >{path} <<'END'\n{text}\nEND\nchmod 755 {path}")


def heard(lab, suite):
    """Frames by the head, in order; with each, by the machine's clock in microseconds, when."""
    said = lab.ssh(suite, "journalctl --no-pager --output=json --unit=head")
    entries = [json.loads(line) for line in said.splitlines()]
    return [
        (int(entry["__MONOTONIC_TIMESTAMP"]), bytes.fromhex(entry["MESSAGE"]))
        for entry in entries
        if entry.get("_TRANSPORT") == "stdout"
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES)
def test_a_killed_agents_head_stands_before_the_service_is_there_again(lab, suite):
    for _ in range(KILLS):
        labs.wait_for(lambda: heard(lab, suite)[-1:] and heard(lab, suite)[-1][1] == DRIVE, 90, 0.5)
        before = len(heard(lab, suite))
        main = lab.ssh(suite, "systemctl show --property=MainPID --value pinhole").strip()
        lab.ssh(suite, f"kill -KILL {main}")
        labs.wait_for(lambda n=before: STILL in [frame for _, frame in heard(lab, suite)[n:]], 60, 0.5)
    labs.wait_for(lambda: heard(lab, suite)[-1][1] == DRIVE, 90, 0.5)
    frames = heard(lab, suite)
    assert {frame for _, frame in frames} == {DRIVE, STILL}
    gaps = []
    for number, (when_us, frame) in enumerate(frames):
        if frame == STILL and frames[number - 1][1] == DRIVE:
            assert [each for _, each in frames[number : number + STOPS]] == [STILL] * STOPS
            assert frames[number + STOPS][1] == DRIVE, "the service is there again, and not before"
            gaps.append((when_us - frames[number - 1][0]) / 1e6)
    print(f"\n{suite}: from the last motion to the first stop {gaps} s")
    assert len(gaps) == KILLS
    said = lab.ssh(suite, "journalctl --no-pager --output=cat --unit=pinhole")
    assert "cannot be told" not in said
    assert said.count("status=9/KILL") >= KILLS
