"""Commands that wait at the portal: for a device that is away, for its answer, and not for ever."""

import contextlib
from dataclasses import replace

import pytest
from fakes.bus import FakeBus, state

from agent.errors import MessageError
from agent.model.command import COMMANDS
from agent.model.signal import Command, Reject, Result
from agent.portal.accounts.access import Access, Identity
from agent.portal.client import Clock
from agent.portal.commands import (
    AGAIN_S,
    KEPT_S,
    MAX_WAITING_OF_DEVICE,
    MAX_WAITING_OF_OTHERS,
    MAX_WAITING_OF_USER,
)
from agent.portal.gateway import Gateway
from agent.portal.turn import IceServers

ID = "0f" * 16
ANN = Identity("session of ann", "ann", Access("admin"), 1e12, user_id=1)
NEW = {"understands": ("lease", "command")}


class World:
    """A portal with a camera `front`; `asked` is who was told of a release in the old way."""

    def __init__(self):
        self.now, self.bus, self.asked, self.answers = 10_000.0, FakeBus(), [], []
        clock = Clock(unix_s=lambda: self.now, mono_s=lambda: self.now)
        self.gateway = Gateway(
            self.bus.send, IceServers(), "1", clock, ask_to_look=lambda *it: not self.asked.append(it)
        )
        self.gateway.on_broker(connected=True)

    def device(self, **changes):
        """It says how it is."""
        self.gateway.on_state("front", state(**(NEW | changes)))

    def ask(self, name="identify", command=ID, life_s=60.0, arguments=None, who=ANN):
        one = self.gateway.commands.ask(command, "front", COMMANDS[name], arguments or {}, who, life_s)
        one.when_answered(self.answers.append)
        return one

    def answer(self, *, device="front", session=ID, **changes):
        result = Result(0, ID, "identify", ok=True, code="done")
        self.gateway.on_signal(device, session, replace(result, **changes))

    def after(self, seconds):
        self.now += seconds
        self.gateway.tick()

    @property
    def said(self):
        return [(message.boot_id, message.name) for _, _, message in self.bus.sent]

    @property
    def outcome(self):
        [result] = self.answers
        return result.code


@pytest.fixture
def world():
    return World()


def test_a_command_is_signed_for_the_start_of_its_device_and_its_answer_comes_back(world):
    world.device()
    one = world.ask(arguments={"seconds": 5})
    [(device, session, message)] = world.bus.sent
    assert (device, session) == ("front", ID)
    wanted = Command(
        1e4, 1e4 + 60, "boot-1", "ann", ("watch", "control", "manage"), "identify", {"seconds": 5}
    )
    assert message == wanted
    world.answer(device="yard")
    assert one.result is None, "another camera's word"
    world.answer()
    world.answer(code="again")
    assert world.outcome == "done"


def test_a_device_that_is_away_is_told_when_it_is_back_and_after_the_end_no_more(world):
    world.device(online=False)
    world.ask()
    world.after(30)
    assert world.said == []
    world.device(boot_id="boot-2")
    assert world.said == [("boot-2", "identify")]
    world.answer()
    world.device(online=False, boot_id="boot-2")
    world.answers.clear()
    world.ask(command="1f" * 16)
    world.after(61)
    assert world.outcome == "away"
    world.device(boot_id="boot-3")
    assert len(world.said) == 1


def test_a_device_that_began_anew_is_told_again_at_once_under_the_same_id(world):
    world.device()
    world.ask("restart-agent")
    world.device(boot_id="boot-2")
    assert world.said == [("boot-1", "restart-agent"), ("boot-2", "restart-agent")]
    assert {session for _, session, _ in world.bus.sent} == {ID}


def test_silence_is_asked_again_and_then_given_up(world):
    world.device()
    world.ask()
    world.after(AGAIN_S)
    assert len(world.said) == 2
    world.after(60)
    assert world.outcome == "no-answer"
    assert world.gateway.commands.find(ID)
    world.after(KEPT_S)
    assert world.gateway.commands.find(ID) is None


def test_while_the_broker_is_away_it_waits(world):
    world.device()
    world.bus.up = False
    world.ask()
    world.bus.up = True
    world.after(0.5)
    assert len(world.said) == 1


def test_who_may_no_longer_do_it_or_is_signed_out_does_it_no_more(world):
    world.device(online=False)
    world.ask("reboot")
    assert ANN.session in world.gateway.live_sessions()
    world.gateway.apply({ANN.session: replace(ANN, access=Access("operator"))}, {ANN.session})
    assert world.outcome == "not-allowed"
    world.answers.clear()
    world.ask("identify", "1f" * 16)
    world.gateway.apply({}, {ANN.session})
    assert world.outcome == "not-allowed"
    world.device()
    assert world.said == []
    assert ANN.session not in world.gateway.live_sessions()


def test_what_waits_for_a_camera_that_is_revoked_reaches_nobody(world):
    world.device(online=False)
    world.ask()
    world.gateway.on_revoked("front")
    assert world.outcome == "revoked"
    world.device(boot_id="boot-2")
    assert world.said == []


def test_an_older_device_says_clearly_that_it_knows_none_and_looks_in_the_older_way(world):
    world.device(understands=("lease",))
    one = world.ask()
    assert (world.outcome, "does not know" in one.result.message) == ("unknown-command", True)
    world.ask("look", "1f" * 16)
    assert world.answers[1].ok
    assert world.asked == [("front", "boot-1")]
    assert world.bus.sent == []


def test_a_device_whose_clock_is_wrong_is_answered_once_and_heard_when_it_has_done_it(world):
    world.device()
    world.ask()
    for _ in range(2):
        world.gateway.on_signal("front", ID, Reject(0, "expired", "it is 1970 here", challenge="c" * 22))
    assert [message.challenge for _, _, message in world.bus.sent] == [None, "c" * 22]
    assert world.answers == [], "after an outage it refuses at once what it was told twice"
    world.answer()
    assert world.outcome == "done"


def test_a_device_whose_clock_is_wrong_is_answered_anew_at_its_next_start_and_when_a_word_was_lost(world):
    world.device()
    world.ask("set", life_s=180.0, arguments={"camera.fps": 10.0})
    challenges = ["a" * 22, "b" * 22, "c" * 22]
    steps = (lambda: None, lambda: world.device(boot_id="boot-2"), lambda: world.after(AGAIN_S))
    for challenge, step in zip(challenges, steps, strict=True):
        step()
        world.gateway.on_signal("front", ID, Reject(0, "expired", "it is 2040 here", challenge=challenge))
    assert [message.challenge for _, _, message in world.bus.sent if message.challenge] == challenges
    assert world.answers == []


def test_the_devices_refusal_is_the_answer(world):
    world.device()
    world.ask()
    world.gateway.on_signal("front", ID, Reject(0, "wrong-boot", "another start"))
    assert world.answers == [], "its new state is under way"
    world.gateway.on_signal("front", ID, Reject(1, "not-allowed", "no"))
    assert world.outcome == "not-allowed"


def test_an_answer_that_is_none_of_the_tables_is_refused(world):
    world.device()
    world.ask()
    with pytest.raises(MessageError):
        world.answer(name="look")
    with pytest.raises(MessageError):
        world.answer(value={"more": 1})
    assert world.answers == []


def test_a_device_has_only_so_many_that_wait(world):
    world.device(online=False)
    for number in range(MAX_WAITING_OF_DEVICE):
        world.ask(command=f"{number:032x}")
    with pytest.raises(MessageError) as caught:
        world.ask(command="ff" * 16)
    assert caught.value.code == "too-many-commands"


def test_operators_leave_room_for_who_manages_the_camera_and_for_each_other(world):
    world.device(online=False)

    def fill(who):
        """Ask until there is no room; how many were taken."""
        before = len(world.gateway.commands._all)
        for number in range(40):
            with contextlib.suppress(MessageError):
                world.ask(command=f"{who.user_id:016x}{number:016x}", who=who)
        return len(world.gateway.commands._all) - before

    operators = [replace(ANN, user_id=number, access=Access("operator")) for number in range(2, 7)]
    taken = [fill(who) for who in operators]
    assert taken == [MAX_WAITING_OF_USER] * 3 + [0, 0]
    assert fill(ANN) == MAX_WAITING_OF_DEVICE - MAX_WAITING_OF_OTHERS


def test_what_was_answered_takes_nobodys_room(world, monkeypatch):
    monkeypatch.setattr("agent.portal.commands.MAX_WAITING", 4)
    monkeypatch.setattr("agent.portal.commands.MAX_KEPT", 8)
    world.device()
    for number in range(20):
        world.now += 0.001
        world.ask("look", f"{number:032x}")
        world.answer(id=f"{number:032x}", name="look", session=f"{number:032x}")
    kept = [number for number in range(20) if world.gateway.commands.find(f"{number:032x}")]
    assert kept == list(range(12, 20)), "the newest answers"
    for number in range(20, 24):
        world.ask("look", f"{number:032x}")
    with pytest.raises(MessageError):
        world.ask("look", "ff" * 16)


def test_what_the_portal_asks_itself_is_in_nobodys_name(world):
    world.device()
    wish = {"file": "000000/000000001-main.mp4", "bytes": 5}
    world.gateway.commands.tell("front", "uploaded", wish)
    [(_, _, message)] = world.bus.sent
    assert (message.user, message.name, message.arguments) == ("", "uploaded", wish)
    assert "manage" in message.permissions


def test_what_the_portal_asks_itself_ends_with_nobodys_session(world):
    world.device(online=False)
    world.gateway.commands.tell("front", "uploaded", {"file": "000000/000000001-main.mp4", "bytes": 5})
    assert world.gateway.live_sessions() == set()
    world.gateway.apply({}, {"session of ann"})
    world.device()
    assert [name for _, name in world.said] == ["uploaded"]
