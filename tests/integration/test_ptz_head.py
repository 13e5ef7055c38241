"""Heads on real wires, a real agent, and a viewer who holds the stick: whoever dies, they stand still."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time

from fakes.ptz_head import PelcoHead, ViscaCamera
from fakes.ptz_rig import Store
from parts.mosquitto import mosquitto
from parts.portal import USER
from parts.stack import ROOT, running_stack
from parts.terminal import Terminal
from parts.wired_head import PATIENCE_S, WiredHead

from agent.config import PtzSettings
from agent.doctor.ptz import judge_head, try_head
from agent.serial.ptz.motion import STILL
from agent.serial.ptz.pelco import STOP, encode_d
from agent.serial.ptz.probe import probe
from agent.serial.ptz.visca import drive
from agent.serial.ptz.visca_ip import CONTROL, REPLY, Datagram, encode, parse
from agent.serial.ptz.wiring import build

STOP_FRAME = encode_d(1, STOP)
MAX_HUNG_UP_SHARE = 0.05
"""Of one core."""


@contextlib.contextmanager
def holding(stack):
    """A viewer who holds the stick."""
    arguments = ("watch", "--portal", stack.url, *stack.sign_in, "--json", "--seconds", "600")
    viewer = subprocess.Popen(
        [sys.executable, "tests/parts/stick_viewer.py", *arguments],
        cwd=ROOT, env=stack.env | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield viewer
    finally:
        viewer.kill()
        viewer.wait()


def kill_while_moving(wired, agent):
    """Where a viewer's words come late the head stands still meanwhile: so the agent is held first.

    Returns how many frames the head has heard, which are all that the agent wrote.
    """
    while True:
        wired.until_moving()
        agent.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, agent.pid, os.WSTOPPED | os.WNOWAIT)
        wired.until_heard()
        if wired.head.is_moving:
            break
        agent.send_signal(signal.SIGCONT)
    agent.kill()
    agent.wait()
    return len(wired.frames)


def test_whoever_dies_the_head_stands_still(tmp_path):
    link = tmp_path / "pinhole-ptz"
    head = f'[ptz]\nport = "{link}"\nprotocol = "pelco-d"\n'
    with WiredHead(PelcoHead(), link) as wired, mosquitto() as broker:
        url = f'url = "{broker.settings().url}"\nversion = "3.1.1"'
        with running_stack(url, portal=head) as stack:
            wired.until(lambda: wired.frames, "nothing is sent")
            assert wired.frames[0] == STOP_FRAME, "before anything else"

            with holding(stack) as viewer:
                wired.until_moving()
                viewer.kill()
                wired.until_still()

            with holding(stack):
                wired.until_moving()
                sent = wired.replug()
                wired.until(lambda: len(wired.frames) > sent, "the port is not found again")
                assert wired.frames[sent] == STOP_FRAME, "before anything else"
                sent = kill_while_moving(wired, stack.agent)
                assert wired.head.is_moving, "nobody could tell it"
            stack.start_agent()
            wired.until_still()
            assert wired.frames[sent] == STOP_FRAME, "the first frame of a start"

            with holding(stack):
                wired.until_moving()
                stack.agent.send_signal(signal.SIGTERM)
                stack.agent.wait(PATIENCE_S)
                wired.until(lambda: wired.frames[-2:] == [STOP_FRAME] * 2, "it is not told to stop twice")
                assert not wired.head.is_moving
            assert stack.agent.returncode == 0
            audit = (stack.folder / "portal-audit.jsonl").read_text()
    moves = [entry for line in audit.splitlines() if "ptz-move" in (entry := json.loads(line)).values()]
    assert {(entry["actor"], entry["action"]) for entry in moves} == {(USER, "command-done")}


def halt(*settings):
    """What the service manager runs after the agent's end."""
    config = settings[0] / "pinhole.toml"
    config.write_text("[ptz]\n" + "\n".join(settings[1:]))
    command = [sys.executable, "-m", "agent.serial.ptz.halt", config]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_after_a_kill_the_service_manager_has_it_stop(tmp_path):
    with WiredHead(PelcoHead(), tmp_path / "pinhole-ptz") as wired:
        wired.head.velocity = (1.0, 0.0, 0.0)
        assert halt(tmp_path, f'port = "{wired.terminal.link}"').stderr == ""
        wired.until(lambda: len(wired.frames) == 3, "three stops")
        assert (wired.frames, wired.head.is_moving) == ([STOP_FRAME] * 3, False)
        wired.unplug()
        gone = halt(tmp_path, f'port = "{wired.terminal.link}"')
        assert (gone.returncode, "No such file" in gone.stderr) == (1, True)
    assert halt(tmp_path).returncode == 0, "there is no head"


def test_what_the_service_manager_runs_loads_nothing_but_python_itself():
    said = subprocess.run(
        [sys.executable, "-c", "import sys, agent.serial.ptz.halt; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    own = {name.partition(".")[0] for name in said} - set(sys.stdlib_module_names)
    assert {name for name in own if not name.startswith(("_", "sitecustomize"))} <= {"agent"}


async def test_the_doctor_tells_a_head_that_answers_from_one_that_is_gone(tmp_path):
    with WiredHead(PelcoHead(answers=True), tmp_path / "pinhole-ptz") as wired:
        settings = PtzSettings(port=str(wired.terminal.link))
        assert (await probe(settings, PATIENCE_S)).answers, "it is asked a second after the stops"
        assert wired.frames[0] == STOP_FRAME
        wired.unplug()
        gone = judge_head(settings, await try_head(settings))
        assert (gone.verdict, gone.advice) == ("warning", "is it plugged in?")


async def test_a_port_that_hung_up_costs_next_to_no_cpu_time(tmp_path):
    """Each look at one gives an end of file, for ever: whoever goes on to look does nothing else."""
    terminal = Terminal(tmp_path / "pinhole-ptz")
    nothing = {"tell": print, "on_change": lambda: None, "on_event": print}
    settings = PtzSettings(port=str(terminal.link))
    ptz = build(settings, Store(), clock=time.monotonic, **nothing)
    running = asyncio.create_task(ptz.runner.run())
    await until(lambda: ptz.desk.head.is_open)
    terminal.unplug()
    await until(lambda: not ptz.desk.head.is_open)
    began_s, spent_s = time.monotonic(), time.process_time()
    await asyncio.sleep(1)
    share = (time.process_time() - spent_s) / (time.monotonic() - began_s)
    assert not ptz.desk.head.is_open
    running.cancel()
    await asyncio.wait((running,))
    assert share < MAX_HUNG_UP_SHARE


class Network(asyncio.DatagramProtocol):
    """A VISCA camera with a network plug."""

    def __init__(self):
        self.head, self.resets = ViscaCamera(), 0
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, address):
        datagram = parse(data)
        if datagram.kind == CONTROL:
            self.resets += 1
            return
        said = self.head.feed(datagram.payload, time.monotonic())
        for frame in said.split(b"\xff")[:-1]:
            answer = encode(Datagram(REPLY, datagram.number, frame + b"\xff"))
            self._transport.sendto(answer, address)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_camera_on_the_network_moves_and_stands_still_at_the_end(tmp_path):
    transport, camera = await asyncio.get_running_loop().create_datagram_endpoint(
        Network, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    nothing = {"tell": print, "on_change": lambda: None, "on_event": print}
    settings = PtzSettings(port=f"udp://127.0.0.1:{port}", protocol="visca-ip")
    ptz = build(settings, Store(), clock=time.monotonic, **nothing)
    running = asyncio.create_task(ptz.runner.run())
    await until(lambda: ptz.desk.head.driver.position)
    assert (camera.resets, camera.head.frames[0][1]) == (1, drive(1, STILL)), "a stop before anything else"
    channel = ptz.desk.open("one", "ann", lambda: True, print)
    async with asyncio.timeout(PATIENCE_S):
        for seq in itertools.count():  # who says nothing for half a second has let go
            channel.on_message(json.dumps({"seq": seq, "pan": -1}))
            await asyncio.sleep(0.1)
            if camera.head.is_moving:
                break
    running.cancel()
    await asyncio.wait((running,))
    assert running.cancelled()
    await until(lambda: not camera.head.is_moving)
    camera.head.position[:2] = [20.0, -5.0]
    found = await try_head(settings, PATIENCE_S, proc=tmp_path)
    assert judge_head(settings, found).message == "answers, and points 20° to the right, -5° up"
    camera.head.velocity = (1.0, 0.0, 1.0)
    lines = (f'port = "udp://127.0.0.1:{port}"', 'protocol = "visca-ip"')
    assert (await asyncio.to_thread(halt, tmp_path, *lines)).stderr == ""
    await until(lambda: not camera.head.is_moving)
    transport.close()
