"""What may be looked at while the agent runs: network, board, release, the way out. No logic of its own."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from agent.camera.board import read_model
from agent.config import Settings
from agent.doctor.board import judge_board, read_board
from agent.doctor.clock import read_synchronisation
from agent.doctor.examination import Outside
from agent.doctor.judge import judge_network
from agent.doctor.mirror import NOTE, judge_mirror, read_note
from agent.doctor.names import look_up
from agent.doctor.serial_port import PortFacts, judge_port, ports_of, read_port
from agent.doctor.visit import Check
from agent.rtc.interfaces import local_addresses
from agent.rtc.nat import probe
from agent.rtc.reach import reach, targets

SMALL_S = 7.0


def outside(settings: Settings) -> Outside:
    """What lies beyond this device, but for the portal."""
    return Outside(
        look_up=look_up,
        synchronisation=read_synchronisation,
        addresses=partial(local_addresses, settings.webrtc.exclude_interfaces),
        visit_portal=None,
        ice_servers=None,
        targets=targets,
        reach=reach,
        probe_nat=probe,
    )


def checks(settings: Settings) -> Iterator[Check[Any]]:
    """Of the device itself, but for camera and broker, which the agent has."""
    local = partial(asyncio.to_thread, local_addresses, settings.webrtc.exclude_interfaces)
    yield Check("network", "", SMALL_S, local, judge_network, "see `ip address`")
    board = partial(read_board, read_model)
    yield Check("board", "", SMALL_S, board, judge_board, "see `vcgencmd get_throttled`", failure="warning")
    ports = ports_of(settings)
    for name, path in ports.items():
        port = partial(asyncio.to_thread, _read_port, name, path, ports)
        yield Check("serial", name, SMALL_S, port, judge_port, "see `ls -l /dev/serial`", failure="warning")
    if settings.modem.backend != "none" and settings.modem.recovery.enabled:
        from agent.doctor.recovery import judge_recovery, read_means  # noqa: PLC0415  nobody else has a modem

        means = partial(asyncio.to_thread, read_means, settings.modem)
        yield Check("recovery", "", SMALL_S, means, judge_recovery, "")
    if NOTE.exists():  # where releases are pulled
        note, judge_note = partial(asyncio.to_thread, read_note), partial(judge_mirror, now=time.time())
        yield Check("release", "", SMALL_S, note, judge_note, "")


def _read_port(name: str, path: str, ports: Mapping[str, str]) -> PortFacts:
    return read_port(name, path, read_model(), ports=ports)
