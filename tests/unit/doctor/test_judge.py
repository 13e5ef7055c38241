"""What facts mean: every verdict, and something to do wherever not all is well."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.trial import Trial
from agent.doctor import judge
from agent.doctor.board import BoardFacts, judge_board
from agent.doctor.clock import PortalDate, Synchronisation
from agent.doctor.holder import Holder
from agent.doctor.judge import PathFacts
from agent.doctor.portal import PortalVisit
from agent.model.health import NatKind
from agent.model.media import StreamFormat
from agent.mqtt.probe import BrokerVisit
from agent.rtc.interfaces import LocalAddress
from agent.rtc.nat import Behaviour
from agent.rtc.reach import Reached, Target

EI, AD, APD = "endpoint-independent", "address-dependent", "address- and port-dependent"
HOME = LocalAddress("eth0", "192.168.1.7", is_offered=True)
BEHAVIOURS = {
    "open": Behaviour(True, "203.0.113.9", ("203.0.113.9", 1), EI, EI),
    "firewall": Behaviour(True, "203.0.113.9", ("203.0.113.9", 1), EI, APD),
    "full-cone": Behaviour(True, "192.168.1.7", ("203.0.113.9", 1), EI, EI),
    "restricted": Behaviour(True, "192.168.1.7", ("203.0.113.9", 1), EI, AD),
    "port-restricted": Behaviour(True, "192.168.1.7", ("203.0.113.9", 1), EI, APD),
    "cone": Behaviour(True, "192.168.1.7", ("203.0.113.9", 1), EI),
    "symmetric": Behaviour(True, "192.168.1.7", ("203.0.113.9", 1), APD, APD),
    "udp-blocked": Behaviour(False, "192.168.1.7"),
    "unknown": Behaviour(True, "192.168.1.7", ("203.0.113.9", 1)),
}
NEEDS_NO_RELAY = {"open", "full-cone", "restricted"}


def nat(kind, relays=(), *addresses):
    return judge.judge_nat(PathFacts(BEHAVIOURS[kind], addresses or (HOME,), tuple(relays)))


def test_every_kind_is_here():
    assert set(BEHAVIOURS) == set(get_args(NatKind))
    assert {kind: behaviour.kind for kind, behaviour in BEHAVIOURS.items()} == {
        kind: kind for kind in BEHAVIOURS
    }


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_a_nat_without_a_relay(kind):
    finding = nat(kind)
    expected = "fault" if kind == "udp-blocked" else "good" if kind in NEEDS_NO_RELAY else "warning"
    assert finding.verdict == expected
    assert bool(finding.advice) == (expected != "good")
    assert finding.details["kind"] == kind


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_a_nat_with_a_relay_serves_everybody(kind):
    finding = nat(kind, ["tls", "tcp", "tcp"])
    assert finding.verdict == ("warning" if kind == "udp-blocked" else "good")
    assert finding.details["relays"] == "tcp tls"


def test_one_server_that_is_down_is_no_blocked_udp():
    facts = PathFacts(BEHAVIOURS["udp-blocked"], (HOME,), (), ("turn:a.example",))
    finding = judge.judge_nat(facts)
    assert finding.verdict == "fault", "so that the camera's card shows it"
    assert finding.message.startswith("turn:a.example does not answer")
    assert "blocked" not in finding.message
    assert finding.details["kind"] == "unknown"
    helped = judge.judge_nat(PathFacts(BEHAVIOURS["udp-blocked"], (HOME,), ("tls",), ("turn:a.example",)))
    assert helped.verdict == "warning"
    assert "a relay works over tls" in helped.message


def test_servers_that_are_all_silent_are_named():
    facts = PathFacts(BEHAVIOURS["udp-blocked"], (HOME,), (), ("stun:a.example", "turn:b.example"))
    finding = judge.judge_nat(facts)
    assert finding.details["kind"] == "udp-blocked"
    assert "no answer from stun:a.example and turn:b.example" in finding.message


def test_a_relay_that_does_not_reach_other_relays_is_named():
    target = Target("turn:a.example", "a.example", 3478, "udp", is_relay=True)
    why = "refused with 403 Forbidden IP"
    finding = judge.judge_ice(target, Reached(5, ("203.0.113.9", 1), ("192.0.2.2", 50_000), why))
    assert finding.verdict == "warning"
    assert why in finding.message
    assert "192.0.2.2" in finding.advice


@pytest.mark.parametrize("ip", ["100.64.0.1", "100.127.255.254"])
def test_carrier_nat_by_an_address_of_ours(ip):
    finding = nat("symmetric", (), LocalAddress("wwan0", ip, is_offered=True))
    assert finding.details["is_carrier"] is True
    assert "behind carrier NAT" in finding.message


@pytest.mark.parametrize(
    ("ip", "is_offered"),
    [("100.63.0.1", True), ("100.128.0.1", True), ("100.64.0.1", False), ("2001:db8::1", True)],
)
def test_no_carrier_nat(ip, is_offered):
    """Tailscale and its like borrow the range: an address that is not offered says nothing."""
    assert nat("symmetric", (), LocalAddress("x", ip, is_offered)).details["is_carrier"] is False


def test_addresses_that_are_offered_and_those_that_are_not():
    finding = judge.judge_network((HOME, LocalAddress("docker0", "172.17.0.1", is_offered=False)))
    assert finding.verdict == "good"
    assert "192.168.1.7 (eth0)" in finding.message
    assert "not offered: docker0" in finding.message
    assert finding.details["offered"] == "192.168.1.7"


@pytest.mark.parametrize("addresses", [(), (LocalAddress("docker0", "172.17.0.1", is_offered=False),)])
def test_no_address_is_a_fault(addresses):
    finding = judge.judge_network(addresses)
    assert finding.verdict == "fault"
    assert "webrtc.exclude_interfaces" in finding.advice


def test_ipv6_alone_is_a_warning():
    finding = judge.judge_network((LocalAddress("wwan0", "2001:db8::7", is_offered=True),))
    assert finding.verdict == "warning"
    assert "IPv6 alone" in finding.message


NOBODY = Synchronisation(None)
SYSTEMD = {known: Synchronisation("systemd", known) for known in (True, False)}


@pytest.mark.parametrize(
    ("synchronisation", "date", "verdict"),
    [
        (NOBODY, None, "warning"),
        (NOBODY, PortalDate(0.2, 0.6), "good"),
        (NOBODY, PortalDate(5.5, 0.6), "good"),  # it may be 4.9 s
        (NOBODY, PortalDate(6, 0.6), "warning"),
        (NOBODY, PortalDate(-6, 0.6), "warning"),
        (SYSTEMD[True], None, "good"),
        (SYSTEMD[True], PortalDate(3600, 1), "warning"),
        (SYSTEMD[False], None, "warning"),
        (SYSTEMD[False], PortalDate(0, 1), "warning"),
        (SYSTEMD[False], PortalDate(3600, 1), "warning"),
        (Synchronisation("chrony", True, 0.001), None, "good"),
        (Synchronisation("chrony", True, 7.0), None, "warning"),
        (Synchronisation("chrony", True, 7.0), PortalDate(0, 0.5), "good"),
    ],
)
def test_the_clock(synchronisation, date, verdict):
    finding = judge.judge_clock(synchronisation, date)
    assert finding.verdict == verdict, finding
    assert bool(finding.advice) == (verdict != "good")


def test_a_clock_that_is_behind_is_called_so():
    assert "3600 s behind the portal" in judge.judge_clock(NOBODY, PortalDate(3600, 1)).message
    assert "3600 s ahead of the portal" in judge.judge_clock(NOBODY, PortalDate(-3600, 1)).message


@pytest.mark.parametrize(("days", "verdict"), [(None, "good"), (90.0, "good"), (13.9, "warning")])
def test_the_brokers_certificate(days, verdict):
    visit = BrokerVisit(10, None if days is None else 20, 30, days)
    finding = judge.judge_broker("mqtts://b", visit)
    assert finding.verdict == verdict
    assert ("certificate_days" in finding.details) == (days is not None)


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "good"), (503, "warning"), (404, "warning"), (302, "warning")]
)
def test_the_portal(status, verdict):
    finding = judge.judge_portal("http://p", PortalVisit(status, 5, None))
    assert finding.verdict == verdict
    assert bool(finding.advice) == (verdict != "good")


def test_an_ice_server_tells_what_it_does():
    target = Target("turn:t", "t", 3478, "udp", is_relay=True)
    finding = judge.judge_ice(target, Reached(31.2, ("203.0.113.9", 5), ("198.51.100.1", 50_000)))
    assert finding.subject == "turn:t"
    assert "31 ms over udp, relays at 198.51.100.1" in finding.message


def trial(fps=30.0, **changes):
    facts = {
        "kind": "picamera", "format": StreamFormat(1280, 720, 30), "frames": 60, "keyframes": 1,
        "fps": fps, "bitrate_bps": 2e6, "start_ms": 700, "is_software": False,
    }  # fmt: skip
    return Trial(**facts | changes)


def test_a_camera_that_delivers():
    finding = judge.judge_camera(trial())
    assert finding.verdict == "good"
    assert "1280x720, 30.0 of 30 fps, 2.0 Mb/s" in finding.message
    assert "in hardware" in finding.message
    assert "libx264" in judge.judge_camera(trial(is_software=True)).message


def test_a_slow_camera_is_a_warning():
    finding = judge.judge_camera(trial(fps=17.0))
    assert finding.verdict == "warning"
    assert "camera.width_px" in finding.advice


def test_a_camera_that_the_agent_holds_is_good():
    finding = judge.judge_camera(Holder(812))
    assert finding.verdict == "good"
    assert "812" in finding.message


def test_a_camera_that_an_agent_may_hold_is_not_known():
    finding = judge.judge_camera(Holder(812, is_certain=False))
    assert (finding.verdict, "sudo" in finding.advice) == ("unknown", True)


@pytest.mark.parametrize(
    ("flags", "verdict", "word"),
    [
        (None, "unknown", "is not known"),
        (0, "good", "not throttled"),
        (0x1, "warning", "voltage is too low (now)"),
        (0x50005, "warning", "voltage is too low (now)"),
        (0x10000, "warning", "voltage is too low (since it was started)"),
        (0x8, "warning", "too hot, and slowed down (now)"),
        (0x20000, "warning", "too hot, and slowed down (since it was started)"),
    ],
)
def test_the_board(flags, verdict, word):
    finding = judge_board(BoardFacts("Raspberry Pi 4", flags))
    assert finding.verdict == verdict
    assert word in finding.message
    assert bool(finding.advice) == (verdict != "good")


def test_a_board_that_is_no_pi_has_no_flags():
    assert judge_board(BoardFacts("", None)).verdict == "good"


@given(st.integers(0, 2**32 - 1))
def test_no_flag_of_the_board_is_a_fault(flags):
    assert judge_board(BoardFacts("", flags)).verdict in ("good", "warning")
