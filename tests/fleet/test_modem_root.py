"""What root does for a modem that hangs, under the systemd of each Debian: the agent's sandbox asks for it.

Units and scripts are installed by the role. USB, hub and GPIO lines are made up: no container has any, nor
does systemd in one keep a service from devices (`DeviceAllow=`).
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fleet import lab as labs

ROOT = Path(__file__).resolve().parents[2]
ROOTFS = ROOT / "firmware-config/rootfs"
SUITES = ("bookworm", "trixie")
STEPS = ("usb", "power", "apn")
APN_BURST = 30
"""`StartLimitBurst=` of its unit."""
AWAY_S = 4
REFUSAL = "that is no access point name"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: modem, tasks_from: recovery.yml}
  handlers:
    - name: Read the units again
      ansible.builtin.systemd_service: {daemon_reload: true}
"""
AGENT = '''#!/usr/bin/python3
"""In the agent's place, and its sandbox: does what root writes into a file, and says what came of it."""
import os, socket, subprocess, sys, time
from pathlib import Path

if sys.argv[1] != "run":
    raise SystemExit(0)
order, result = Path("order"), Path("result")
while True:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1\\nWATCHDOG=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
    if order.exists():
        done = subprocess.run(order.read_text(), shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        order.unlink()
        result.with_suffix(".part").write_bytes(b"%d\\n" % done.returncode + done.stdout)
        result.with_suffix(".part").rename(result)
    time.sleep(0.1)
'''
ASK = "python3 -c \"from pathlib import Path; Path('/run/pinhole/{}').write_text('{}')\""
"""As `Helpers` in agent/serial/modem/recovery.py does."""
SET_UP = """
set -e
mkdir -p /opt/pinhole/current/bin /etc/pinhole
install -d -o pinhole -g pinhole -m 700 /var/lib/pinhole
touch /etc/pinhole/pinhole.toml /var/lib/pinhole/portal-keys.json
install -m 755 /root/agent /opt/pinhole/current/bin/pinhole
mount -t tmpfs -o mode=755 bus /sys/bus
mount -t tmpfs -o mode=755 devices /sys/devices
mkdir -p /sys/bus/usb/devices
for device in 1-1:2c7c 1-2:046d; do
    name=${device%:*}
    mkdir -p /sys/devices/usb1/$name
    echo ${device#*:} >/sys/devices/usb1/$name/idVendor
    echo 1 >/sys/devices/usb1/$name/authorized
    ln -s ../../../devices/usb1/$name /sys/bus/usb/devices/$name
done
mkdir -p /etc/systemd/system/pinhole-modem-usb.service.d
printf '[Service]\\nEnvironment=AWAY_S={AWAY_S}\\n' >/etc/systemd/system/pinhole-modem-usb.service.d/test.conf
systemctl daemon-reload
systemctl start pinhole
"""
PROGRAM = """#!/bin/sh
# In place of {name}: takes what its manual page knows, and says how it was called and what it may do.
case "$*" in {known}) ;; *) echo "{name}: usage: $*"; exit 64 ;; esac
echo "called: {name} $*"
echo "capabilities: $(sed -n 's/^CapEff:.//p' /proc/self/status)"
for file in /etc/x /usr/x /var/lib/pinhole/x /root/x /run/pinhole/x /proc/sys/kernel/hostname; do
    if (: >>$file) 2>/dev/null; then echo "may write $file"; fi
done
ip -brief link 2>/dev/null | grep -v ^lo && echo "has a network"
exit 0
"""
PROGRAMS = {
    # uhubctl(1), gpioset(1) and gpiofind(1) of libgpiod 1.6, gpioset(1) of libgpiod 2.2
    "uhubctl": "'-l 1-1 -p 2 -a cycle -d '[0-9]*",
    "bookworm": {"gpioset": "'-m time -s '[0-9]*' gpiochip'[0-9]' '[0-9]*=[01]", "gpiofind": "GPIO26"},
    "trixie": {"gpioset": "'-t '[0-9]*'s,0 GPIO26='[01]"},
}
"""What each is called with, as a pattern of the shell."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    rootfs = folder / "rootfs.tar"
    subprocess.run(["tar", "--create", "--file", rootfs, "--directory", ROOTFS, "."], check=True)
    with labs.lab() as lab:
        for suite in SUITES:
            machine = lab.add(suite, suite=suite)
            unpack = f"tar --extract --file {rootfs} --directory {machine.folder}/root --no-same-owner"
            lab.shop.run("sh", "-c", f"{unpack} --keep-directory-symlink")
        lab.boot(*SUITES)
        for suite in SUITES:
            put(lab, suite, "/root/agent", AGENT)
            install_programs(lab, suite, folder)
        play(lab, folder, modem_enabled=True, modem_power_hub="1-1", modem_power_hub_port=2)
        for suite in SUITES:
            lab.ssh(suite, SET_UP.replace("{AWAY_S}", str(AWAY_S)))
        lab.tests = folder
        yield lab


def put(lab, suite, path, text):
    lab.ssh(suite, f"cat >{path} <<'END'\n{text}\nEND\nchmod 755 {path}")


def install_programs(lab, suite, folder):
    """As packages of the right names, which apt finds installed."""
    packages = {"uhubctl": {"uhubctl": PROGRAMS["uhubctl"]}, "gpiod": PROGRAMS[suite]}
    for package, programs in packages.items():
        tree = folder / suite / package
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {package}\nVersion: 9\nArchitecture: all\nDescription: stands in for it\n"
            "Maintainer: the tests <tests@example.org>\n"
        )
        (tree / "usr/bin").mkdir(parents=True)
        for name, known in programs.items():
            file = tree / "usr/bin" / name
            body = "#!/bin/sh\necho gpiochip0 26\n" if name == "gpiofind" else PROGRAM
            file.write_text(body.replace("{name}", name).replace("{known}", known))
            file.chmod(0o755)
        deb = lab.machines[suite].folder / f"root/root/{package}.deb"
        lab.shop.run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(deb))
        lab.ssh(suite, f"dpkg --install /root/{package}.deb")


def play(lab, folder, **variables):
    """The role's steps for root, as a roll-out installs them."""
    (folder / "play.yml").write_text(PLAY)
    hosts = {
        suite: {
            "ansible_host": lab.machines[suite].address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.folder / "id"),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        for suite in SUITES
    }
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    lab.shop.run(
        str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory),
        str(folder / "play.yml"), "--extra-vars", json.dumps(variables), timeout_s=300,
        env=labs.ansible_environment(lab.folder) | {"ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg")},
    )  # fmt: skip


def as_agent(lab, suite, command):
    """From within the service's sandbox: exit code and output."""
    put(lab, suite, "/var/lib/pinhole/order.part", command)
    said = lab.ssh(suite, """
        cd /var/lib/pinhole && rm -f result && mv order.part order
        for i in $(seq 300); do [ -e result ] && break; sleep 0.1; done
        cat result""")  # fmt: skip
    code, _, output = said.partition("\n")
    return int(code), output


def runs(lab, suite, step):
    """Of the step's service: how often it ended, and all that its script said."""
    unit = f"pinhole-modem-{step}.service"
    said = lab.ssh(suite, f"journalctl --no-pager --output=json -u {unit}")
    entries = [json.loads(line) for line in said.splitlines()]
    # systemd's own words, by their identifiers: started, failed to start
    ends = ("39f53479d3a045ac8e11786248231fbf", "be02cf6855d2428ba40df7e9d022f03d")
    ended = sum(entry.get("MESSAGE_ID") in ends and "skipped" not in entry["MESSAGE"] for entry in entries)
    return ended, [entry["MESSAGE"] for entry in entries if entry.get("_TRANSPORT") == "stdout"]


def ask(lab, suite, step, text=""):
    """By the agent, and until it was done; what was said since."""
    before, said = runs(lab, suite, step)
    code, output = as_agent(lab, suite, ASK.format(f"modem-{step}", text))
    assert code == 0, output
    labs.wait_for(lambda: runs(lab, suite, step)[0] == before + 1, 60, 0.5)
    return runs(lab, suite, step)[1][len(said) :]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES)
def test_a_modems_usb_port_is_let_go_and_taken_again_and_no_other(lab, suite):
    watch = (
        "import time\nfrom pathlib import Path\nlast = {}\nwhile True:\n"
        " for name in ('1-1', '1-2'):\n"
        "  value = Path(f'/sys/devices/usb1/{name}/authorized').read_text().strip()\n"
        "  if value and last.get(name) != value:\n"
        "   last[name] = value\n   print(name, value, flush=True)\n time.sleep(0.02)\n"
    )
    put(lab, suite, "/root/watch.py", watch)
    lab.ssh(suite, "systemd-run --quiet --unit=watch python3 /root/watch.py")
    for _ in range(2):
        assert ask(lab, suite, "usb") == ["plugging 1-1 (modem) anew"]
    lab.ssh(suite, "systemctl stop watch")
    seen = lab.ssh(suite, "journalctl --no-pager --output=cat -u watch").splitlines()
    assert [line for line in seen if re.fullmatch(r"1-[12] [01]", line)] == [
        "1-1 1", "1-2 1", "1-1 0", "1-1 1", "1-1 0", "1-1 1",
    ]  # fmt: skip
    assert [runs(lab, suite, other)[0] for other in ("power", "apn")] == [0, 0]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES)
def test_the_end_of_an_agent_is_no_wish_of_its(lab, suite):
    """What it wrote goes with its runtime folder, which is a change of the file too."""
    ask(lab, suite, "usb")
    before = runs(lab, suite, "usb")
    for _ in range(2):
        lab.ssh(suite, "systemctl restart pinhole")
        time.sleep(AWAY_S + 2)
        assert runs(lab, suite, "usb") == before
    ask(lab, suite, "usb")


CALLS = {
    "hub": dict.fromkeys(SUITES, "called: uhubctl -l 1-1 -p 2 -a cycle -d 5"),
    "gpio": {
        "bookworm": "called: gpioset -m time -s 5 gpiochip0 26=1",
        "trixie": "called: gpioset -t 5s,0 GPIO26=1",
    },
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("means", CALLS)
def test_its_power_is_cut_by_a_program_that_may_do_nothing_else(lab, means):
    if means == "gpio":
        play(lab, lab.tests, modem_power_gpio="GPIO26")
    for suite in SUITES:
        call = CALLS[means][suite]
        assert ask(lab, suite, "power") == [call, "capabilities: 0000000000000000"]
        may = lab.ssh(suite, f"cd /usr/bin && {call.partition(' ')[2]}")
        assert "may write /etc/x" in may, "root by itself"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES)
def test_networkmanager_gets_another_access_point_name(lab, suite):
    lab.ssh(suite, "apt-get install -qq -y --no-install-recommends network-manager", timeout_s=300)
    lab.ssh(suite, "systemctl start NetworkManager && nmcli connection add type gsm con-name pinhole-modem "
                   "autoconnect no ifname '*' apn internet")  # fmt: skip
    ask(lab, suite, "apn", "iot.example")
    apn = "nmcli --get-values gsm.apn connection show pinhole-modem"
    assert lab.ssh(suite, apn).strip() == "iot.example"
    said = ask(lab, suite, "apn", "x; touch /tmp/x")
    assert said == [REFUSAL]
    as_agent(lab, suite, "ln -sf /etc/shadow /run/pinhole/modem-apn.new; "
                         "mv -f /run/pinhole/modem-apn.new /run/pinhole/modem-apn")  # fmt: skip
    lab.ssh(suite, "systemctl start pinhole-modem-apn", check=False)
    assert lab.ssh(suite, apn).strip() == "iot.example"
    as_agent(lab, suite, "rm /run/pinhole/modem-apn")
    assert "root:" not in "".join(runs(lab, suite, "apn")[1])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES)
def test_the_agent_starts_these_and_nothing_else(lab, suite):
    before = [runs(lab, suite, step)[0] for step in STEPS]
    for command in (
        *(f"systemctl start pinhole-modem-{step}.service" for step in STEPS),
        "systemctl start rescue.target",
        "systemctl reboot",
        "echo 0 >/sys/devices/usb1/1-1/authorized",
        "echo MODEM_USB_VENDORS=046d >>/etc/pinhole/modem-recovery.env",
        "echo reboot >>/usr/local/libexec/pinhole/modem-usb",
    ):
        code, output = as_agent(lab, suite, f"timeout 20 {command}" if "systemctl" in command else command)
        assert code != 0, (command, output)
    for name in ("modem-other", "modem-usb.service", "pinhole-modem-usb"):
        assert as_agent(lab, suite, ASK.format(name, ""))[0] == 0
    time.sleep(3)
    assert [runs(lab, suite, step)[0] for step in STEPS] == before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES)
def test_an_agent_that_asks_without_end_is_heard_so_often_an_hour_and_later_again(lab, suite):
    lab.ssh(suite, "systemctl reset-failed pinhole-modem-apn.service")
    before = runs(lab, suite, "apn")[1].count(REFUSAL)
    asking = (
        "for i in $(seq 300); do echo -x >/run/pinhole/modem-apn; sleep 0.2; "
        "systemctl is-failed --quiet pinhole-modem-apn.path && exit; done; exit 1"
    )
    lab.ssh(suite, f"runuser -u pinhole -- sh -c '{asking}'", timeout_s=300)
    assert runs(lab, suite, "apn")[1].count(REFUSAL) - before == APN_BURST
    for _ in range(2):  # what it wrote goes with the first
        lab.ssh(suite, "systemctl restart pinhole")
        time.sleep(1)
    labs.wait_for(lambda: lab.ssh(suite, "systemctl is-active pinhole-modem-apn.path"), 60)
