"""The audit log: what is noted, in the table and in the file, and what of it can be asked for."""

import asyncio
import errno
import fcntl
import json
import os
import threading
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pytest

from agent.errors import PortalError
from agent.portal.accounts import audit as audits
from agent.portal.accounts import audit_file, ledger
from agent.portal.accounts.audit import TOPICS, Audit, Filter, entries
from agent.portal.accounts.audit_file import AuditFile, read_links
from agent.portal.accounts.chain import DETAIL_CHARS, GENESIS, Entry, Link, faults, hash_of
from agent.portal.api.commands import audit_lines
from agent.portal.store import StoreError, ValueRefusedError
from agent.portal.tables import AuditChain, AuditEntry

NOW_S = 1_800_000_000.0


class Log:
    """An audit log on a store, at a time that is set."""

    def __init__(self, store, folder):
        self.store, self.file, self.now = store, folder / "audit.jsonl", NOW_S
        self.audit = Audit(store, self.file, lambda: self.now)

    def rows(self):
        return self.store.run_here(lambda db: list(db.query(AuditEntry).order_by(AuditEntry.id)))

    def acts(self, **wanted):
        found = self.store.run_here(lambda db: entries(db, Filter(**wanted)))
        return [entry.action for _, entry in found]

    def lines(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def log(store, tmp_path):
    return Log(store, tmp_path)


async def until(condition):
    """Let everything go on, threads too."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def turns():
    """Let everything go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_act_is_noted_in_table_and_file(log):
    log.now += 0.12345
    log.audit.add("ann", "watch", device="front", address="192.0.2.1", detail="ä")
    log.audit.add("bob", "sign-out")
    await log.audit.flush()
    assert [ledger.entry_of(row) for row in log.rows()] == [
        Entry(NOW_S + 0.123, "ann", "watch", "front", "192.0.2.1", "ä"),
        Entry(NOW_S + 0.123, "bob", "sign-out"),
    ]
    first, second = log.lines()
    assert first == {
        "at": NOW_S + 0.123,
        "actor": "ann",
        "action": "watch",
        "device": "front",
        "address": "192.0.2.1",
        "detail": "ä",
        "previous": GENESIS,
        "hash": first["hash"],
    }
    assert second["previous"] == first["hash"]
    assert "device" not in second
    assert log.store.run_here(ledger.verify) == (2, [])
    assert not log.audit.is_incomplete


async def test_a_disk_that_takes_its_time_holds_up_nobody_and_loses_nothing_at_the_end(log, monkeypatch):
    is_free, write = threading.Event(), AuditFile.write
    monkeypatch.setattr(AuditFile, "write", lambda it, *new: is_free.wait(10) and write(it, *new))
    log.audit.add("ann", "watch")
    running = asyncio.create_task(log.audit.run())
    await turns()
    log.audit.add("bob", "watch")
    running.cancel()
    await turns()
    assert not running.done(), "it waits for the disk, and the loop goes on"
    is_free.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [line["actor"] for line in log.lines()] == ["ann", "bob"]
    assert [row.actor for row in log.rows()] == ["ann", "bob"]
    assert log.store.run_here(ledger.verify) == (2, [])


async def test_what_comes_from_outside_is_bounded_and_printable(log):
    log.audit.add("\x1b" + "u" * 200, "watch", device="d" * 100, address="a" * 100, detail="\x1b" + "t" * 500)
    await log.audit.flush()
    [row] = log.rows()
    mark = "\N{REPLACEMENT CHARACTER}"
    assert (row.actor, row.device) == (mark + "u" * 127, "d" * 64)
    assert (row.address, row.detail) == ("a" * 64, mark + "t" * 399)


async def test_refusals_of_one_address_and_of_all_are_bounded(log, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(audits.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(log.audit, "_all_refusals", audits.MinuteLimit(25))

    def refuse(address, times):
        for _ in range(times):
            log.audit.add_refusal("bob", "refused", device="front", address=address, detail="GET /")

    refuse("192.0.2.1", 100)
    await log.audit.flush()
    assert len(log.rows()) == 20
    assert ledger.entry_of(log.rows()[0]) == Entry(NOW_S, "bob", "refused", "front", "192.0.2.1", "GET /")
    refuse("192.0.2.2", 100)
    await log.audit.flush()
    assert len(log.rows()) == 25, "of all"
    now[0] += 60
    refuse("192.0.2.1", 1)
    await log.audit.flush()
    assert len(log.rows()) == 26
    now[0] += 60
    for host in range(25):
        refuse(f"2001:db8::{host:x}", 4)
    await log.audit.flush()
    assert len(log.rows()) == 26 + 20, "an IPv6 host has a whole network of addresses"


async def test_what_finds_the_queue_full_is_counted_and_told(log, monkeypatch, caplog):
    monkeypatch.setattr(audits, "BATCH", 3)
    monkeypatch.setattr(audits, "MAX_QUEUED", 4)
    for _ in range(7):
        log.audit.add("ann", "watch")
    behind = "the audit log's {} is behind: entries are missing"
    assert caplog.messages == [behind.format("file"), behind.format("table")], "once each"
    task = asyncio.create_task(log.audit.run())
    await until(lambda: len(log.rows()) >= 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for entry in (*map(asdict, map(ledger.entry_of, log.rows())), *log.lines()):
        assert {key: entry[key] for key in ("actor", "action")} in (
            {"actor": "ann", "action": "watch"},
            {"actor": "portal", "action": "entries-lost"},
        )
    assert [row.detail for row in log.rows()] == ["", "", "", "", "3"], "after those that it has"
    assert [line.get("detail", "") for line in log.lines()] == ["", "", "", "", "3"]


async def test_what_is_queued_at_the_end_is_written(log):
    task = asyncio.create_task(log.audit.run())
    await asyncio.sleep(0)
    log.audit.add("ann", "watch")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [row.actor for row in log.rows()] == ["ann"]
    assert log.audit._file.stream is None, "closed"


class SlowStore:
    """A store whose first transaction waits until it may; `is_asked` once it waits."""

    def __init__(self, store, monkeypatch):
        self._run = store.run
        self.is_asked, self.may_write = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(store, "run", self._wait)

    async def _wait(self, work):
        if not self.is_asked.is_set():
            self.is_asked.set()
            await self.may_write.wait()
        return await self._run(work)


async def test_a_flush_waits_for_what_is_being_written_and_writes_after_it(log, monkeypatch):
    slow = SlowStore(log.store, monkeypatch)
    task = asyncio.create_task(log.audit.run())
    log.audit.add("ann", "watch")
    await slow.is_asked.wait()
    log.audit.add("bob", "watch")
    flush = asyncio.create_task(log.audit.flush())
    await turns()
    assert not flush.done()
    assert log.rows() == []
    slow.may_write.set()
    await flush
    assert [row.actor for row in log.rows()] == ["ann", "bob"]
    assert [line["actor"] for line in log.lines()] == ["ann", "bob"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_end_waits_for_what_the_database_takes_and_the_file_for_nothing(log, monkeypatch):
    slow = SlowStore(log.store, monkeypatch)
    task = asyncio.create_task(log.audit.run())
    log.audit.add("ann", "watch")
    await slow.is_asked.wait()
    log.audit.add("bob", "user-removed")
    task.cancel()
    await until(lambda: len(log.lines()) >= 2)
    await turns()
    assert not task.done()
    slow.may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.actor for row in log.rows()] == ["ann", "bob"], "each once, in their order"


async def test_an_end_without_a_database_leaves_all_in_the_file(log, monkeypatch, caplog):
    asked = []

    async def fail(_work):
        asked.append(1)
        raise StoreError("away")

    monkeypatch.setattr(log.store, "run", fail)
    for _ in range(audits.BATCH + 1):
        log.audit.add("ann", "watch")
    task = asyncio.create_task(log.audit.run())
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(log.lines()) == audits.BATCH + 1
    assert len(asked) == 1, "an end is not held up by one try after another"
    assert caplog.messages[1:] == ["the audit log's last entries are not in its table"]


@pytest.mark.parametrize("cancels", [1, 2, 5])
async def test_an_end_that_is_asked_for_more_than_once_loses_and_doubles_nothing(log, monkeypatch, cancels):
    is_free, write = threading.Event(), AuditFile.write
    monkeypatch.setattr(AuditFile, "write", lambda it, *new: is_free.wait(10) and write(it, *new))
    slow = SlowStore(log.store, monkeypatch)
    task = asyncio.create_task(log.audit.run())
    log.audit.add("ann", "watch")
    await turns()
    log.audit.add("bob", "watch")
    for _ in range(cancels):
        task.cancel()
        await turns()
    assert not task.done()
    is_free.set()
    slow.may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [line["actor"] for line in log.lines()] == ["ann", "bob"]
    assert [row.actor for row in log.rows()] == ["ann", "bob"]
    assert log.audit._file.stream is None, "closed"


async def test_the_file_waits_for_no_database_and_the_table_says_what_it_lacks(log, monkeypatch):
    monkeypatch.setattr(audits, "MAX_QUEUED", 4)
    slow = SlowStore(log.store, monkeypatch)
    task = asyncio.create_task(log.audit.run())
    for number in range(7):
        log.audit.add(f"user {number}", "watch")
        await until(lambda number=number: len(log.lines()) > number)
    assert log.rows() == []
    slow.may_write.set()
    await until(lambda: len(log.rows()) >= 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    *_, last = log.rows()
    assert [row.actor for row in log.rows()] == ["user 0", "user 1", "user 2", "user 3", "portal"]
    assert (last.action, last.detail) == ("entries-lost", "3")


async def test_a_value_that_the_database_refuses_holds_up_no_others(log, monkeypatch):
    run = log.store.run

    async def work(wanted):
        if not all(entry.actor.isascii() for entry in wanted.keywords["new"]):
            raise ValueRefusedError("the database refuses a value: it is in LATIN1")
        return await run(wanted)

    monkeypatch.setattr(log.store, "run", work)
    for actor in ("ann", "\x01", "eve"):
        log.audit.add(actor, "watch")
    await log.audit.flush()
    assert [row.actor for row in log.rows()] == ["ann", "?", "eve"]
    links = list(read_links(log.file))
    assert log.store.run_here(lambda db: ledger.missing(db, links, NOW_S + 1000)) == [], "no tampering"


@pytest.mark.parametrize("why", ["full", "away"])
async def test_the_log_waits_for_its_database_and_says_so_once(log, monkeypatch, caplog, why):
    run, waits, is_written = log.store.run, [], asyncio.Event()

    async def work(wanted):
        if len(waits) < 3 and why == "away":
            raise StoreError("away")
        await run(wanted)
        is_written.set()

    async def pause(seconds):
        waits.append(seconds)
        log.store.disk_is_full = len(waits) < 3 and why == "full"

    log.store.disk_is_full = why == "full"
    monkeypatch.setattr(log.store, "run", work)
    monkeypatch.setattr(audits.asyncio, "sleep", pause)
    log.audit.add("ann", "watch")
    task = asyncio.create_task(log.audit.run())
    await is_written.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert waits == [5.0, 5.0, 5.0]
    assert [row.actor for row in log.rows()] == ["ann"]
    words = "its disk is full" if why == "full" else "for the database: away"
    [told] = [record.getMessage() for record in caplog.records]
    assert words in told


async def test_what_is_a_year_old_is_forgotten_once_a_day_or_after_so_many(log, monkeypatch):
    prune, looks = ledger.prune, []
    monkeypatch.setattr(ledger, "prune", lambda *how: looks.append(len(looks)) or prune(*how))

    async def note(actor):
        log.audit.add(actor, "watch")
        await log.audit.flush()

    for days in (0, 1, 368):
        log.now = NOW_S + days * 86400
        await note(f"day {days}")
    assert [row.actor for row in log.rows()] == ["day 368"], "on a portal that notes little, too"
    assert ledger.KEPT_S == 366 * 86400
    monkeypatch.setattr(audits, "_PRUNE_EVERY", 3)
    for count in (3, 3, 4, 4):
        await note("soon after")
        assert len(looks) == count, "not each time"


def test_a_file_that_cannot_be_written_stops_the_start(store, tmp_path):
    file = tmp_path / "audit.jsonl"
    file.mkdir()
    with pytest.raises(PortalError) as caught:
        Audit(store, file)
    assert str(caught.value) == f"portal.audit_file {file}: cannot write it: Is a directory"


def break_file(monkeypatch, is_full):
    """Have no line be written while `is_full()`."""
    real = AuditFile.format

    def format_(file, record):
        if is_full():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, record)

    monkeypatch.setattr(AuditFile, "format", format_)


async def test_the_log_waits_for_its_file_and_says_so_until_it_has_all(log, monkeypatch, caplog):
    waits, sleep = [], asyncio.sleep

    async def pause(seconds):
        waits.append((seconds, log.audit.is_incomplete))
        await sleep(0)

    monkeypatch.setattr(audits.asyncio, "sleep", pause)
    break_file(monkeypatch, lambda: len(waits) < 3 or not log.rows())  # the table takes it all the same
    log.audit.add("ann", "watch")
    task = asyncio.create_task(log.audit.run())
    async with asyncio.timeout(60):
        while log.audit.is_incomplete or not log.lines():  # and nobody does anything more
            await sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [line["actor"] for line in log.lines()] == ["ann"]
    assert set(waits) == {(5.0, True)}
    assert caplog.messages == [f"the audit log waits for {log.file}: [Errno 28] No space left on device"]


async def test_no_line_overtakes_one_that_the_file_did_not_take(log, monkeypatch):
    full = [True]
    break_file(monkeypatch, lambda: full and full.pop())
    for actor in ("ann", "bob", "eve"):
        log.audit.add(actor, "watch")
    await log.audit.flush()
    assert log.audit.is_incomplete
    await log.audit.flush()
    assert not log.audit.is_incomplete
    assert [line["actor"] for line in log.lines()] == ["ann", "bob", "eve"]
    assert [row.actor for row in log.rows()] == ["ann", "bob", "eve"]
    assert list(faults(read_links(log.file), GENESIS)) == []


async def test_a_line_that_was_written_all_the_same_is_not_written_twice(log, monkeypatch):
    """As where a disk has room for all but the line's end."""
    flush, failures = AuditFile.flush, ["Input/output error"]

    def fail_once(file):
        flush(file)
        if failures:
            raise OSError(errno.EIO, failures.pop())

    monkeypatch.setattr(AuditFile, "flush", fail_once)
    for actor in ("ann", "ann", "bob"):
        log.audit.add(actor, "watch")
    await log.audit.flush()
    assert not failures
    await log.audit.flush()
    assert [line["actor"] for line in log.lines()] == ["ann", "ann", "bob"]
    assert list(faults(read_links(log.file), GENESIS)) == []


async def test_what_is_done_meanwhile_has_no_file_tried_before_its_time(log, monkeypatch, caplog):
    tries, write = [], AuditFile.write
    monkeypatch.setattr(AuditFile, "write", lambda it, *new: tries.append(1) or write(it, *new))
    break_file(monkeypatch, lambda: True)
    task = asyncio.create_task(log.audit.run())
    for number in range(1, 6):
        log.audit.add("ann", "watch")
        await until(lambda number=number: len(log.rows()) == number)
    assert len(tries) <= 2, "else a file that hardly has room fills the program's log"
    assert len(caplog.messages) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_a_file_says_that_it_lacks_is_not_missed_in_the_table(log, monkeypatch):
    monkeypatch.setattr(audits, "MAX_QUEUED", 2)
    full = True
    break_file(monkeypatch, lambda: full)
    for _ in range(5):
        log.audit.add("ann", "watch")
        await log.audit.flush()
    full = False
    log.now += 1
    await log.audit.flush()
    links = list(read_links(log.file))
    assert [link.entry.action for link in links] == ["watch", "watch", "entries-lost"]
    assert len(log.rows()) == 5, "the table has them all"
    assert log.store.run_here(lambda db: ledger.missing(db, links, NOW_S + 1000)) == [], "no tampering"


async def begin_and_end(log):
    """With one act."""
    log.audit.add("ann", "watch")
    task = asyncio.create_task(log.audit.run())
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_end_without_a_file_leaves_all_in_the_table_and_says_so(log, monkeypatch, caplog):
    break_file(monkeypatch, lambda: True)
    await begin_and_end(log)
    assert [row.actor for row in log.rows()] == ["ann"]
    assert caplog.messages[1:] == ["the audit log's last entries are not in its file"]


async def test_an_end_without_either_says_of_both(log, monkeypatch, caplog):
    log.store.disk_is_full = True
    break_file(monkeypatch, lambda: True)
    await begin_and_end(log)
    ends = [message for message in caplog.messages if "last entries" in message]
    assert ends == [f"the audit log's last entries are not in its {place}" for place in ("file", "table")]


async def test_entries_are_asked_for_by_who_what_where_and_when(log):
    acts = [
        ("ann", "sign-in", ""),
        ("ann", "watch", "front"),
        ("bob", "preview", "front"),
        ("bob", "refused", "back"),
    ]
    for number, (actor, action, device) in enumerate(acts):
        log.now = NOW_S + number
        log.audit.add(actor, action, device=device)
    await log.audit.flush()
    assert log.acts() == ["refused", "watch", "sign-in"], "newest first, without previews"
    assert log.acts(about="everything") == ["refused", "preview", "watch", "sign-in"]
    assert log.acts(about="previews") == ["preview"]
    assert log.acts(about="watching") == ["watch"]
    assert log.acts(actor="ann") == ["watch", "sign-in"]
    assert log.acts(device="front", about="everything") == ["preview", "watch"]
    assert log.acts(since=NOW_S + 1, until=NOW_S + 3, about="everything") == ["preview", "watch"]
    assert log.acts(limit=1) == ["refused"]
    (newest, _), *_ = log.store.run_here(lambda db: entries(db, Filter(about="everything")))
    assert log.acts(before=newest, about="everything") == ["preview", "watch", "sign-in"], "the next page"
    assert set(TOPICS["sign-in"]) >= {"sign-in", "sign-in-failed", "sign-out", "recovery-used"}


# The file.


def test_a_new_file_that_is_as_long_as_the_one_that_another_rotated_is_seen(tmp_path, monkeypatch):
    one, two = AuditFile(tmp_path / "audit.jsonl"), AuditFile(tmp_path / "audit.jsonl")
    one.write(Entry(1.0, "ann", "watch"))
    monkeypatch.setattr(two, "maxBytes", 10)
    two.write(Entry(2.0, "bob", "watch"))
    one.write(Entry(3.0, "eve", "watch"))
    assert list(faults(read_links(tmp_path / "audit.jsonl"), GENESIS)) == []
    one.close()
    two.close()


def test_the_file_is_readable_to_its_owner_alone_and_goes_on_after_half_a_line(tmp_path):
    file = tmp_path / "sub" / "audit.jsonl"
    audit = AuditFile(file)
    audit.write(Entry(1.0, "ann", "watch"))
    audit.close()
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as stream:
        stream.write('{"at": 4.0, "act')
    audit = AuditFile(file)
    audit.write(Entry(2.0, "bob", "watch", detail="ä"))
    audit.close()
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3
    assert [link.where for link in read_links(file)] == ["audit.jsonl line 1", "audit.jsonl line 3"]
    assert [link.entry for link in read_links(file)] == [
        Entry(1.0, "ann", "watch"),
        Entry(2.0, "bob", "watch", detail="ä"),
    ]
    assert list(faults(read_links(file), GENESIS)) == []


def test_half_a_line_that_another_leaves_while_the_file_is_open_spoils_none(tmp_path):
    """As of a command that was killed."""
    file = tmp_path / "audit.jsonl"
    audit = AuditFile(file)
    audit.write(Entry(1.0, "ann", "watch"))
    with file.open("a") as stream:
        stream.write('{"at": 2.0, "act')
    assert audit.write(Entry(3.0, "bob", "watch"), Entry(4.0, "eve", "watch")) == 2
    audit.close()
    assert [link.entry.at for link in read_links(file)] == [1.0, 3.0, 4.0]
    assert list(faults(read_links(file), GENESIS)) == []


def leave_no_end(monkeypatch):
    """Have a disk take all of a line but its end, and not that either until it has room again."""
    patch, flush, write = monkeypatch, AuditFile.flush, os.write

    def fail(it):
        flush(it)
        os.truncate(it.baseFilename, Path(it.baseFilename).stat().st_size - 1)
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(descriptor, data):
        if data == b"\n":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    patch.setattr(AuditFile, "flush", fail)
    patch.setattr(audit_file.os, "write", refuse)


def test_a_line_whose_end_finds_no_room_twice_does_not_spoil_the_next(tmp_path, monkeypatch):
    file = tmp_path / "audit.jsonl"
    audit, ann, bob = AuditFile(file), Entry(1.0, "ann", "watch"), Entry(2.0, "bob", "watch")
    with monkeypatch.context() as patch:
        leave_no_end(patch)
        assert [audit.write(ann), audit.write(ann)] == [0, 0]
        assert "No space" in audit.take_fault()
    assert [audit.write(ann), audit.write(bob)] == [1, 1]
    audit.close()
    assert [link.entry for link in read_links(file)] == [ann, bob]
    assert list(faults(read_links(file), GENESIS)) == []


def test_a_line_that_was_written_all_the_same_is_found_before_those_of_others(tmp_path, monkeypatch):
    file = tmp_path / "audit.jsonl"
    audit, ann = AuditFile(file), Entry(1.0, "ann", "watch")
    with monkeypatch.context() as patch:
        leave_no_end(patch)
        assert audit.write(ann) == 0
    audit.take_fault()
    assert audit_file.add_lines(file, [Entry(2.0, "command line", "renamed")]) == ""
    assert audit.write(ann, Entry(3.0, "bob", "watch")) == 2
    audit.close()
    assert [link.entry.at for link in read_links(file)] == [1.0, 2.0, 3.0]
    assert list(faults(read_links(file), GENESIS)) == []


def test_a_fault_after_a_line_does_not_double_it(tmp_path, monkeypatch):
    file = tmp_path / "audit.jsonl"
    audit, ann = AuditFile(file), Entry(1.0, "ann", "watch")
    emit, fstat = AuditFile.emit, os.fstat

    def fail(_descriptor):
        raise OSError(errno.ESTALE, "Stale file handle")

    def emit_and_break(it, record):
        emit(it, record)
        monkeypatch.setattr(audit_file.os, "fstat", fail)

    monkeypatch.setattr(AuditFile, "emit", emit_and_break)
    assert audit.write(ann) == 0
    assert audit.take_fault() == "[Errno 116] Stale file handle"
    monkeypatch.setattr(audit_file.os, "fstat", fstat)
    assert audit.write(ann) == 1
    audit.close()
    assert [link.entry for link in read_links(file)] == [ann]


def test_a_fault_without_words_is_one(tmp_path, monkeypatch):
    audit = AuditFile(tmp_path / "audit.jsonl")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(AuditFile, "format", fail)
    assert audit.write(Entry(1.0, "ann", "watch")) == 0
    assert audit.take_fault() == "MemoryError()"
    audit.close()


def test_no_line_that_somebody_adds_has_later_ones_taken_for_written(tmp_path):
    file = tmp_path / "audit.jsonl"
    audit = AuditFile(file)
    with file.open("a") as stream:
        stream.write('{"at": 1.0, "actor": "eve", "action": "watch", "previous": "", "hash": ""}\n')
    audit.write(Entry(2.0, "ann", "watch"))
    audit.close()
    assert [link.entry.actor for link in read_links(file)] == ["eve", "ann"]


@pytest.mark.parametrize("missing", ["lock", "file"])
def test_a_portal_without_descriptors_waits_rather_than_break_the_chain(tmp_path, monkeypatch, missing):
    file = tmp_path / "audit.jsonl"
    audit, ann = AuditFile(file), Entry(3.0, "ann", "watch")
    audit.write(Entry(1.0, "ann", "watch"))
    audit_file.add_lines(file, [Entry(2.0, "command line", "renamed")])

    def fail(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        if missing == "lock":
            patch.setattr(audit_file, "open_lock", fail)
        else:
            patch.setattr(Path, "open", fail)
        assert audit.write(ann) == 0
        assert "Too many open files" in audit.take_fault()
    assert audit.write(ann) == 1
    audit.close()
    assert [link.entry.at for link in read_links(file)] == [1.0, 2.0, 3.0]
    assert list(faults(read_links(file), GENESIS)) == []


def test_former_files_are_kept_read_first_and_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_file, "FILE_BYTES", 250)
    audit = AuditFile(tmp_path / "audit.jsonl")
    for number in range(15):
        audit.write(Entry(float(number), "ann", "watch"))
    audit.close()
    assert len(list(tmp_path.glob("audit*"))) == 1 + audit_file.FILES_KEPT
    links = list(read_links(tmp_path / "audit.jsonl"))
    assert [link.entry.at for link in links] == [float(number) for number in range(5, 15)]
    assert links[0].where == "audit.jsonl.9 line 1"
    assert list(faults(links, links[0].previous)) == []
    (tmp_path / "audit.jsonl").write_text("")
    audit = AuditFile(tmp_path / "audit.jsonl")
    audit.write(Entry(15.0, "ann", "watch"))
    audit.close()
    assert [link.previous for link in read_links(tmp_path / "audit.jsonl")][-1] == links[-2].hash, (
        "the chain goes on from the former file"
    )


@pytest.mark.parametrize("moves", range(6))
def test_a_file_that_cannot_be_moved_grows_and_the_former_ones_stay(tmp_path, monkeypatch, caplog, moves):
    """As one that is mounted by itself; or the disk fails half-way, and the next time goes on from there."""
    file = tmp_path / "audit.jsonl"
    monkeypatch.setattr(audit_file, "FILE_BYTES", 250)
    audit = AuditFile(file)
    for number in range(14):
        audit.write(Entry(float(number), "ann", "watch"))
    first = next(read_links(file)).entry.at
    assert len(list(tmp_path.glob("audit*"))) == 1 + audit_file.FILES_KEPT
    left = [moves]

    def move(path, target, real):
        if left[0] <= 0:
            raise OSError(errno.EBUSY, "Device or resource busy")
        left[0] -= 1
        return real(path, target)

    def ats():
        links = list(read_links(file))
        assert list(faults(links, links[0].previous)) == []
        return [link.entry.at for link in links]

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            real = getattr(Path, name)
            patch.setattr(Path, name, lambda path, target, real=real: move(path, target, real))
        for number in range(14, 20):
            audit.write(Entry(float(number), "ann", "watch"))
        assert ats() == [float(number) for number in range(int(ats()[0]), 20)]
        assert ats()[0] <= first + 1, "but for the one whose place was taken"
    assert audit.take_fault() == ""
    assert [record.levelname for record in caplog.records] == ["WARNING"], "once"
    audit.write(Entry(20.0, "ann", "watch"))
    audit.close()
    assert ats()[-1] == 20.0


def test_several_write_one_chain_in_turns_and_nobody_waits_for_ever(tmp_path, monkeypatch):
    file = tmp_path / "audit.jsonl"
    portal, other = AuditFile(file), AuditFile(file)
    for number in range(6):
        (portal, other)[number % 2].write(Entry(float(number), "ann", "watch"))
        if number == 3:
            other.doRollover()
    monkeypatch.setattr(audit_file, "_NAPS", 2)
    with (tmp_path / ".audit.jsonl.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        portal.write(Entry(9.0, "ann", "lost"))
        assert portal.take_fault() == "another program of ours is writing it"
    assert audit_file.add_lines(file, [Entry(6.0, "command line", "renamed")]) == ""
    portal.write(Entry(7.0, "ann", "watch"))
    for one in (portal, other):
        one.close()
    links = list(read_links(file))
    assert [link.entry.at for link in links] == [float(number) for number in range(8)]
    assert list(faults(links, GENESIS)) == []


def test_who_holds_the_folder_as_a_demo_does_holds_up_nothing(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    assert audit_file.add_lines(tmp_path / "audit.jsonl", [Entry(1.0, "ann", "watch")]) == ""
    os.close(folder)


def test_a_lock_that_cannot_be_opened_loses_no_line(tmp_path):
    (tmp_path / ".audit.jsonl.lock").symlink_to("/etc/passwd")
    assert audit_file.add_lines(tmp_path / "audit.jsonl", [Entry(1.0, "ann", "watch")]) == ""


def test_a_disk_without_locks_takes_the_lines_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EBADF, "Bad file descriptor")  # NFS, for a folder

    monkeypatch.setattr(audit_file.fcntl, "flock", refuse)
    assert audit_file.add_lines(tmp_path / "audit.jsonl", [Entry(1.0, "ann", "watch")]) == ""
    assert len(list(read_links(tmp_path / "audit.jsonl"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_a_file_that_roots_command_makes_is_the_portals(tmp_path):
    os.chown(tmp_path, 1234, 1234)
    audit_file.add_lines(tmp_path / "audit.jsonl", [Entry(1.0, "command line", "user-added")])
    assert (tmp_path / "audit.jsonl").stat().st_uid == 1234


def test_a_file_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(OSError, match=r"audit\.jsonl"):
        list(read_links(tmp_path / "audit.jsonl"))


@pytest.mark.parametrize("line", ["", "[]", "1", "{}", '{"at": 1, "actor": "a", "action": "b"}', "\ufffd"])
def test_what_is_no_link_of_the_chain_is_passed_over(tmp_path, line):
    file = tmp_path / "audit.jsonl"
    file.write_text(f"{line}\n")
    assert list(read_links(file)) == []
    entry = Entry(1.0, "a", "b")
    good = {"at": 1.0, "actor": "a", "action": "b", "previous": GENESIS, "hash": hash_of(GENESIS, entry)}
    file.write_text(f"{line}\n{json.dumps(good | {'new field': 1})}\n")
    assert list(read_links(file)) == [Link("audit.jsonl line 2", entry, GENESIS, good["hash"])]


def test_a_fault_is_kept_until_it_is_taken(tmp_path):
    audit = AuditFile(tmp_path / "audit.jsonl")
    assert audit.take_fault() == ""
    audit.stream.close()
    audit.write(Entry(1.0, "ann", "watch"))
    assert audit.take_fault()
    assert audit.take_fault() == ""
    audit.write(Entry(2.0, "bob", "watch"))
    audit.close()
    assert [link.entry.actor for link in read_links(tmp_path / "audit.jsonl")] == ["bob"]
    assert list(faults(read_links(tmp_path / "audit.jsonl"), GENESIS)) == []


# The table.


def act(store, work, *arguments):
    return store.run_here(lambda db: work(db, *arguments))


def fill(store, count, start=0):
    act(store, ledger.append, [Entry(NOW_S + n, f"a{n}", "watch") for n in range(start, start + count)])


def names(store):
    return act(store, lambda db: [row.actor for row in db.query(AuditEntry).order_by(AuditEntry.id)])


def change(store, actor, **fields):
    def work(db):
        row = db.query(AuditEntry).filter_by(actor=actor).one()
        for name, value in fields.items():
            setattr(row, name, value)

    act(store, work)


def drop(store, actor):
    act(store, lambda db: db.query(AuditEntry).filter_by(actor=actor).delete())


GAP = "entries were removed or changed"


def test_what_somebody_does_to_the_table_is_named(store):
    assert act(store, ledger.verify) == (0, [])
    fill(store, 4)
    assert act(store, ledger.verify) == (4, [])
    change(store, "a1", detail="x")
    assert act(store, ledger.verify) == (4, ["entry 2 was changed"])
    drop(store, "a1")
    assert act(store, ledger.verify) == (3, [f"between entry 1 and entry 3: {GAP}"])
    drop(store, "a3")
    assert act(store, ledger.verify)[1][-1] == f"after entry 3: {GAP}"
    drop(store, "a0")
    assert act(store, ledger.verify)[1][0] == f"before entry 3: {GAP}"


def test_an_entry_that_was_put_into_the_table_is_named(store):
    fill(store, 2)
    bare = {"at": 1.0, "actor": "eve", "action": "watch", "device": "", "address": "", "detail": ""}
    act(store, lambda db: db.add(AuditEntry(**bare)))
    assert act(store, ledger.verify)[1][-1] == "after entry 2, up to entry 3: inserted"


def test_what_is_forgotten_by_age_leaves_a_chain_that_holds(store):
    fill(store, 5)
    act(store, ledger.prune, NOW_S + 2, NOW_S + 10)
    assert names(store) == ["a2", "a3", "a4"]
    assert act(store, ledger.verify) == (3, [])
    fill(store, 1, 5)
    act(store, ledger.prune, NOW_S + 2, NOW_S + 10)
    assert act(store, ledger.verify) == (4, [])


def test_the_newest_entry_stays_however_old_so_that_the_chain_goes_on(store):
    """SQLite would give its number to another entry, and the log would call the chain broken."""
    fill(store, 5)
    act(store, ledger.prune, NOW_S + 100, NOW_S + 200)
    assert (names(store), act(store, ledger.verify)) == (["a4"], (1, []))
    fill(store, 2, 5)
    assert (names(store), act(store, ledger.verify)) == (["a4", "a5", "a6"], (3, []))


def test_the_table_is_bounded_and_the_oldest_go(store, monkeypatch):
    monkeypatch.setattr(ledger, "MAX_ROWS", 3)
    fill(store, 5)
    act(store, ledger.prune, NOW_S, NOW_S + 10)
    assert names(store) == ["a2", "a3", "a4"]
    assert act(store, ledger.verify) == (3, [])


def test_what_was_broken_is_said_before_it_is_forgotten(store):
    fill(store, 5)
    change(store, "a1", detail="x")
    drop(store, "a2")
    act(store, ledger.prune, NOW_S + 4, NOW_S + 10)
    [kept, told] = act(store, lambda db: list(db.query(AuditEntry).order_by(AuditEntry.id)))
    assert kept.actor == "a4"
    assert ledger.entry_of(told) == Entry(
        NOW_S + 10,
        "portal",
        "audit-broken",
        detail=f"entry 2 was changed; between entry 2 and entry 4: {GAP}",
    )
    assert act(store, ledger.verify) == (2, [])


def test_what_is_broken_and_kept_is_not_said_each_time(store):
    fill(store, 5)
    change(store, "a4", detail="x")
    act(store, ledger.prune, NOW_S + 1, NOW_S + 10)
    assert names(store) == ["a1", "a2", "a3", "a4"]


def links_of(*numbers):
    return [Link(f"line {n}", Entry(NOW_S + n, f"a{n}", "watch"), "", "") for n in numbers]


def test_a_line_of_the_file_that_the_table_lacks_is_named(store):
    fill(store, 3)
    late_s = NOW_S + 10 + ledger.LATE_S
    assert act(store, ledger.missing, links_of(0, 1, 2), late_s) == []
    assert act(store, ledger.missing, links_of(0, 0, 7), late_s) == [
        "line 0 is not in the table: a0 watch",
        "line 7 is not in the table: a7 watch",
    ]
    assert act(store, ledger.missing, links_of(10), late_s) == [], "it may still be under way"
    assert act(store, ledger.missing, links_of(10), late_s + 1) == ["line 10 is not in the table: a10 watch"]


def test_what_was_forgotten_is_not_missed(store):
    fill(store, 3)
    act(store, ledger.prune, NOW_S + 2, NOW_S + 500)
    assert act(store, lambda db: db.query(AuditChain).one().since) == NOW_S + 1
    late_s = NOW_S + ledger.KEPT_S + 500
    assert act(store, ledger.missing, links_of(0, 1, 2), late_s) == []
    assert act(store, ledger.missing, links_of(3), late_s) == ["line 3 is not in the table: a3 watch"]
    act(store, ledger.prune, NOW_S, NOW_S + 600)
    assert act(store, lambda db: db.query(AuditChain).one().since) == NOW_S + 1, "it never goes back"


def test_a_line_without_end_takes_no_memory_and_hides_no_other(tmp_path):
    file = tmp_path / "audit.jsonl"
    entry = Entry(NOW_S, "ann", "watch")
    line = json.dumps(asdict(entry) | {"previous": GENESIS, "hash": hash_of(GENESIS, entry)})
    file.write_text("x" * 20_000_000 + "\n" + line + "\n")
    tracemalloc.start()
    try:
        assert [link.where for link in read_links(file)] == ["audit.jsonl line 2"]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_every_argument_of_a_command_is_held_in_whichever_order_they_come():
    assert audit_lines("reboot", {}) == ["reboot"]
    assert audit_lines("identify", {"seconds": 5}) == ["identify seconds=5"]
    arguments = {"first.key": "\N{BULLET}" * 256} | {f"camera.key_{number}": "x" * 20 for number in range(60)}
    held = [line[:DETAIL_CHARS] for line in audit_lines("set", arguments)]
    assert len(held) < 10
    assert all(line.startswith("set ") for line in held)
    assert all(any(f" {key}=" in line for line in held) for key in arguments)
    assert 'camera.key_59="xxxxxxxxxxxxxxxxxxxx"' in held[-1]
