"""What is there, and whether it is the hardware that does the work."""

from dataclasses import asdict


def test_inventory(device, results):
    """Every figure of a run belongs to a board, a camera and a version."""
    found = device.inventory()
    results.inventory = asdict(found)
    assert found.kernel.startswith("Linux")
    assert found.pinhole.startswith("pinhole ")
    assert found.memory_mb > 100


def test_the_board_is_a_raspberry_pi_that_is_not_throttled(device, needs):
    found = device.inventory()
    needs(device.is_hardware, "a Raspberry Pi")
    assert "Raspberry Pi" in found.model
    needs(found.throttled is not None, "vcgencmd on the device (raspi-utils): is the supply good for it?")
    assert found.throttled == 0, f"throttled={found.throttled:#x}: supply or heat"


def test_the_camera_is_attached(device, needs, wanted_camera):
    needs(device.is_hardware, "a camera")
    if wanted_camera in (None, "picamera"):
        assert device.inventory().cameras, "rpicam-hello --list-cameras sees none"
    else:
        assert device.run("ls /dev/pinhole-camera")


def test_the_hardware_encodes(device, viewer, needs):
    """Under a viewer the agent holds VideoCore's encoder, and nobody's x264 works instead."""
    needs(device.is_hardware, "a board with an H.264 encoder (Zero 2 W, 3B+, 4B, CM4)")
    needs(device.inventory().has_hardware_encoder, "a board with an H.264 encoder: this one has none")
    process = viewer.start(10)
    try:
        viewer.until_back(20)
        files = device.run(f"sudo -n ls -l /proc/{device.agent_pid()}/fd")
    finally:
        viewer.end(process, 10)
    assert "/dev/video11" in files


def test_the_agent_is_in_its_sandbox(device, needs):
    needs(device.is_service, "the agent as a systemd service")
    user = device.run(f"stat -c %U /proc/{device.agent_pid()}").strip()
    assert user == "pinhole"
    assert device.run("systemctl is-active pinhole.service").strip() == "active"


def test_the_hardware_watchdog_is_armed(device, needs):
    needs(device.is_hardware, "a hardware watchdog")
    shown = device.run("systemctl show --property=RuntimeWatchdogUSec --value").strip()
    assert shown == "14s"
