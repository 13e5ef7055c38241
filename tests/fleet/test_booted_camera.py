"""A server for everything and one camera, from nothing: the short part, and what takes longer with them."""

import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from fleet.lab import wait_for
from fleet.pair import CAMERA, SERVER, VERSION, pair
from fleet.workshop import PATH, LabError

pytestmark = pytest.mark.timeout(1500)
ROOT = Path(__file__).resolve().parents[2]
HARDWARE = {
    "test_every_frame_arrives",
    "test_the_board_is_a_raspberry_pi_that_is_not_throttled",
    "test_the_camera_is_attached",
    "test_the_camera_is_unplugged",
    "test_the_encoder_stalls",
    "test_the_hardware_encodes",
    "test_the_hardware_watchdog_is_armed",
    "test_the_modem_is_reset",
    "test_the_network_is_pulled",
    "test_the_power_is_cut",
    "test_glass_to_glass_by_an_led",
    "test_heat_under_load",
}
"""What no container can show; everything else must be checked on one."""
REBOOT = 133
"""How systemd-nspawn ends where the machine asked for a reboot."""
CRASHING = "[Service]\nExecStart=\nExecStart=/bin/false\n"
DROP_IN = "/run/systemd/system/{unit}.service.d/test.conf"
SERVICES = "mosquitto coturn pinhole-portal"
PROBE = """runuser -u pinhole -- python3 - <<'EOF'
import socket, ssl
context = ssl.create_default_context(cafile="/var/lib/pinhole/broker-ca.pem")
context.load_cert_chain("/var/lib/pinhole/device.pem", "/var/lib/pinhole/device-key.pem")
try:
    socket = context.wrap_socket(socket.create_connection(("{broker}", 8883), 10), server_hostname="{broker}")
    socket.settimeout(2)
    print("let in" if socket.recv(1) else "refused")  # TLS 1.3 refuses after the handshake
except TimeoutError:
    print("let in")
except OSError:
    print("refused")
EOF"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pair(tmp_path_factory.mktemp("camera")) as one:
        one.play()
        yield one


def test_a_server_and_a_camera_are_rolled_out_and_then_left_alone(made):
    first = made.played
    print(first.output[-6000:])
    assert first.report[CAMERA] == {"release": VERSION, "result": "good", "reason": ""}
    assert made.lab.ssh(SERVER, f"systemctl is-active {SERVICES}").split() == ["active"] * 3
    assert made.lab.ssh(CAMERA, "systemctl is-active pinhole").strip() == "active"
    installed = int(made.lab.ssh(CAMERA, "du -sm /opt/pinhole").split()[0])
    assert installed <= 200, "MB on the device"
    second = made.play()
    assert second.changed() == {SERVER: 0, CAMERA: 0}, second.output


def test_the_broker_takes_certificates_alone(made):
    made.lab.ssh(SERVER, "apt-get install -qq -y mosquitto-clients >/dev/null 2>&1")
    publish = "mosquitto_pub --quiet -t pinhole/v1/solo/state -m x"
    authority = "--cafile /etc/mosquitto/pinhole/ca.pem"
    for tried in ("-p 1883", f"-p 8883 {authority}", f"-p 8884 {authority}"):
        with pytest.raises(LabError):
            made.lab.ssh(SERVER, f"timeout 10 {publish} -h 127.0.0.1 {tried}")


@pytest.mark.slow
def test_the_hardware_suite_passes_and_says_what_it_could_not_check(made):
    report = ROOT / ".artifacts" / "hil-container"
    address, key = made.lab.machines[CAMERA].address, made.lab.folder / "id"
    options = [f"IdentityFile={key}", "StrictHostKeyChecking=no", f"UserKnownHostsFile={os.devnull}"]
    done = subprocess.run(
        [*made.lab.shop.enter(), "sh", "-c", 'cd "$0" && exec "$@"', str(ROOT),
         sys.executable, "-m", "pytest", "tests/hil", "-q", "-p", "no:cacheprovider",
         "--device", f"root@{address}",
         *made.sign_in, "--device-id", CAMERA, "--report", str(report),
         *(word for option in options for word in ("--ssh-option", option))],
        env=os.environ | {"PATH": PATH, "SSL_CERT_FILE": str(made.tls.file)},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    results = json.loads((report / "results.json").read_text())
    assert set(results["unchecked"]) == HARDWARE
    cases = ET.parse(report / "junit.xml").getroot().iter("testcase")
    outcomes = {
        case.get("name"): "skipped" if case.find("skipped") is not None else "passed" for case in cases
    }
    assert outcomes == results["outcomes"]
    assert set(outcomes.values()) == {"passed", "skipped"}
    page = (report / "index.html").read_text()
    assert page.count("<svg") == len(results["curves"]) > 0
    assert "picture after a hang" in page


@pytest.mark.slow
def test_a_stop_under_a_viewer_is_clean(made):
    viewer = subprocess.Popen(
        [*made.lab.shop.enter(), *made.tls.trusting("pinhole"), "watch", *made.sign_in, "--device", CAMERA,
         "--seconds", "60", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(6)
    before = time.monotonic()
    made.lab.ssh(CAMERA, "systemctl stop pinhole")
    took_s = time.monotonic() - before
    viewer.communicate(timeout=60)
    print(f"\nstopped in {took_s:.1f} s")
    # TimeoutStopSec would have killed it, and the result would say so.
    assert show(made, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    made.lab.ssh(CAMERA, "systemctl start pinhole")


@pytest.mark.slow
def test_wrong_settings_are_tried_again_and_never_with_a_reboot(made):
    boot = boot_of(made)
    made.lab.ssh(
        CAMERA,
        "cp /etc/pinhole/pinhole.toml /root/good.toml; echo 'nonsense = 1' >>/etc/pinhole/pinhole.toml",
    )
    drop_in(made, "pinhole-rescue", "[Service]\nEnvironment=PAUSE_S=5\n")
    crash(made)
    wait_for(lambda: "no reboot mends this: " in journal(made, "pinhole-rescue"), 60)
    said = journal(made, "pinhole", "--output=short-monotonic")
    assert "Start request repeated too quickly" in said
    restarts = re.findall(r"^\[ *([\d.]+)\].*restart counter is at (\d+)", said, re.MULTILINE)
    pauses = [float(after[0]) - float(one[0]) for one, after in pairwise(restarts[-10:])]
    print(f"\n{made.lab.ssh(CAMERA, 'systemctl --version').splitlines()[0]}: restarts after {pauses} s")
    assert max(int(count) for _, count in restarts) == 10  # the tenth is the one that is refused
    made.lab.ssh(CAMERA, "cp /root/good.toml /etc/pinhole/pinhole.toml")
    mend(made)
    wait_for(lambda: show(made, "ActiveState")["ActiveState"] == "active", 60)
    assert boot_of(made) == boot


@pytest.mark.slow
def test_where_nothing_helps_the_board_is_rebooted_and_the_count_outlives_it(made):
    boot = boot_of(made)
    drop_in(made, "pinhole-rescue", "[Service]\nEnvironment=PAUSE_S=5 UPTIME_FILE=/run/uptime\n")
    made.lab.ssh(CAMERA, "echo 599.0 1.0 >/run/uptime; journalctl --rotate --vacuum-time=1s >/dev/null 2>&1")
    crash(made)
    wait_for(lambda: "reboot number 1 is due after 600 s" in journal(made, "pinhole-rescue"), 60)
    assert boot_of(made) == boot
    made.lab.ssh(CAMERA, "echo 601.0 1.0 >/run/uptime")
    assert made.lab.machines[CAMERA].popen.wait(180) == REBOOT
    made.lab.boot(CAMERA)  # with what was in /run the crash is over, too
    wait_for(lambda: show(made, "ActiveState")["ActiveState"] == "active", 120)
    assert made.lab.ssh(CAMERA, "cat /var/lib/pinhole-rescue/reboots").strip() == "1"


def test_a_revoked_camera_is_out(made):
    """Its certificate is refused by the broker, and not only disbelieved by the portal."""
    probe = PROBE.format(broker=made.lab.machines[SERVER].address)
    assert made.lab.ssh(CAMERA, probe).strip() == "let in"
    made.lab.ssh(
        SERVER,
        "cd /var/lib/pinhole-portal && runuser -u pinhole-portal -- /opt/pinhole/current/bin/pinhole "
        "portal device revoke solo -c /etc/pinhole/portal/portal.toml",
    )
    wait_for(lambda: made.lab.ssh(CAMERA, probe).strip() == "refused", 20)


def crash(made):
    """From now on the agent ends at once, as often as it is started."""
    drop_in(made, "pinhole", CRASHING)
    made.lab.ssh(CAMERA, "systemctl restart pinhole", check=False)


def mend(made):
    for unit in ("pinhole", "pinhole-rescue"):
        made.lab.ssh(CAMERA, f"rm -f {DROP_IN.format(unit=unit)}")
    made.lab.ssh(CAMERA, "systemctl daemon-reload")


def drop_in(made, unit, text):
    file = DROP_IN.format(unit=unit)
    made.lab.ssh(CAMERA, f"mkdir -p $(dirname {file}); printf '%s' '{text}' >{file}; systemctl daemon-reload")


def show(made, *properties):
    said = made.lab.ssh(CAMERA, f"systemctl show pinhole --property={','.join(properties)}")
    return dict(line.split("=", 1) for line in said.splitlines())


def journal(made, unit, form="--output=cat"):
    return made.lab.ssh(CAMERA, f"journalctl --no-pager {form} --unit={unit}")


def boot_of(made):
    """When process 1 began: nspawn gives a machine that reboots a new one."""
    stat = made.lab.ssh(CAMERA, "cat /proc/1/stat", timeout_s=20)
    return re.sub(r".*\) ", "", stat).split()[19]
