"""A library that changed under us is named before anything runs."""

import aioice.ice

from agent.rtc import seams


def test_the_pinned_libraries_have_all_we_touch():
    assert seams.missing() == []


def test_another_version_is_named(monkeypatch):
    monkeypatch.setitem(seams.PINNED, "aioice", "0.12.0")
    assert seams.missing() == ["aioice 0.13.0 is installed, but agent/rtc is written for 0.12.0 exactly"]


def test_a_lost_method_is_named(monkeypatch):
    monkeypatch.delattr(aioice.ice.Connection, "query_consent")
    assert seams.missing() == ["Connection has lost query_consent"]


def test_a_renamed_attribute_is_named(monkeypatch):
    monkeypatch.setitem(seams._INSTANCE_NAMES, aioice.ice.Connection, ("_no_such_list",))
    assert seams.missing() == ["Connection no longer sets _no_such_list"]
