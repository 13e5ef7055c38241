"""What a device does that it is told: once, for whoever may, and nothing else."""

import asyncio
import contextlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.app import Agent
from agent.attention import Attention
from agent.camera.mask_file import Key, MaskFile
from agent.camera.privacy import Privacy
from agent.config import DeviceSettings, PtzSettings, Settings
from agent.device.changes import Proof, RemoteSettings
from agent.device.commands import ANSWERS, KEPT, KNOWN_S, MAX_KNOWN, MAX_KNOWN_OF_OTHERS, Commands
from agent.device.late import MAX_AT_WORK, LateCommands
from agent.device.led import Led
from agent.device.ledger import Ledger
from agent.device.power import SOONEST_S, Power
from agent.errors import MessageError
from agent.media.packetizer import to_rtp_frame
from agent.model.command import COMMANDS, CommandError, Order, parse_arguments
from agent.pictures import Pictures
from agent.record.playbacks import Playbacks, Shelf
from agent.recordings import Recordings
from agent.serial_devices import SerialDevices
from agent.uploads import Uploads

UNIT = Path(__file__).parents[3] / "firmware-config/rootfs/usr/lib/systemd/system/pinhole.service"
ALL = ("watch", "control", "manage")


def order(name, command="c1", arguments=(), permissions=ALL, way="broker"):
    return Order(command, name, dict(arguments), "ann", permissions, way)


class Device:
    """Its commands, what was done, and time that stands still."""

    def __init__(self, folder):
        self.done, self.now_s, self.fault, self.file = [], 0.0, None, folder / "commands.json"
        self.commands = self.start()

    def start(self):
        """As a start of the agent does."""
        return Commands(dict.fromkeys(COMMANDS, self._do), Ledger(self.file, ANSWERS), lambda: self.now_s)

    def _do(self, asked, arguments):
        self.done.append((asked.name, arguments))
        if self.fault:
            raise self.fault


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


@pytest.fixture
def agent(tmp_path):
    """As far as its handlers need it, with everything on serial wires that has commands."""
    it = Agent.__new__(Agent)
    settings = Settings(device=DeviceSettings(state_dir=tmp_path), ptz=PtzSettings(port="/dev/head"))
    it.serial = SerialDevices(settings, lambda *_: None, lambda: None, lambda *_: None, it)
    it.releases = SimpleNamespace(is_on_trial=True)
    it.privacy = Privacy(
        MaskFile(tmp_path, Key(bytes, lambda *_: True)), settings.camera, None, has_head=False
    )
    it.recordings = Recordings.__new__(Recordings)
    it.uploads = Uploads(settings, it.recordings, None, *[None] * 4)
    it.attention = Attention(settings, None, None, None, *[None] * 5)
    it.recordings.playbacks = Playbacks(Shelf(lambda: None), to_rtp_frame)
    it.pictures, it.late = Pictures.__new__(Pictures), LateCommands(lambda *_: None)
    return it


def test_the_agent_has_a_handler_for_each_command_of_the_table(agent):
    assert agent._handlers().keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", ["set", "restart-agent", "reboot"])
def test_while_a_release_is_on_trial_nothing_is_done_that_would_have_it_rolled_back(agent, name):
    with pytest.raises(CommandError, match="a release is on trial") as caught:
        agent._handlers()[name](order(name), {})
    assert caught.value.code == "busy"


async def test_what_confirms_a_trial_is_heard_where_as_much_is_worked_on_as_may_be(agent, tmp_path):
    """A refusal is kept as its answer, and the settings that were tried would go back."""
    agent.releases.is_on_trial = False
    agent._remote = RemoteSettings(tmp_path / "settings.json", Settings())
    agent.commands = Commands(agent._handlers(), Ledger(tmp_path / "commands.json", ANSWERS), lambda: 0.0)
    wish = order("set", "c" * 16, {"camera.fps": 10.0})
    await agent._remote.set(wish, wish.arguments, lambda: None)
    agent._remote.apply()
    endless = agent.late.handler(lambda *_: asyncio.Event().wait())
    for number in range(MAX_AT_WORK):
        endless(order("snapshot", f"{number}"), None)
    assert agent.on_command(wish) is None
    is_over = asyncio.Event()
    proof = Proof(contextlib.nullcontext, lambda: 1, lambda: 1.0)
    trial = asyncio.create_task(agent._remote.run(proof, is_over.set, is_over.set))
    await is_over.wait()
    assert agent._remote.outcome.ok
    trial.cancel()
    await agent.late.close()


def test_arguments_reach_the_handler_as_their_type(device):
    assert device.commands.run(order("identify", arguments={"seconds": 3})).ok
    assert device.commands.run(order("identify", "c2")).ok
    assert [arguments.seconds for _, arguments in device.done] == [3, 10]


@pytest.mark.parametrize("way", ["broker", "session"])
@pytest.mark.parametrize(
    ("name", "permissions", "arguments", "code"),
    [
        ("fly", ALL, {}, "unknown-command"),
        ("identify", ("watch",), {}, "not-allowed"),
        ("reboot", ("watch", "control"), {}, "not-allowed"),
        ("reboot", (), {}, "not-allowed"),
        ("identify", ALL, {"seconds": 1e9}, "invalid"),
        ("identify", ALL, {"seconds": "3"}, "invalid"),
        ("identify", ALL, {"colour": "red"}, "invalid"),
        ("look", ALL, {"url": "http://evil.example"}, "invalid"),
    ],
)
def test_what_may_not_be_done_is_not_done(device, name, permissions, arguments, code, way):
    with pytest.raises(MessageError) as caught:
        device.commands.run(order(name, arguments=arguments, permissions=permissions, way=way))
    assert caught.value.code == code
    assert device.done == []
    assert device.commands.answered("c1") is None, "a refusal is judged anew"


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("identify", {"colour": "red"}, "identify: colour: no such argument. There are: seconds"),
        ("identify", {"seconds": 99}, "identify: seconds: Input should be less than or equal to 60"),
        ("ptz-go", {}, "ptz-go: needs number=1 … 255"),
        ("look", {"url": 1}, "look: url: no such argument. There are: none"),
        ("set", {}, "set: say key=value; `pinhole do DEVICE settings` lists the keys"),
        ("set", {"FPS": 1}, "set: FPS: no key of a setting; `pinhole do DEVICE settings` lists them"),
        ("set", {"camera.fps": [1]}, "set: camera.fps: neither number, true, false, null nor text"),
    ],
)
def test_wrong_arguments_are_told_in_words(name, arguments, words):
    with pytest.raises(MessageError) as caught:
        parse_arguments(COMMANDS[name], arguments)
    assert str(caught.value).startswith(words)


def test_a_keyframe_is_a_viewers_alone(device):
    assert device.commands.run(order("keyframe", permissions=("watch",), way="session")).ok
    with pytest.raises(MessageError) as caught:
        device.commands.run(order("keyframe", "c2"))
    assert caught.value.code == "wrong-way"


FILE = {"file": "000000/000000001-main.mp4", "bytes": 7}


@pytest.mark.parametrize("way", ["broker", "session"])
@pytest.mark.parametrize(
    ("name", "arguments"), [("upload", FILE | {"expires_unix_s": 1.0}), ("uploaded", FILE)]
)
def test_no_user_can_have_recordings_sent_away_or_called_sent(device, name, arguments, way):
    with pytest.raises(MessageError) as caught:
        device.commands.run(order(name, arguments=arguments, way=way))
    assert (caught.value.code, device.done) == ("wrong-way", [])
    assert device.commands.run(order(name, arguments=arguments, way="portal")).ok


def test_the_portal_does_in_nobodys_name_nothing_that_is_a_users(device):
    with pytest.raises(MessageError) as caught:
        device.commands.run(order("reboot", way="portal"))
    assert (caught.value.code, device.done) == ("wrong-way", [])


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../../etc/shadow"},
        {"file": "000000/../../000000001-main.mp4"},
        {"file": "000000/000000001-main.mp4\n"},
        {"bytes": 0},
        {"bytes": 2**50},
        {"parts": [{"number": 0, "url": "https://store.example/1"}]},
        {"parts": [{"number": 1, "url": "file:///etc/shadow"}]},
        {"parts": [{"number": 1, "url": "https://store.example/1\r\nHost: lan"}]},
        {"parts": [{"number": 1, "url": "https://store.example/" + "a" * 4000}]},
        {"parts": [{"number": 1, "url": "https://store.example/1"}] * 9},
        {"have": [0]},
    ],
)
def test_an_upload_that_names_no_file_or_no_place_is_refused(device, changes):
    asked = order("upload", arguments=FILE | {"expires_unix_s": 1.0} | changes, way="portal")
    with pytest.raises(MessageError) as caught:
        device.commands.run(asked)
    assert (caught.value.code, device.done) == ("invalid", [])


def test_a_failure_is_an_answer_and_is_repeated(device):
    device.fault = CommandError("no-led", "there is none")
    result = device.commands.run(order("identify"))
    assert (result.ok, result.code, result.message) == (False, "no-led", "there is none")
    assert device.commands.answered("c1") == result


def test_what_ended_the_agent_is_known_to_its_next_start_and_the_rest_is_not(device):
    reboot, look = device.commands.run(order("reboot")), device.commands.run(order("look", "c2"))
    assert device.commands.answered("c2") == look
    after = device.start()
    assert after.answered("c1") == reboot
    assert after.answered("c2") is None, "a start of its own: the portal's word was for the one before"
    for number in range(KEPT):
        after.run(order("restart-agent", f"n{number}"))
    assert device.start().answered("c1") is None, "the file stays small"


def test_a_flood_is_refused_until_an_hour_has_passed(device):
    for number in range(MAX_KNOWN + 1):
        assert device.commands.run(order("keyframe", f"k{number}", permissions=("watch",), way="session")).ok
    for number in range(MAX_KNOWN_OF_OTHERS):
        device.commands.run(order("look", f"o{number}", permissions=("watch", "control")))
    with pytest.raises(MessageError):
        device.commands.run(order("look", "more", permissions=("watch", "control")))
    for number in range(MAX_KNOWN - MAX_KNOWN_OF_OTHERS):
        device.commands.run(order("look", f"n{number}"))
    with pytest.raises(MessageError) as caught:
        device.commands.run(order("look", "more"))
    assert caught.value.code == "too-many-commands"
    device.now_s = KNOWN_S + 1
    assert device.commands.run(order("look", "more")).ok


class Host:
    """What the service manager sees of an agent."""

    def __init__(self, folder, **environ):
        self.waiting, self.ended, self.up_s = [], [], SOONEST_S
        self.unit = folder / "pinhole-reboot.path"
        self.unit.touch()
        environ = {"INVOCATION_ID": "1", "RUNTIME_DIRECTORY": str(folder)} | environ
        later = lambda _, act: self.waiting.append(act)  # noqa: E731
        self.power = Power(later, lambda: self.up_s, environ, self.unit, lambda: self.ended.append(True))


def test_a_restart_ends_the_agent_after_its_answer(tmp_path):
    host = Host(tmp_path)
    host.power.restart_agent()
    assert not host.ended
    host.waiting[0]()
    assert host.ended


def test_restarts_by_command_alone_never_make_systemd_give_up():
    unit = UNIT.read_text()
    hours, burst = (
        int(re.search(rf"^StartLimit{name}=(\d+)", unit, re.MULTILINE)[1])
        for name in ("IntervalSec", "Burst")
    )
    assert f"IntervalSec={hours}h\n" in unit
    assert 1 + hours * 3600 // SOONEST_S < burst


@pytest.mark.parametrize(
    ("environ", "up_s", "code"),
    [({"INVOCATION_ID": ""}, 999, "no-service"), ({}, 5, "too-soon"), ({}, 61, "too-soon")],
)
def test_an_agent_that_nobody_starts_again_or_that_has_just_started_does_not_end(
    tmp_path, environ, up_s, code
):
    host = Host(tmp_path, **environ)
    host.up_s = up_s
    with pytest.raises(CommandError) as caught:
        host.power.restart_agent()
    assert (caught.value.code, host.waiting) == (code, [])


def test_a_reboot_is_asked_of_the_path_unit(tmp_path):
    host = Host(tmp_path)
    host.power.reboot()
    assert not (tmp_path / "reboot").exists()
    host.waiting[0]()
    assert (tmp_path / "reboot").exists()
    host.unit.unlink()
    with pytest.raises(CommandError, match=r"pinhole-reboot\.path is missing"):
        host.power.reboot()


@pytest.fixture
def led(tmp_path):
    folder = tmp_path / "ACT"
    folder.mkdir()
    (folder / "trigger").write_text("none [mmc0] timer heartbeat\n")
    (folder / "brightness").write_text("0\n")
    return folder


async def test_the_led_blinks_and_is_then_as_it_was(led, tmp_path, monkeypatch):
    seen = []

    async def pause(_seconds):
        seen.append(((led / "trigger").read_text(), (led / "brightness").read_text()))
        if len(seen) == 4:
            monkeypatch.setattr(lamp, "_until_s", 0.0)

    lamp = Led(tmp_path / "led.json", (led,))
    lamp.blink(60)
    monkeypatch.setattr("agent.device.led._pause", pause)
    task = asyncio.create_task(lamp.run())
    while len(seen) < 4 or (tmp_path / "led.json").exists():
        await asyncio.sleep(0)
    task.cancel()
    assert seen == [("none", "1"), ("none", "0")] * 2
    assert (led / "trigger").read_text() == "mmc0"


async def test_a_full_disk_does_not_keep_the_led_from_blinking(led, tmp_path, monkeypatch):
    seen = []

    async def pause(_seconds):
        seen.append((led / "brightness").read_text())
        monkeypatch.setattr(lamp, "_until_s", 0.0)

    def full(*_):
        raise OSError(28, "No space left on device")

    lamp = Led(tmp_path / "led.json", (led,))
    monkeypatch.setattr("agent.device.led._pause", pause)
    monkeypatch.setattr("agent.device.led.write_whole", full)
    lamp.blink(60)
    task = asyncio.create_task(lamp.run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    assert seen == ["1"]
    assert (led / "trigger").read_text() == "mmc0"


async def test_an_agent_that_was_killed_while_it_blinked_gives_the_led_back(led, tmp_path):
    (led / "trigger").write_text("none")
    (tmp_path / "led.json").write_text('{"trigger": "mmc0", "brightness": "0"}')
    task = asyncio.create_task(Led(tmp_path / "led.json", (led,)).run())
    await asyncio.sleep(0)
    task.cancel()
    assert (led / "trigger").read_text() == "mmc0"
    assert not (tmp_path / "led.json").exists()


async def test_a_machine_without_an_led_says_so(tmp_path):
    with pytest.raises(CommandError) as caught:
        Led(tmp_path / "led.json", (tmp_path / "ACT",)).blink(5)
    assert caught.value.code == "no-led"
