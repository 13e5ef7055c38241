"""A record that survives."""

import logging

from pydantic import TypeAdapter

from agent.device.ledger import WRITE_INTERVAL_S, Ledger


def make(path, **options):
    return Ledger(path / "state" / "count.json", TypeAdapter(int), **options)


def test_what_was_kept_is_loaded_by_the_next_process(tmp_path):
    ledger = make(tmp_path)
    assert ledger.load() is None
    ledger.keep(7, 0.0)
    assert make(tmp_path).load() == 7
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["count.json"], "no part is left"


def test_writes_are_few_whatever_the_counting(tmp_path):
    writes = []
    ledger = make(tmp_path, defer=lambda write: writes.append(write()))
    for second in range(600):
        ledger.keep(second, float(second))
    assert len(writes) == 600 / WRITE_INTERVAL_S
    ledger.keep(1000, 600.5, is_urgent=True)
    assert make(tmp_path).load() == 1000
    ledger.keep(1000, 5000.0)
    assert len(writes) == 600 / WRITE_INTERVAL_S + 1, "nothing new, nothing written"


def test_a_damaged_file_is_put_aside_and_told(tmp_path, caplog):
    make(tmp_path).write(7)
    (tmp_path / "state" / "count.json").write_bytes(b"\0\0\0")
    assert make(tmp_path).load() is None
    assert (tmp_path / "state" / "count.damaged").read_bytes() == b"\0\0\0"
    assert "cannot be read" in caplog.text


def test_a_file_that_cannot_be_read_now_stays_and_does_not_count_as_read(tmp_path, monkeypatch):
    ledger = make(tmp_path)
    ledger.write(7)

    def fail(_):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", fail)
        assert ledger.load() is None
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["count.json"]
    assert ledger.load() == 7


def test_a_disk_that_refuses_is_told_and_tried_again(tmp_path, caplog):
    (tmp_path / "state").write_text("no folder")
    ledger = make(tmp_path)
    with caplog.at_level(logging.WARNING):
        ledger.keep(7, 0.0)
    assert "cannot be written" in caplog.text
    (tmp_path / "state").unlink()
    ledger.keep(8, WRITE_INTERVAL_S + 1)
    assert make(tmp_path).load() == 8


def test_what_was_kept_once_waits_for_a_disk_that_refuses_and_is_tried_now_and_then(tmp_path, caplog):
    (tmp_path / "state").write_text("no folder")
    ledger = make(tmp_path)
    ledger.keep(7, 0.0, is_urgent=True)
    for second in range(1, 600):
        ledger.try_again(float(second))
    assert len(caplog.messages) == 600 / WRITE_INTERVAL_S
    (tmp_path / "state").unlink()
    ledger.try_again(600.0)
    assert make(tmp_path).load() == 7
    (tmp_path / "state" / "count.json").unlink()
    ledger.try_again(6000.0)
    assert make(tmp_path).load() is None, "it is not written twice"


def test_what_the_disk_did_not_take_and_was_taken_back_is_not_tried_again(tmp_path, monkeypatch):
    """As a preset that was kept and forgotten while the disk was full."""

    def refuse(*_):
        raise OSError(28, "No space left on device")

    ledger = make(tmp_path)
    ledger.keep(7, 0.0, is_urgent=True)
    with monkeypatch.context() as full:
        full.setattr("agent.device.ledger.write_whole", refuse)
        ledger.keep(8, 1.0, is_urgent=True)
        ledger.keep(7, 2.0, is_urgent=True)
    ledger.try_again(600.0)
    assert make(tmp_path).load() == 7


def test_what_was_written_meanwhile_is_not_put_back_to_what_the_disk_did_not_take(tmp_path):
    """Who writes is in a thread of its own: it may be between any two steps of the one who tries again."""

    class Count(int):
        def __eq__(self, other):
            if written:
                ledger.write(written.pop())
            return int(self) == other

        __hash__ = int.__hash__

    written = []
    (tmp_path / "state").write_text("no folder")
    ledger = make(tmp_path)
    ledger.write(Count(7))
    (tmp_path / "state").unlink()
    written.append(8)
    ledger.try_again(0.0)
    assert make(tmp_path).load() == 8


def test_a_card_that_hangs_has_one_writer_and_gets_the_newest(tmp_path):
    waiting = []
    ledger = make(tmp_path, defer=waiting.append)
    for minute in range(10):
        ledger.keep(minute, minute * WRITE_INTERVAL_S)
    assert len(waiting) == 1, "each further one would hold a thread"
    waiting.pop()()
    assert make(tmp_path).load() == 9
    ledger.keep(10, 1000.0)
    waiting.pop()()
    assert make(tmp_path).load() == 10
