"""The audit log's chain names what was done to it."""

from dataclasses import replace

import pytest

from agent.portal.accounts.audit_file import AuditFile, read_links
from agent.portal.accounts.chain import GENESIS, Entry, Link, faults, hash_of


def chain(*names, head=GENESIS):
    links = []
    for number, name in enumerate(names, 1):
        entry = Entry(float(number), name, "watch")
        links.append(Link(f"entry {name}", entry, head, hash_of(head, entry)))
        head = links[-1].hash
    return links


def test_a_chain_holds():
    links = chain("a", "b", "c")
    assert list(faults(links, GENESIS, links[-1].hash)) == []
    assert list(faults(links[1:], links[0].hash, links[-1].hash)) == []
    assert list(faults([], GENESIS, GENESIS)) == []


@pytest.mark.parametrize("field", ["at", "actor", "action", "device", "address", "detail"])
def test_each_thing_that_is_changed_is_named(field):
    links = chain("a", "b", "c")
    links[1] = replace(links[1], entry=replace(links[1].entry, **{field: 7.0 if field == "at" else "x"}))
    assert list(faults(links, GENESIS, links[-1].hash)) == ["entry b was changed"]


def test_one_that_is_changed_with_its_hash_does_not_fit_the_next():
    links = chain("a", "b", "c")
    entry = replace(links[1].entry, actor="eve")
    links[1] = Link("entry b", entry, links[0].hash, hash_of(links[0].hash, entry))
    assert list(faults(links, GENESIS, links[-1].hash)) == [
        "between entry b and entry c: entries were removed or changed"
    ]


def test_what_is_removed_is_named():
    links = chain("a", "b", "c", "d")
    head = links[-1].hash
    gap = "entries were removed or changed"
    assert list(faults([links[0], *links[2:]], GENESIS, head)) == [f"between entry a and entry c: {gap}"]
    assert list(faults(links[1:], GENESIS, head)) == [f"before entry b: {gap}"]
    assert list(faults(links[:-1], GENESIS, head)) == [f"after entry c: {gap}"]
    assert list(faults([], GENESIS, head)) == ["all entries were removed"]


def test_what_is_inserted_is_named():
    links = chain("a", "b", "c")
    more = chain("x", "y", head=links[0].hash)
    assert list(faults([links[0], *more, *links[1:]], GENESIS, links[-1].hash)) == [
        "after entry a, up to entry y: inserted"
    ]
    bare = replace(more[0], previous="", hash="")
    assert list(faults([links[0], bare, *links[1:]], GENESIS, links[-1].hash))
    assert list(faults([*links, *chain("z", head=links[-1].hash)], GENESIS, links[-1].hash)) == [
        "after entry c, up to entry z: inserted"
    ]


def test_the_files_chain_goes_on_after_a_restart_a_rotation_and_half_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr("agent.portal.accounts.audit_file.FILE_BYTES", 900)
    file = tmp_path / "audit.jsonl"
    file.write_text('{"at": 1.0, "actor": "before", "action": "watch"}\n')
    for name in ("ann", "bob", "eve", "dan", "kim"):
        audit = AuditFile(file)
        audit.write(Entry(2.0, name, "watch"))
        audit.write(Entry(3.0, name, "watch-end", detail="ä\n"))
        audit.close()
        with file.open("a") as stream:
            stream.write('{"at": 4.0, "act')  # the disk was full
    links = list(read_links(file))
    assert [link.entry.actor for link in links][::2] == ["ann", "bob", "eve", "dan", "kim"]
    assert (tmp_path / "audit.jsonl.1").exists()
    assert list(faults(links, GENESIS)) == []
    del links[4]
    assert len(list(faults(links, GENESIS))) == 1
