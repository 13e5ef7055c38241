"""What waits for what, and that nothing of it can be lost."""

import asyncio
from dataclasses import dataclass, field

from fakes.clock import LoopClock
from pydantic import TypeAdapter

from agent.camera import trial
from agent.doctor import examination
from agent.doctor.clock import PortalDate, Synchronisation
from agent.doctor.examination import Examination, Outside
from agent.doctor.portal import PortalVisit
from agent.doctor.report import Finding, Report, encode
from agent.doctor.visit import Check
from agent.doctor.wiring import BROKER_S, CAMERA_S
from agent.errors import BrokerError, PathError, PortalError
from agent.model.signal import IceServer
from agent.rtc.nat import Behaviour
from agent.rtc.reach import Reached, targets

TURN = IceServer(("turn:turn.example:3478?transport=udp", "turns:turn.example:443?transport=tcp"), "u", "p")
STUN = IceServer(("stun:192.0.2.1:3478",))
CONE = Behaviour(True, "10.0.0.2", ("203.0.113.9", 1), "endpoint-independent", "address- and port-dependent")


@dataclass
class World:
    """Everything outside, which can fail in every part."""

    names: dict = field(default_factory=lambda: {"turn.example": ("192.0.2.2", "2001:db8::2")})
    behaviour: object = CONE
    given: object = (TURN,)
    portal: object = PortalVisit(200, 5, PortalDate(0, 0.6))
    dead: set = field(default_factory=set)
    looked_up: list = field(default_factory=list)
    probed: list = field(default_factory=list)
    shown: list = field(default_factory=list)

    def started(self, check, subject):
        self.shown.append((check, subject))

    def ended(self, finding):
        self.shown.append(finding)

    async def look_up(self, host):
        self.looked_up.append(host)
        if host not in self.names:
            raise PathError("unknown host")
        return self.names[host]

    async def reach(self, target):
        if target.url in self.dead:
            raise PathError("no answer")
        return Reached(5, ("203.0.113.9", 1), ("192.0.2.2", 50_000) if target.is_relay else None)

    async def probe(self, servers):
        self.probed += servers
        return self.behaviour

    def outside(self, *, with_portal=True):
        async def synchronisation():
            return Synchronisation("systemd", is_synchronised=True)

        return Outside(
            look_up=self.look_up,
            synchronisation=synchronisation,
            addresses=tuple,
            visit_portal=giving(self.portal) if with_portal else None,
            ice_servers=giving(self.given) if with_portal and self.given is not None else None,
            targets=targets,
            reach=self.reach,
            probe_nat=self.probe,
        )

    async def examine(self, *checks, servers=(), with_portal=True, url="http://192.0.2.5"):
        seen = Examination(self.outside(with_portal=with_portal), self, portal_url=url if with_portal else "")
        return await seen.run("cam", checks, servers)


def giving(value):
    async def give():
        if isinstance(value, Exception):
            raise value
        return value

    return give


def check(ask, **changes):
    facts = {
        "name": "broker", "subject": "mqtt://b", "limit_s": 5, "ask": ask,
        "judge": lambda _: Finding("broker", "mqtt://b", "good", "well"), "advice": "do it",
    }  # fmt: skip
    return Check(**facts | changes)


def of(report, name):
    return [finding for finding in report.findings if finding.check == name]


def verdicts(report, name):
    return [finding.verdict for finding in of(report, name)]


async def test_all_is_well():
    world = World()
    report = await world.examine(check(giving(1)))
    assert report.can_serve
    assert report.nat == "port-restricted"
    assert {finding.verdict for finding in report.findings} == {"good"}
    assert len(of(report, "ice")) == 2
    assert of(report, "nat")[0].details["relays"] == "tls udp"


async def test_a_fault_means_that_it_cannot_serve_and_a_warning_does_not():
    error = BrokerError("mqtt://b: connection refused: is it running?")
    assert not (await World().examine(check(giving(error)))).can_serve
    assert (await World().examine(check(giving(error), failure="warning"))).can_serve


async def test_an_errors_words_are_parted_where_no_advice_is_given():
    error = BrokerError("mqtt://b: connection refused: is it running?")
    (found,) = of(await World().examine(check(giving(error), advice="")), "broker")
    assert (found.message, found.advice) == ("connection refused", "is it running?")


async def test_a_check_that_hangs_is_ended():
    examining = asyncio.create_task(World().examine(check(asyncio.Event().wait, limit_s=5)))
    await LoopClock().until(examining.done)
    (found,) = of(examining.result(), "broker")
    assert (found.verdict, found.message) == ("fault", "no answer within 5 s")


async def test_a_bug_in_one_check_hides_no_other():
    report = await World().examine(
        check(giving(ZeroDivisionError("oops"))), check(giving(1), subject="other")
    )
    assert sorted(verdicts(report, "broker")) == ["fault", "good"]
    assert verdicts(report, "nat") == ["good"]


async def test_a_bug_in_judging_is_a_finding():
    report = await World().examine(check(giving(1), judge=lambda facts: facts.nothing))
    assert "AttributeError" in of(report, "broker")[0].message


async def test_a_name_is_looked_up_once_for_all_who_need_it():
    world = World()
    report = await world.examine()
    assert world.looked_up == ["turn.example"]
    assert verdicts(report, "names") == ["good"]


async def test_nothing_is_tried_at_an_unknown_name():
    world = World(names={})
    report = await world.examine(check(giving(1), host="broker.example"), url="http://portal.example")
    assert sorted(world.looked_up) == ["broker.example", "portal.example"]
    assert verdicts(report, "broker") == ["fault"]
    assert verdicts(report, "portal") == ["warning", "warning"]
    assert sorted(verdicts(report, "names")) == ["fault", "warning"]
    assert verdicts(report, "clock") == ["good"]


async def test_turn_servers_answer_bindings_too_and_ipv4_goes_first():
    world = World()
    await world.examine()
    assert world.probed == [("192.0.2.2", 3478)]


async def test_ipv6_is_asked_where_there_is_nothing_else():
    world = World(names={"turn.example": ("2001:db8::2",)})
    await world.examine()
    assert world.probed == [("2001:db8::2", 3478)]


async def test_no_portal_and_no_servers_says_where_they_come_from():
    report = await World().examine(with_portal=False)
    assert report.nat == "unknown"
    assert report.can_serve
    assert "--password-file" in of(report, "nat")[0].advice


async def test_servers_of_the_settings_are_asked_where_the_portal_gives_none():
    world = World(given=None)
    report = await world.examine(servers=(STUN,))
    assert [finding.subject for finding in of(report, "ice")] == ["stun:192.0.2.1:3478"]
    world = World(given=PortalError("the portal refuses user name or password"))
    report = await world.examine(servers=(STUN,))
    assert sorted(verdicts(report, "portal")) == ["good", "warning"]
    assert len(of(report, "ice")) == 1


async def test_a_portal_without_servers_is_what_the_viewers_get():
    report = await World(given=()).examine(servers=(STUN,))
    assert not of(report, "ice")
    assert "portal.turn" in of(report, "nat")[0].advice


async def test_blocked_udp_without_a_relay_is_a_fault():
    blocked = Behaviour(is_udp_open=False)
    urls = set(TURN.urls)
    assert not (await World(behaviour=blocked, dead=urls).examine()).can_serve
    assert (await World(behaviour=blocked, dead={TURN.urls[0]}).examine()).can_serve


async def test_one_dead_server_is_named_and_udp_is_not_called_blocked():
    report = await World(behaviour=Behaviour(is_udp_open=False), dead=set(TURN.urls)).examine()
    (nat,) = of(report, "nat")
    assert (report.nat, nat.verdict) == ("unknown", "fault")
    assert TURN.urls[0] in nat.message
    assert "blocked" not in nat.message


async def test_a_host_that_answers_over_tcp_alone_shows_that_udp_is_blocked():
    report = await World(behaviour=Behaviour(is_udp_open=False), dead={TURN.urls[0]}).examine()
    assert report.nat == "udp-blocked"


async def test_only_tcp_servers_cannot_tell_the_nat():
    report = await World(given=(IceServer(TURN.urls[1:], "u", "p"),)).examine()
    assert report.nat == "unknown"
    assert verdicts(report, "nat") == ["warning"]
    assert verdicts(report, "ice") == ["good"]


async def test_progress_is_told_of_each_start_and_end():
    world = World()
    report = await world.examine(check(giving(1)))
    ended = [shown for shown in world.shown if isinstance(shown, Finding)]
    started = [shown for shown in world.shown if isinstance(shown, tuple)]
    assert tuple(ended) == report.findings
    assert len(started) == len(ended)
    assert ("broker", "mqtt://b") in started


async def test_the_report_is_read_back_from_its_json():
    report = await World().examine(check(giving(1)))
    assert TypeAdapter(Report).validate_json(encode(report)) == report


def test_every_way_through_ends_within_20_s():
    assert examination.LONGEST_S <= 20
    assert examination.NAMES_S + BROKER_S <= 20
    assert CAMERA_S + trial.STOP_S <= 20
