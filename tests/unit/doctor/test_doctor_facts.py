"""How facts are read: time services, names, and who holds the camera."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.doctor.board import read_board
from agent.doctor.clock import compare, parse_chrony, parse_systemd, read_synchronisation
from agent.doctor.holder import Holder, find_holder, find_port_holder, not_looked_at
from agent.doctor.names import is_name, look_up
from agent.errors import PathError

TRACKING = (
    "C0000201,192.0.2.1,3,1795354000.1,-0.000012,0.00001,0.00002,-10.1,0.0,0.1,0.02,0.001,64.2,Normal\n"
)


def programs(**outputs):
    """Only these are installed."""

    async def ask(program, *_arguments):
        return outputs.get(program)

    return ask


def test_chrony():
    found = parse_chrony(TRACKING)
    assert (found.source, found.is_synchronised) == ("chrony", True)
    assert abs(found.offset_s) == pytest.approx(0.000012)


def test_chrony_that_has_no_source_knows_no_offset():
    found = parse_chrony(TRACKING.replace("Normal", "Not synchronised"))
    assert (found.is_synchronised, found.offset_s) == (False, None)


@given(st.text(max_size=100))
def test_no_output_of_a_time_service_raises(text):
    parse_chrony(text)
    parse_chrony(",".join([text] * 14))
    parse_systemd(text)


@pytest.mark.parametrize(("shown", "known"), [("yes\n", True), ("no\n", False), ("", None), ("maybe", None)])
def test_systemd(shown, known):
    assert parse_systemd(shown).is_synchronised is known


async def test_chrony_goes_first_then_systemd_then_nobody():
    assert (await read_synchronisation(programs(chronyc=TRACKING, timedatectl="no\n"))).source == "chrony"
    assert (
        await read_synchronisation(programs(chronyc="506 Cannot talk", timedatectl="no\n"))
    ).source == "systemd"
    assert (await read_synchronisation(programs())).source is None


def test_a_date_of_whole_seconds_is_uncertain():
    """Our clock is right, and the answer took 2 s: whatever is between may be the truth."""
    for true_s in (100.0, 100.5, 100.99):
        found = compare(int(true_s + 1), true_s, true_s + 2)
        assert abs(found.offset_s) <= found.uncertainty_s
    assert compare(3700, 100, 100).offset_s == pytest.approx(3600.5)


@pytest.mark.parametrize(
    ("said", "flags"),
    [("throttled=0x50005\n", 0x50005), ("throttled=0x0\n", 0), ("", None), ("error=1", None)],
)
async def test_the_boards_flags(said, flags):
    facts = await read_board(lambda: "Raspberry Pi 5", programs(vcgencmd=said))
    assert (facts.model, facts.throttled) == ("Raspberry Pi 5", flags)


@pytest.mark.parametrize(
    ("host", "yes"),
    [("example.org", True), ("localhost", True), ("192.0.2.1", False), ("2001:db8::1", False)],
)
def test_what_has_to_be_looked_up(host, yes):
    assert is_name(host) is yes


async def test_a_names_addresses_in_their_order_and_once_each():
    def resolve(host, port, type):  # noqa: A002  # as socket.getaddrinfo
        assert (host, port, type) == ("example.org", None, socket.SOCK_STREAM)
        return [
            (10, 1, 6, "", ("2001:db8::1", 0, 0, 0)),
            (2, 1, 6, "", ("192.0.2.1", 0)),
            (2, 2, 17, "", ("192.0.2.1", 0)),
        ]

    assert await look_up("example.org", resolve) == ("2001:db8::1", "192.0.2.1")


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]
)
async def test_an_unknown_name(error):
    def resolve(*_args, **_named):
        raise error

    with pytest.raises(PathError, match="unknown host"):
        await look_up("example.org", resolve)


def process(proc, pid, cmdline, *open_files):
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"\0".join(cmdline))
    for number, file in enumerate(open_files):
        (folder / "fd" / str(number)).symlink_to(file)


@pytest.mark.parametrize(
    "cmdline",
    [
        [b"/opt/pinhole/.venv/bin/python", b"/opt/pinhole/.venv/bin/pinhole", b"run", b"--config", b"p.toml"],
        [b"python", b"-m", b"agent", b"run", b"--config", b"p.toml"],
    ],
)
def test_the_agent_that_has_a_camera_is_found(tmp_path, cmdline):
    process(tmp_path, 1, [b"/sbin/init"], "/dev/null")
    process(tmp_path, 812, cmdline, "/dev/null", "/dev/video0")
    assert find_holder(tmp_path).pid == 812


def test_who_is_no_agent_or_has_no_camera_is_no_holder(tmp_path):
    process(tmp_path, 7, [b"/usr/bin/wireplumber", b"run"], "/dev/video0")
    process(tmp_path, 8, [b"/opt/pinhole", b"run"], "/dev/null", "socket:[1]")
    process(tmp_path, 9, [b"/opt/pinhole", b"portal"], "/dev/video0")
    (tmp_path / "10").mkdir()
    assert find_holder(tmp_path) is None


def test_the_agent_that_listens_to_a_port_is_found(tmp_path):
    process(tmp_path, 812, [b"pinhole", b"run"], "/dev/ttyUSB10")
    assert find_port_holder("/dev/ttyUSB10", tmp_path).pid == 812
    assert find_port_holder("/dev/ttyUSB0", tmp_path) is None


@pytest.mark.parametrize("is_listed", [True, False])
def test_an_agent_whose_files_are_closed_to_us_may_have_it(tmp_path, monkeypatch, is_listed):
    """The folder is, or each link in it: of a process of the same user that may do more than we."""

    def closed(_path):
        raise PermissionError

    process(tmp_path, 7, [b"/sbin/init"], "/dev/ttyUSB0")
    assert find_port_holder("/dev/ttyUSB0", tmp_path) is None
    process(tmp_path, 812, [b"pinhole", b"run"], "/dev/null")
    monkeypatch.setattr(Path, "readlink" if is_listed else "iterdir", closed)
    for found in (find_port_holder("/dev/ttyUSB0", tmp_path), find_holder(tmp_path)):
        assert found == Holder(812, is_certain=False)
        finding = not_looked_at("ptz", "visca", found)
        assert (finding.verdict, "may have it" in finding.message) == ("unknown", True)
        assert "sudo" in finding.advice


def test_a_port_whose_name_begins_as_anothers_is_another(tmp_path):
    process(tmp_path, 812, [b"pinhole", b"run"], "/dev/ttyAMA10")
    assert find_port_holder("/dev/ttyAMA1", tmp_path) is None
