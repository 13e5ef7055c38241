"""The short part: a server for everything and one camera, from nothing; then nothing to change."""

import time

import pytest
from fleet.pair import VERSION, pair
from fleet.workshop import LabError

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


@pytest.mark.timeout(1200)
def test_a_server_and_a_camera_are_rolled_out_and_then_left_alone(tmp_path):
    with pair(tmp_path) as made:
        lab, first = made.lab, made.play()
        print(first.output[-6000:])
        assert first.report["solo"] == {"release": VERSION, "result": "good", "reason": ""}
        assert lab.ssh("hub", f"systemctl is-active {SERVICES}").split() == ["active"] * 3
        assert lab.ssh("solo", "systemctl is-active pinhole").strip() == "active"
        installed = int(lab.ssh("solo", "du -sm /opt/pinhole").split()[0])
        assert installed <= 200, "MB on the device"
        second = made.play()
        assert second.changed() == {"hub": 0, "solo": 0}, second.output
        the_broker_takes_certificates_alone(lab)
        a_revoked_camera_is_out(lab)


def the_broker_takes_certificates_alone(lab):
    lab.ssh("hub", "apt-get install -qq -y mosquitto-clients >/dev/null 2>&1")
    publish = "mosquitto_pub --quiet -t pinhole/v1/solo/state -m x"
    authority = "--cafile /etc/mosquitto/pinhole/ca.pem"
    for tried in ("-p 1883", f"-p 8883 {authority}", f"-p 8884 {authority}"):
        with pytest.raises(LabError):
            lab.ssh("hub", f"timeout 10 {publish} -h 127.0.0.1 {tried}")


def a_revoked_camera_is_out(lab):
    """Its certificate is refused by the broker, and not only disbelieved by the portal."""
    probe = PROBE.format(broker=lab.machines["hub"].address)
    assert lab.ssh("solo", probe).strip() == "let in"
    lab.ssh(
        "hub",
        "cd /var/lib/pinhole-portal && runuser -u pinhole-portal -- /opt/pinhole/current/bin/pinhole "
        "portal device revoke solo -c /etc/pinhole/portal/portal.toml",
    )
    deadline = time.monotonic() + 20
    while lab.ssh("solo", probe).strip() != "refused":
        assert time.monotonic() < deadline, "a revoked certificate is still good"
