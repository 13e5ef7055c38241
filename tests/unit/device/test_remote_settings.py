"""Settings from afar: tried, kept where they prove themselves, else given back, whatever happens."""

import asyncio
import contextlib
import json
import logging
import threading

import pytest
from fakes.clock import LoopClock

from agent import app
from agent.config import Settings
from agent.config.changes import settable, with_changes
from agent.device.changes import FILE as FILE_NAME
from agent.device.changes import KILLED, TRIAL_S, Proof, RemoteSettings, as_changed
from agent.errors import ConfigError
from agent.model.command import COMMANDS, LATER, CommandError, Order, check_result, encode_result
from agent.model.disk import write_whole
from agent.model.remote_settings import MAX_VERSIONS
from agent.model.threads import HungCallError

FILE = Settings.model_validate({"device": {"id": "door"}, "camera": {"fps": 20, "bitrate_bps": 1_000_000}})
ANN = ("ann", ("watch", "control", "manage"), "broker")


def order(command="c1"):
    return Order(command, "set", {}, *ANN)


class Device:
    """Its settings file, how often it was built anew, and what its camera makes."""

    def __init__(self, folder):
        self.file, self.restarts, self.frames, self.watched, self.told = folder / FILE_NAME, 0, 0, [], 0
        self.first_picture_s = 13.0
        self.start()

    def start(self):
        """As a process does."""
        self.remote = RemoteSettings(self.file, FILE, clock=lambda: 5.0)
        self.settings = self.remote.apply()

    async def set(self, command="c1", **changes):
        wanted = {key.replace("__", "."): value for key, value in changes.items()}
        return await self.remote.set(order(command), wanted, self._restart)

    def _restart(self):
        self.restarts += 1

    def _note(self):
        self.told += 1

    @contextlib.contextmanager
    def _watching(self):
        self.watched.append(True)
        yield
        self.watched.clear()

    async def see_through(self, *, is_heard, frames):
        """The agent that is built anew runs until the trial is over."""
        self.settings = self.remote.apply()
        self.frames = frames
        if is_heard:
            assert self.remote.hear("c1"), "the portal says it again, to the new start"
        restarts, told = self.restarts, self.told
        proof = Proof(self._watching, lambda: self.frames, lambda: self.first_picture_s)
        task = asyncio.create_task(self.remote.run(proof, self._restart, self._note))
        await LoopClock(self.remote._saving.locked).until(
            lambda: (self.restarts, self.told) != (restarts, told)
        )
        task.cancel()
        if self.restarts > restarts:
            self.settings = self.remote.apply()


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


async def test_what_proves_itself_stays_and_is_a_version(device):
    assert await device.set(camera__fps=10.0, device__name="Yard") is LATER
    assert device.settings.camera.fps == 20, "not before it is built anew"
    await device.see_through(is_heard=True, frames=1)
    assert (device.settings.camera.fps, device.settings.device.name) == (10, "Yard")
    result = device.remote.outcome
    assert (result.id, result.ok, result.value["version"]) == ("c1", True, 1)
    assert {"key": "camera.fps", "before": 20.0, "after": 10.0} in result.value["changed"]
    assert result.message == 'device.name: "" → "Yard", camera.fps: 20 → 10'
    assert device.watched == []
    device.start()
    assert device.settings.camera.fps == 10
    assert await device.set("c2", camera__fps=None) is LATER
    await device.see_through(is_heard=False, frames=0)
    assert device.settings.camera.fps == 10, "of the second nothing came"


@pytest.mark.parametrize(
    ("is_heard", "frames", "words"),
    [
        (False, 1, "the portal did not confirm it"),
        (True, 0, "no picture came"),
        (False, 0, "the portal did not"),
    ],
)
async def test_what_does_not_prove_itself_goes_back_within_a_minute(device, is_heard, frames, words):
    await device.set(camera__fps=10.0)
    await device.see_through(is_heard=is_heard, frames=frames)
    assert device.settings == FILE
    result = device.remote.outcome
    assert (result.ok, result.code) == (False, "went-back")
    assert words in result.message
    section = device.remote.section()
    assert (section.version, section.on_trial, section.went_back) == (0, False, 1)
    assert words in section.reason
    assert f"{TRIAL_S:g} s" in section.reason


async def test_a_camera_that_takes_minutes_for_its_first_picture_is_given_them(device):
    device.first_picture_s = 300.0
    await device.set(motion__min_score=0.7)
    await device.see_through(is_heard=True, frames=0)
    assert "within 300 s" in device.remote.outcome.message


async def test_when_a_change_went_back_is_known_also_after_one_that_proved_itself(device):
    await device.set(camera__fps=10.0)
    await device.see_through(is_heard=True, frames=0)
    await device.set(camera__fps=15.0)
    await device.see_through(is_heard=True, frames=1)
    device.start()
    section = device.remote.section()
    assert (section.version, section.went_back, section.reason) == (2, 0, ""), "the last change stays"
    assert section.went_back_at == 5.0, "for the metric and its alert"
    assert device.remote.shown().went_back is None


@pytest.mark.parametrize("is_applied", [True, False])
async def test_an_agent_that_is_killed_meanwhile_starts_with_what_it_had(device, is_applied):
    await device.set(camera__fps=10.0)
    if is_applied:
        device.remote.apply()
    device.start()
    assert device.settings == FILE
    assert device.remote.outcome.code == "went-back"
    assert KILLED in device.remote.section().reason
    device.start()
    assert device.remote.outcome is None, "once"


async def test_what_was_kept_outlives_an_agent_that_ended_with_many_words_or_none_of_utf8(device):
    await device.set(camera__fps=10.0)
    await device.see_through(is_heard=True, frames=1)
    await device.set("c2", camera__fps=5.0)
    device.remote.go_back("the agent ended: \udcff" + "much " * 500)
    device.start()
    assert device.settings.camera.fps == 10
    assert device.remote.section().went_back == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"broker.url": "mqtt://evil.example"}, "cannot be set from afar"),
        ({"broker.password_file": "/etc/shadow"}, "cannot be set from afar"),
        ({"broker.topic_prefix": "x"}, "cannot be set from afar"),
        ({"device.id": "other"}, "cannot be set from afar"),
        ({"device.state_dir": "/tmp"}, "cannot be set from afar"),
        ({"camera.source": "replay:/etc/passwd"}, "cannot be set from afar"),
        ({"portal.public_url": "http://evil.example"}, "cannot be set from afar"),
        ({"camera.colour": "red"}, "cannot be set from afar"),
        ({"camera.fps": 999}, "camera.fps"),
        ({"camera.rotate": 90}, "camera.rotate"),
        ({"camera.height_px": 480}, "needs width_px"),
        ({"camera.image.lens_position": 1.0, "camera.image.af_mode": "auto"}, "lens_position"),
    ],
)
async def test_what_may_not_be_or_is_wrong_is_refused_in_words(device, changes, words):
    with pytest.raises(CommandError, match=words):
        await device.remote.set(order(), changes, device._restart)
    assert device.restarts == 0
    assert not device.file.exists()


def test_no_secret_key_or_address_is_settable():
    for key in settable():
        assert not key.startswith("portal.")
        assert not key.endswith(("_file", "_dir", "url", "urls", "prefix", "username", "source", ".id"))


async def test_one_change_is_tried_at_a_time_and_what_changes_nothing_is_done_at_once(device):
    assert (await device.set(camera__fps=20.0)).changed == ()
    await device.set(camera__fps=10.0)
    with pytest.raises(CommandError) as caught:
        await device.set("c2", camera__fps=15.0)
    assert (caught.value.code, device.restarts) == ("busy", 1)


async def test_the_last_ten_versions_are_kept(device):
    for number in range(MAX_VERSIONS + 2):
        await device.set(camera__fps=float(number + 1))
        await device.see_through(is_heard=True, frames=1)
    shown = device.remote.shown()
    assert [version.number for version in shown.versions] == list(range(12, 2, -1))
    [fps] = [one for one in shown.settings if one.key == "camera.fps"]
    assert (fps.value, fps.standing) == (12, 20)
    assert len(json.loads(device.file.read_text())["versions"]) == MAX_VERSIONS


async def test_what_does_not_go_with_the_file_any_more_is_left_out_and_said(device):
    await device.set(camera__image__lens_position=1.0)
    await device.see_through(is_heard=True, frames=1)
    assert device.remote.outcome.message == "camera.image.lens_position: default → 1"
    changed = with_changes(FILE, {"camera.image.af_mode": "auto"})
    remote = RemoteSettings(device.file, changed)
    assert remote.apply() == changed
    assert "does not go with pinhole.toml" in remote.section().problem
    with pytest.raises(ConfigError):
        with_changes(changed, {"camera.image.lens_position": 1.0})


async def test_what_a_newer_release_wrote_keeps_its_settings_when_an_older_one_comes_back(device):
    await device.set(camera__fps=10.0)
    await device.see_through(is_heard=True, frames=1)
    kept = json.loads(device.file.read_text())
    kept["invented"] = kept["versions"][0]["invented"] = 1
    device.file.write_text(json.dumps(kept))
    device.start()
    assert device.settings.camera.fps == 10


async def test_how_much_is_logged_changes_from_afar_too(tmp_path, monkeypatch):
    class EndedError(Exception):
        pass

    class Agent:
        def __init__(self, *_):
            pass

        async def run(self):
            raise EndedError

    settings = Settings.model_validate({"device": {"id": "door", "state_dir": tmp_path}})
    version = {"number": 1, "at": 1.0, "by": "ann", "changes": {"log.level": "debug"}}
    (tmp_path / "settings.json").write_text(json.dumps({"versions": [version]}))
    monkeypatch.setattr(app, "Agent", Agent)
    root = logging.getLogger()
    before = root.level
    try:
        with pytest.raises(EndedError):
            await app.run_agent(settings)
        assert root.level == logging.DEBUG
    finally:
        root.setLevel(before)


async def test_a_full_disk_changes_nothing(device, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.device.ledger.write_whole", full)
    with pytest.raises(CommandError) as caught:
        await device.set(camera__fps=10.0)
    assert (caught.value.code, device.restarts) == ("disk", 0)


def test_all_that_can_be_set_is_shown_as_the_commands_result_says(tmp_path):
    """A list among them is none of its values, and the portal then refuses the whole answer."""
    remote = RemoteSettings(tmp_path / "settings.json", Settings())
    remote.apply()
    kind = COMMANDS["settings"]
    assert check_result(kind, encode_result(kind, remote.shown()))["settings"]


def seen(device, *, is_running):
    """By who only looks, and must not end a trial or move a damaged file away."""
    before = device.file.read_bytes() if device.file.exists() else None
    found = as_changed(device.file.parent, FILE, is_running=is_running)
    assert (device.file.read_bytes() if device.file.exists() else None) == before
    return found


async def test_who_looks_sees_what_the_agent_runs_with(tmp_path):
    device = Device(tmp_path)
    assert seen(device, is_running=True).settings == FILE
    await device.set(camera__fps=10.0)
    await device.see_through(is_heard=True, frames=1)
    assert seen(device, is_running=False).settings == device.settings
    assert (seen(device, is_running=True).version, seen(device, is_running=True).problem) == (1, "")
    await device.set("c2", camera__fps=12.0)
    assert seen(device, is_running=True).settings.camera.fps == 12, "on trial"
    assert seen(device, is_running=False).settings.camera.fps == 10, "whose next start gives it back"


async def test_who_looks_is_told_why_a_change_does_not_count(tmp_path):
    device = Device(tmp_path)
    await device.set(camera__image__lens_position=1.0)
    await device.see_through(is_heard=True, frames=1)
    changed = with_changes(FILE, {"camera.image.af_mode": "auto"})
    found = as_changed(tmp_path, changed, is_running=True)
    assert found.settings == changed
    assert "does not go with pinhole.toml" in found.problem
    device.file.write_text("{")
    assert "damaged" in seen(device, is_running=True).problem
    device.file.chmod(0o666)
    assert "is not known" in seen(device, is_running=True).problem


async def test_a_card_that_takes_its_time_holds_up_nobody(device, monkeypatch):
    is_free = threading.Event()

    def slow(*arguments):
        is_free.wait(10)
        write_whole(*arguments)

    monkeypatch.setattr("agent.device.ledger.write_whole", slow)
    first = asyncio.create_task(device.set(camera__fps=10.0))
    second = asyncio.create_task(device.set("c2", camera__fps=15.0))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not first.done(), "and the loop goes on"
    is_free.set()
    assert await first is LATER
    with pytest.raises(CommandError, match="another change is being tried"):
        await second


async def test_a_card_that_never_answers_changes_nothing(device, monkeypatch):
    async def hung(*_):
        raise HungCallError("settings did not return within 20 s")

    monkeypatch.setattr("agent.model.threads.call_in_thread", hung)
    with pytest.raises(CommandError) as caught:
        await device.set(camera__fps=10.0)
    assert (caught.value.code, device.restarts) == ("disk", 0)
