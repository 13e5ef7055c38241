"""Options, the device, and what becomes of the results."""

import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from device import Device, by_ssh  # its folder is on the path only now
from plug import open_plug
from recording import recorded
from results import Results
from rig import Rig, local_rig
from viewer import Viewer

RESULTS = pytest.StashKey[Results]()
ARTIFACTS = Path(__file__).parents[2] / ".artifacts" / "hil"
OPTIONS = {
    "--device": (None, "ssh host, such as pi@door.local; recorded:FILE for a dry run; else this machine"),
    "--portal": (None, "the portal's URL"),
    "--device-id": (None, "the device's id on the portal, where there are several"),
    "--user": (None, "who signs in there"),
    "--password-file": (None, "file with the portal's password"),
    "--camera": (None, "the kind that must be in use: picamera, v4l2, replay or synthetic"),
    "--ssh-option": ([], "for ssh -o; repeatable"),
    "--watch-option": ([], "for pinhole watch; repeatable"),
    "--plug": (None, "smart plug that feeds the device: tasmota://HOST or shelly://HOST"),
    "--led": (None, "GPIO of an LED that the camera sees: measures glass to glass"),
    "--load-minutes": (None, "how long the load lasts (60; 0.2 without a device)"),
    "--soak-hours": (None, "how long the soak lasts (24; 10 s without a device)"),
    "--report": (str(ARTIFACTS), "folder for results.json, index.html and junit.xml"),
}


def pytest_addoption(parser):
    group = parser.getgroup("hil", "hardware in the loop (tests/hil)")
    for name, (default, words) in OPTIONS.items():
        action = "append" if isinstance(default, list) else "store"
        group.addoption(name, action=action, default=default, help=words)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.stash[RESULTS] = Results(begun=time.strftime("%Y-%m-%d %H:%M:%S %Z"))
    if option(config, "--device") and not config.option.xmlpath:
        folder = Path(option(config, "--report"))
        folder.mkdir(parents=True, exist_ok=True)
        config.option.xmlpath = str(folder / "junit.xml")


def option(config, name):
    """Its default where pytest was not started with this folder by name, and so never heard of it."""
    return config.getoption(name, default=OPTIONS[name][0])


@pytest.fixture(scope="session")
def results(request) -> Results:
    return request.config.stash[RESULTS]


@pytest.fixture(scope="session")
def rig(request, tmp_path_factory, results):
    host = option(request.config, "--device")
    if host is None:
        results.device = "this machine, with the test picture"
        with local_rig() as local:
            results.way = lambda: str(local.device.way())
            yield local
        return
    results.device = host
    if host.startswith("recorded:"):
        device, viewer = recorded(Path(host.removeprefix("recorded:")))
        results.way = lambda: str(device.way())
        yield Rig(device, viewer)
        (Path(option(request.config, "--report")) / "commands").write_text("\n".join(device.log) + "\n")
        return
    portal = option(request.config, "--portal")
    if portal is None:
        pytest.fail("--portal URL is needed too")
    options = ["--portal", portal, *option(request.config, "--watch-option")]
    for name, flag in (
        ("--device-id", "--device"),
        ("--user", "--user"),
        ("--password-file", "--password-file"),
    ):
        if value := option(request.config, name):
            options += [flag, value]
    ssh = by_ssh(host, option(request.config, "--ssh-option"), tmp_path_factory.mktemp("ssh"))
    device = Device(ssh, portal_host=urlsplit(portal).hostname or "")
    results.way = lambda: str(device.way())
    device.is_hardware = device.ask("systemd-detect-virt || true").strip() in ("", "none")
    if not device.is_hardware:
        results.device = f"{host}, a container or virtual machine"
    yield Rig(device, Viewer(tuple(options), dict(os.environ)))


@pytest.fixture
def device(rig) -> Device:
    return rig.device


@pytest.fixture
def viewer(rig) -> Viewer:
    return rig.viewer


@pytest.fixture
def needs(request, results):
    """`needs(condition, what)`: skip, and name in the summary what the rig lacks."""

    def check(condition, what):
        if not condition:
            results.unchecked[request.node.name] = what
            pytest.skip(f"not checked: needs {what}")

    return check


@pytest.fixture
def plug(request, needs):
    url = option(request.config, "--plug")
    needs(url, "a smart plug (--plug tasmota://HOST)")
    return open_plug(url)


@pytest.fixture
def wanted_camera(request, rig):
    return option(request.config, "--camera") or (None if rig.device.is_hardware else "synthetic")


@pytest.fixture
def led(request, needs):
    gpio = option(request.config, "--led")
    needs(gpio, "an LED in the camera's sight (--led GPIO)")
    return int(gpio)


@pytest.fixture
def load_s(request, rig):
    default = 60 if rig.device.is_hardware else 0.2
    return 60 * float(option(request.config, "--load-minutes") or default)


@pytest.fixture
def soak_s(request, rig):
    default = 24 if rig.device.is_hardware else 10 / 3600
    return 3600 * float(option(request.config, "--soak-hours") or default)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid.rpartition("::")[2]] = (report.nodeid, report.outcome)


_outcomes: dict[str, tuple[str, str]] = {}


def pytest_sessionfinish(session):
    results = session.config.stash[RESULTS]
    results.outcomes = {name: outcome for name, (node, outcome) in _outcomes.items() if "hil/" in node}
    if results.device:
        results.write(Path(option(session.config, "--report")))


def pytest_terminal_summary(terminalreporter, config):
    results = config.stash[RESULTS]
    if not results.device:
        return
    terminalreporter.section(f"hardware in the loop: {results.device}")
    for each in results.figures:
        terminalreporter.line(f"{each['name']:<44} {each['value']} {each['unit']}")
    if results.unchecked:
        terminalreporter.line("")
        terminalreporter.line("not checked, for want of hardware:")
        for name, what in results.unchecked.items():
            terminalreporter.line(f"  {name}: {what}")
    terminalreporter.line(f"page with plots: {Path(option(config, '--report')) / 'index.html'}")
