"""What goes wrong in a year, on purpose, and how soon there is a picture again.

Nothing here takes a driver from under a stream: kernels have crashed of that, and with `oops=panic` the
reboot looked like a recovery. A recovery counts in the same boot alone.
"""

import re

import pytest

CRASH_LIMIT_S, CAMERA_LIMIT_S, NETWORK_LIMIT_S, BOOT_LIMIT_S = 60, 120, 180, 240
STANDBY = {"imx219", "imx378", "imx477", "imx519", "imx708", "ov5647", "ov64a40", "ov9281"}
"""Sensors that stand still while register 0x0100 (SMIA's mode_select) is 0: their driver sets it to start."""
STALL_S = 8
ENCODER = "/dev/video11"


@pytest.fixture
def recovery(device, viewer, results):
    """`recovery(name, limit_s)`: notes how long it takes until there is a picture, in the same boot."""
    boot = device.boot_id()

    def measure(name, limit_s):
        took_s = viewer.until_back(limit_s)
        assert device.boot_id() == boot, "the board was rebooted: that is no recovery"
        results.figure(name, round(took_s, 1), "s")

    return measure


def test_the_agent_crashes(device, viewer, recovery):
    before = device.agent_pid()
    viewer.watch(1)
    device.run(f"kill -9 {before}" if not device.is_service else f"sudo -n kill -9 {before}")
    recovery("picture after a crash", CRASH_LIMIT_S)
    assert device.agent_pid() != before


def test_the_agent_hangs(device, needs, recovery):
    """Systemd's watchdog ends it: 30 s without a heartbeat."""
    needs(device.is_service, "the agent as a systemd service")
    before = device.agent_pid()
    device.run(f"sudo -n kill -STOP {before}")
    recovery("picture after a hang", CRASH_LIMIT_S + 40)
    assert device.agent_pid() != before


def test_the_camera_is_unplugged(device, viewer, needs, recovery):
    """A USB camera loses its authorization, as if its plug were drawn; a sensor is told to stand still.

    To who reads it, that is a ribbon without contact: no picture comes, and nothing else happens.
    """
    needs(device.is_hardware, "a camera that can be unplugged")
    usb = device.ask("udevadm info --query=path --name=/dev/pinhole-camera").strip()
    if usb:
        port = "/sys" + usb.split("/video4linux")[0].rpartition("/")[0]
        device.detached(f"echo 0 >{port}/authorized; sleep 10; echo 1 >{port}/authorized")
        device.wait(12)
        recovery("picture after the camera was out", CAMERA_LIMIT_S)
        return
    bound = re.findall(r"/(\w+)/(\d+)-00([0-9a-f]{2})\n", device.ask("ls -d /sys/bus/i2c/drivers/*/*-00*"))
    sensors = [(bus, address) for driver, bus, address in bound if driver in STANDBY]
    needs(sensors, f"a sensor that can be told to stand still: {', '.join(sorted(STANDBY))}")
    needs(device.ask("command -v i2ctransfer"), "i2c-tools on the device")
    process = viewer.start(60)
    viewer.until_back(20)
    device.run("sudo -n modprobe i2c-dev")
    assert any([stands_still(device, *sensor) for sensor in sensors]), "no sensor does as it is told"  # noqa: C419
    process.kill()
    process.wait()
    recovery("picture after the camera stood still", CAMERA_LIMIT_S)


def stands_still(device, bus, address):
    """Whether the sensor does now; one that is at rest has no power, and does not answer."""
    transfer = f"sudo -n i2ctransfer -f -y {bus}"
    device.ask(f"{transfer} w3@0x{address} 0x01 0x00 0x00")
    return device.ask(f"{transfer} w2@0x{address} 0x01 0x00 r1").strip() == "0x00"


def test_the_encoder_stalls(device, viewer, needs, recovery):
    """Each of the agent's calls of the encoder takes longer than a stall may last."""
    needs(device.is_hardware, "a board with an H.264 encoder (Zero 2 W, 3B+, 4B, CM4)")
    needs(device.inventory().has_hardware_encoder, "a board with an H.264 encoder: this one has none")
    needs(device.ask("command -v strace"), "strace on the device")
    process = viewer.start(60)
    viewer.until_back(20)
    inject = f"-e trace=ioctl -e inject=ioctl:delay_enter={2 * STALL_S * 1_000_000}"
    strace = f"strace --follow-forks -q -o /dev/null -p {device.agent_pid()} -P {ENCODER} {inject}"
    said = device.run(f"sudo -n timeout --signal=INT {STALL_S} {strace}; echo $?", timeout_s=STALL_S + 20)
    assert said.split()[-1] == "124", f"it was not held up: {said}"
    process.kill()
    process.wait()
    recovery("picture after the encoder stalled", CAMERA_LIMIT_S)


def test_the_modem_is_reset(device, needs, recovery):
    """It counts where the modem carries the picture, before and after: over a cable nobody would notice."""
    needs(device.is_hardware, "a modem")
    needs(device.inventory().modems, "a modem with an AT port (/dev/pinhole-modem)")
    way = device.way()
    needs(
        way.is_modem, f"a modem that carries the picture: it goes over {way.interface or 'nobody knows what'}"
    )
    index = f"cat /sys/class/net/{way.interface}/ifindex"
    before = device.run(index)
    device.detached("sleep 1; mmcli -m any --reset")
    device.wait(5)
    recovery("picture after the modem's reset", NETWORK_LIMIT_S)
    after = device.way()
    assert after.is_modem, f"it came over {after}"
    assert device.run(f"cat /sys/class/net/{after.interface}/ifindex") != before, "the modem was not reset"


def test_the_network_is_pulled(device, needs, recovery):
    """The interface to the portal goes down for 30 s."""
    needs(device.is_hardware, "a network interface that may go down")
    interface = device.way().interface
    needs(interface, "a route to the portal")
    device.detached(f"ip link set {interface} down; sleep 30; ip link set {interface} up")
    device.wait(31)
    recovery(f"picture after {interface} was out", NETWORK_LIMIT_S)


@pytest.mark.timeout(600)
def test_the_power_is_cut(device, viewer, plug, results):
    """Under a viewer, without a word, three times: the card must bear it."""
    for _ in range(3):
        boot = device.boot_id()
        process = viewer.start(60)
        viewer.until_back(20)
        plug.switch(on=False)
        process.kill()
        process.wait()
        device.wait(5)
        plug.switch(on=True)
        took_s = viewer.until_back(BOOT_LIMIT_S)
        assert device.boot_id() != boot, "the plug cut no power"
        results.figure("picture after the power was cut", round(took_s, 1), "s")
    assert device.run("findmnt --noheadings --output OPTIONS /").startswith("rw")
