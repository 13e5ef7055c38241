"""What goes wrong in a year, on purpose, and how soon there is a picture again."""

import time

import pytest

CRASH_LIMIT_S, CAMERA_LIMIT_S, NETWORK_LIMIT_S, BOOT_LIMIT_S = 60, 120, 180, 240


def test_the_agent_crashes(device, viewer, results):
    before = device.agent_pid()
    viewer.watch(1)
    device.run(f"kill -9 {before}" if not device.is_service else f"sudo -n kill -9 {before}")
    took_s = viewer.until_back(CRASH_LIMIT_S)
    results.figure("picture after a crash", round(took_s, 1), "s")
    assert device.agent_pid() != before


def test_the_agent_hangs(device, viewer, needs, results):
    """Systemd's watchdog ends it: 30 s without a heartbeat."""
    needs(device.is_service, "the agent as a systemd service")
    before = device.agent_pid()
    device.run(f"sudo -n kill -STOP {before}")
    took_s = viewer.until_back(CRASH_LIMIT_S + 40)
    results.figure("picture after a hang", round(took_s, 1), "s")
    assert device.agent_pid() != before


def test_the_camera_is_unplugged(device, viewer, needs, results):
    """A USB camera loses its authorization, as if its plug were drawn; a ribbon's driver is unbound."""
    needs(device.is_hardware, "a camera that can be unplugged")
    usb = device.ask("udevadm info --query=path --name=/dev/pinhole-camera").strip()
    if usb:
        port = "/sys" + usb.split("/video4linux")[0].rpartition("/")[0]
        device.detached(f"echo 0 >{port}/authorized; sleep 10; echo 1 >{port}/authorized")
    else:
        sensor = device.ask("ls -d /sys/bus/i2c/drivers/imx*/*-00* /sys/bus/i2c/drivers/ov*/*-00*").split()
        needs(sensor, "a sensor whose driver can be unbound")
        driver, _, name = sensor[0].rpartition("/")
        device.detached(f"echo {name} >{driver}/unbind; sleep 10; echo {name} >{driver}/bind")
    time.sleep(12)
    results.figure("picture after the camera was out", round(viewer.until_back(CAMERA_LIMIT_S), 1), "s")


def test_the_encoder_stalls(device, viewer, needs, results):
    """The codec's driver is taken away under a running stream."""
    needs(device.is_hardware, "a board with an H.264 encoder (Zero 2 W, 3B+, 4B, CM4)")
    needs(device.inventory().has_hardware_encoder, "a board with an H.264 encoder: this one has none")
    driver = "/sys/bus/platform/drivers/bcm2835-codec"
    needs(device.ask(f"ls -d {driver}/bcm2835-codec"), "a codec driver that can be unbound")
    process = viewer.start(60)
    viewer.until_back(20)
    device.detached(f"echo bcm2835-codec >{driver}/unbind; sleep 5; echo bcm2835-codec >{driver}/bind")
    time.sleep(6)
    took_s = viewer.until_back(CAMERA_LIMIT_S)
    process.kill()
    process.wait()
    results.figure("picture after the encoder stalled", round(took_s, 1), "s")


def test_the_modem_is_reset(device, viewer, needs, results):
    needs(device.is_hardware, "a modem")
    needs(device.inventory().modems, "a modem with an AT port (/dev/pinhole-modem)")
    device.detached("sleep 1; mmcli -m any --reset")
    time.sleep(5)
    results.figure("picture after the modem's reset", round(viewer.until_back(NETWORK_LIMIT_S), 1), "s")


def test_the_network_is_pulled(device, viewer, needs, results):
    """The interface of the default route goes down for 30 s."""
    needs(device.is_hardware, "a network interface that may go down")
    route = device.run("ip -o route show default").split()
    interface = route[route.index("dev") + 1]
    device.detached(f"ip link set {interface} down; sleep 30; ip link set {interface} up")
    time.sleep(31)
    results.figure("picture after the network was out", round(viewer.until_back(NETWORK_LIMIT_S), 1), "s")


@pytest.mark.timeout(600)
def test_the_power_is_cut(device, viewer, plug, results):
    """Under a viewer, without a word, three times: the card must bear it."""
    for _ in range(3):
        process = viewer.start(60)
        viewer.until_back(20)
        plug.switch(on=False)
        process.kill()
        process.wait()
        time.sleep(5)
        plug.switch(on=True)
        results.figure("picture after the power was cut", round(viewer.until_back(BOOT_LIMIT_S), 1), "s")
    assert device.run("findmnt --noheadings --output OPTIONS /").startswith("rw")
