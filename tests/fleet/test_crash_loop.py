"""An agent that ends as often as it is started: what systemd makes of our units, on each system of a Pi."""

import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from fleet import lab as labs

ROOTFS = Path(__file__).resolve().parents[2] / "firmware-config" / "rootfs"
SUITES = ("bookworm", "trixie")
CAMERA = """
set -e
mkdir -p /opt/pinhole/current/bin /etc/pinhole /var/lib/pinhole
touch /etc/pinhole/pinhole.toml /var/lib/pinhole/portal-keys.json
cat >/opt/pinhole/current/bin/pinhole <<'EOF'
#!/bin/sh
[ "$1" = config ]  # good settings, and nothing else
EOF
chmod 755 /opt/pinhole/current/bin/pinhole
chown -R pinhole: /var/lib/pinhole
echo 599.0 >/run/uptime
for line in pinhole:RestartMaxDelaySec=8 'pinhole-rescue:Environment=PAUSE_S=600 UPTIME_FILE=/run/uptime'; do
  mkdir -p /run/systemd/system/${line%%:*}.service.d
  printf '[Service]\\n%s\\n' "${line#*:}" >/run/systemd/system/${line%%:*}.service.d/test.conf
done
systemctl daemon-reload
systemctl --no-block start pinhole
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_only_the_last_of_ten_failures_calls_the_rescue(tmp_path):
    rootfs = tmp_path / "rootfs.tar"
    subprocess.run(["tar", "--create", "--file", rootfs, "--directory", ROOTFS, "."], check=True)
    with labs.lab() as lab:
        for suite in SUITES:
            machine = lab.add(suite, suite=suite)
            unpack = f"tar --extract --file {rootfs} --directory {machine.folder}/root --no-same-owner"
            lab.shop.run("sh", "-c", f"{unpack} --keep-directory-symlink")
        lab.boot(*SUITES)
        for suite in SUITES:
            lab.ssh(suite, CAMERA)
        for suite in SUITES:
            await_rescue(lab, suite)
            said = journal(lab, suite, "pinhole")
            version = lab.ssh(suite, "systemctl --version").splitlines()[0]
            restarts = re.findall(r"^\[ *([\d.]+)\].*restart counter is at (\d+)", said, re.MULTILINE)
            pauses = [round(float(after[0]) - float(one[0]), 1) for one, after in pairwise(restarts)]
            print(f"\n{version}: started again after {pauses} s")
            assert "Start request repeated too quickly" in said
            assert [int(count) for _, count in restarts] == list(range(1, 11)), "the tenth is refused"
            assert journal(lab, suite, "pinhole-rescue").count("is due after") == 1
            if int(version.split()[1]) >= 254:
                assert pauses[0] < pauses[-1], "the pauses grow"


def await_rescue(lab, name):
    deadline = time.monotonic() + 240
    while "is due after 600 s" not in journal(lab, name, "pinhole-rescue"):
        assert time.monotonic() < deadline, journal(lab, name, "pinhole")
        time.sleep(1)


def journal(lab, name, unit):
    return lab.ssh(name, f"journalctl --no-pager --output=short-monotonic --unit={unit}")
