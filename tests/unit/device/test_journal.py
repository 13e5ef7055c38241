"""What the journal holds after kills, power cuts, full disks and too long an absence of portals."""

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agent.device.journal import FILE_BYTES, MAX_BYTES, MAX_EVENTS, Journal, Moment
from agent.model.event import MAX_TOLD

NOW = Moment(unix_s=1_800_000_000.0, up_s=100.0, machine_start="m1", is_clock_set=True)


class Machine:
    """A folder, a clock, and agents that are started and killed."""

    def __init__(self, folder):
        self.folder = folder
        self.now = NOW
        self.starts = 0
        self.journal = self.start()

    def start(self):
        """The one before was killed, if there was one: nothing of it is closed in order."""
        self.starts += 1
        self.journal = Journal(self.folder, f"boot{self.starts}", lambda: self.now)
        return self.journal

    def note(self, count=1, message="no frame", details=None):
        for _ in range(count):
            self.journal.note("camera-failed", message, details or {})

    def sync(self):
        self.journal._sync(self.journal._take_descriptors())
        self.journal._unsynced.clear()

    def told(self):
        """All that it tells, page by page, each confirmed."""
        found = []
        while page := self.journal.oldest():
            assert len(page) <= MAX_TOLD
            found += page
            assert self.journal.confirm([event.id for event in page])
        return found

    def held(self):
        """Of its files, those that this process has open."""
        paths = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return [path for path in paths if path.is_relative_to(self.folder)]

    def size_bytes(self):
        return sum(file.stat().st_size for file in self.folder.iterdir())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "events")


def test_what_no_portal_confirmed_survives_kills_in_order_and_leaves_nothing(machine):
    for _ in range(3):
        machine.note(100)
        machine.start()
    assert [event.id for event in machine.told()] == [
        f"boot{b}-{n}" for b in (1, 2, 3) for n in range(1, 101)
    ]
    assert list(machine.folder.iterdir()) == []
    assert machine.start().oldest() == ()


def test_what_was_confirmed_before_a_kill_is_not_told_again(machine):
    machine.note(5)
    machine.sync()
    assert not machine.journal.confirm(["boot9-1"]), "it is none of ours"
    machine.journal.confirm(["boot1-1", "boot1-2"])
    machine.start()
    assert [event.id for event in machine.told()] == ["boot1-3", "boot1-4", "boot1-5"]


def test_an_event_is_told_only_when_a_power_cut_cannot_undo_it(machine):
    machine.note()
    assert machine.journal.oldest() == ()
    machine.sync()
    machine.note()
    assert [event.id for event in machine.journal.oldest()] == ["boot1-1"]


async def test_what_is_noted_while_the_agent_is_built_anew_is_kept_and_leaves_no_file_open(machine):
    task = asyncio.create_task(machine.journal.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    machine.note()
    assert machine.held()
    machine.journal.close()
    assert not machine.held()
    assert len(machine.start()) == 1


async def test_what_is_noted_is_brought_to_the_disk_and_then_told(machine):

    kept = asyncio.Event()
    machine.journal.on_kept = kept.set
    task = asyncio.create_task(machine.journal.run())
    machine.note()
    await kept.wait()
    assert [event.kind for event in machine.journal.oldest()] == ["camera-failed"]
    task.cancel()
    await asyncio.wait([task])


def test_a_line_that_a_power_cut_tore_costs_itself_alone(machine):
    machine.note(3)
    [file] = machine.folder.iterdir()
    os.truncate(file, file.stat().st_size - 7)
    machine.start()
    machine.note()
    machine.sync()
    assert [event.id for event in machine.told()] == ["boot1-1", "boot1-2", "boot2-1"]


def test_it_is_bounded_and_says_what_was_lost(machine):
    machine.note(MAX_EVENTS * 2)
    machine.sync()
    assert len(machine.journal) <= MAX_EVENTS
    told = machine.told()
    assert told[-1].id == f"boot1-{machine.journal._count}", "the newest is there"
    lost = [event for event in told if event.kind == "events-lost"]
    others = len(told) - len(lost)
    assert sum(event.details["events"] for event in lost) + others == MAX_EVENTS * 2

    machine.note(MAX_EVENTS, message="é" * 512, details={"a": "é" * 500})
    assert machine.size_bytes() <= MAX_BYTES
    assert max(file.stat().st_size for file in machine.folder.iterdir()) <= FILE_BYTES


def test_details_that_no_message_takes_are_left_out(machine):
    for details in ({"a": "x" * 600}, {"A": 1}, {f"a{n}": "é" * 500 for n in range(9)}):
        machine.note(details=details)
    machine.sync()
    assert [event.details for event in machine.told()] == [{}] * 3


def test_a_disk_that_takes_nothing_costs_only_what_a_restart_would_have_kept(tmp_path, caplog):
    file = tmp_path / "no-folder"
    file.write_bytes(b"")
    machine = Machine(file / "events")
    machine.note(2)
    machine.sync()
    assert len(machine.told()) == 2
    assert len(caplog.records) == 1, "it is said once a minute"


def test_once_the_disk_takes_something_it_has_what_is_noted_from_then_on(tmp_path):
    file = tmp_path / "no-folder"
    file.write_bytes(b"")
    machine = Machine(file / "events")
    machine.note()
    file.unlink()
    machine.note(message="later")
    machine.sync()
    machine.start()
    assert [event.message for event in machine.told()] == ["later"]


def test_a_folder_that_somebody_removed_is_made_for_what_is_noted_from_then_on(machine):
    machine.note()
    shutil.rmtree(machine.folder)
    machine.note(message="later")
    machine.sync()
    machine.start()
    assert [event.message for event in machine.told()] == ["later"]


def test_times_are_right_once_the_clock_is(machine):
    machine.now = replace(NOW, unix_s=5.0, is_clock_set=False)  # a board without a battery
    machine.note()
    machine.now = replace(NOW, up_s=160.0)
    machine.sync()
    [event] = machine.journal.oldest()
    assert (event.at, event.clock) == (NOW.unix_s - 60, "running")
    machine.start()
    [event] = machine.journal.oldest()
    assert (event.at, event.clock) == (NOW.unix_s - 60, "running"), "the machine runs on"

    machine.now = replace(NOW, up_s=9.0, machine_start="m2")
    assert [(e.at, e.clock) for e in machine.told()] == [(5.0, "unset")]
    machine.note()
    machine.sync()
    machine.now = replace(NOW, machine_start="m3")
    assert [(e.at, e.clock) for e in machine.told()] == [(NOW.unix_s, "set")]
