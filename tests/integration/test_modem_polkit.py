"""The role's polkit rule, before the real polkitd and ModemManager: what the agent may do to a modem."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from parts.need import need
from parts.role import render

ROOT = Path(__file__).parents[2]
POLKITD = "/usr/lib/polkit-1/polkitd"
NAME, PATH = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1"
BUS = """<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>"""
SCRIPT = """set -eu
NAME=org.freedesktop.ModemManager1 ROOT=/org/freedesktop/ModemManager1
started=
trap 'kill $started' EXIT
start() { "$@" >>log 2>&1 & started="$started $!"; }
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /etc/polkit-1/rules.d
[ ! -e rule ] || cp rule /etc/polkit-1/rules.d/50-pinhole.rules
await() { for _ in $(seq 200); do "$@" >>log 2>&1 && return; sleep 0.05; done; cat log >&2; exit 1; }
ask() { busctl --address=$DBUS_SYSTEM_BUS_ADDRESS call "$@"; }
start dbus-daemon --config-file=bus.conf --nofork --nosyslog
await test -S bus
chmod 777 bus
start /usr/lib/polkit-1/polkitd --no-debug
await ask org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority \
    org.freedesktop.DBus.Peer Ping
start "$PYTHON" "$FAKE" abstract:$SOCKET at.log 4321
await grep -q "@abstract:$SOCKET" /proc/net/unix  # or ModemManager gives the modem up
start /usr/sbin/ModemManager --test-enable
await ask $NAME $ROOT $NAME.Test SetProfile ssas rover generic 1 abstract:$SOCKET
await ask $NAME $ROOT/Modem/0 org.freedesktop.DBus.Properties Get ss $NAME.Modem State
while read -r path method arguments; do
    # shellcheck disable=SC2086
    setpriv --reuid nobody --clear-groups busctl --address=$DBUS_SYSTEM_BUS_ADDRESS \
        call $NAME $path ${method%.*} ${method##*.} $arguments 2>&1 || true
done <calls
"""
ENABLE = f"{PATH}/Modem/0 {NAME}.Modem.Enable b false"
SCAN = f"{PATH} {NAME}.ScanDevices"


@pytest.fixture
def asked():
    """`asked(calls, rule)`: what each call says to somebody without rights of his own."""
    need(os.geteuid() == 0, "root, for a mount namespace")
    for part in ("busctl", "dbus-daemon", "setpriv", "unshare", POLKITD, "/usr/sbin/ModemManager"):
        need(shutil.which(part), f"{part}: apt-get install polkitd modemmanager dbus-daemon")

    def ask(calls, rule=None):
        with tempfile.TemporaryDirectory() as made:  # which nobody may enter, as pytest's own
            folder = Path(made)
            folder.chmod(0o755)
            (folder / "bus.conf").write_text(BUS.format(socket=folder / "bus"))
            (folder / "calls").write_text("".join(f"{call}\n" for call in calls))
            if rule:
                (folder / "rule").write_text(rule)
            environ = {
                "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder / 'bus'}", "PYTHON": sys.executable,
                "FAKE": str(ROOT / "tests/fakes/at_modem.py"), "SOCKET": f"polkit-{os.getpid()}",
            }  # fmt: skip
            said = subprocess.run(
                ["unshare", "-m", "sh", "-c", SCRIPT],
                cwd=folder, capture_output=True, text=True, timeout=60, check=False,
                env=os.environ | environ,
            )  # fmt: skip
        assert said.returncode == 0, said.stderr
        return said.stdout

    return ask


def test_the_agents_user_may_control_the_modem_and_nothing_else(asked):
    rule = render("modem", "50-pinhole.rules.j2").replace('"pinhole"', '"nobody"')
    said = asked([ENABLE, SCAN], rule)
    assert "Device.Control" not in said
    assert f"not authorized for '{NAME}.Control'" in said


def test_without_the_rule_nobody_may(asked):
    assert f"not authorized for '{NAME}.Device.Control'" in asked([ENABLE])
