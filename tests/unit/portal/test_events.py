"""Events in the portal's store: once each, bounded by camera and age, and found by who may see them."""

import asyncio
from functools import partial
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import DataError

from agent.errors import MessageError
from agent.model.event import Event, Events
from agent.model.signal import BareEvent
from agent.portal import events
from agent.portal.event_intake import MAX_OF_DEVICE, EventIntake
from agent.portal.events import CLOCKS_AGREE_S, KEPT_S, Filter, kept_of
from agent.portal.store import StoreError, ValueRefusedError

NOW = 1_800_000_000.0


def event(number, at=NOW, kind="camera-failed", clock="running", **more):
    return Event(f"b-{number}", kind, "error", "camera", at, f"number {number}", clock, **more)


def kept(number, device="front", now=NOW, **more):
    return kept_of(device, event(number, at=now, **more), now, now)


def found(store, **wanted):
    return [one.event_id for _, one in store.run_here(lambda db: events.find(db, Filter(**wanted)))]


class Portal:
    """An intake over a store, and what it says."""

    def __init__(self, store):
        self.store, self.confirmed, self.shown = store, [], []
        self.intake = EventIntake(
            store, lambda *said: self.confirmed.append(said), self.shown.append, lambda: NOW
        )

    async def settle(self):
        """Everything is written."""
        task = asyncio.create_task(self.intake.run())
        while self.intake._queue or self.intake._presences:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


async def test_an_event_is_stored_and_shown_once_and_confirmed_each_time(store):
    one, two = Portal(store), Portal(store)  # at one broker, over one database
    message = Events(NOW, (event(1), event(2, at=NOW - 9999)))
    for portal in (one, two, one):
        portal.intake.on_events("front", message)
        await portal.settle()
    assert found(store) == ["b-1", "b-2"]
    assert one.confirmed == [("front", ("b-1", "b-2"))] * 2
    assert [shown.event_id for shown in one.shown] == ["b-1"], "and what is old is no news"
    assert [shown.event_id for shown in two.shown] == ["b-1"], "its own dashboards hear of it too"


async def test_nothing_is_confirmed_that_is_not_stored(store, monkeypatch):
    portal = Portal(store)
    real = store.run
    answers = iter([StoreError("away"), ValueRefusedError("NUL")])

    async def run(work):
        if (fault := next(answers, None)) is not None:
            raise fault
        return await real(work)

    monkeypatch.setattr(store, "run", run)
    portal.intake.on_events("front", Events(NOW, (event(1),)))
    with pytest.raises(StoreError):
        await portal.intake._write_some()
    assert portal.confirmed == []
    await portal.intake._write_some()
    assert (portal.confirmed, found(store)) == ([("front", ("b-1",))], ["b-1"])


async def test_an_event_that_the_store_refuses_costs_no_other_cameras_presence(store, monkeypatch):
    portal, real, faults = Portal(store), store.run, [ValueRefusedError("NUL")]

    async def run(work):
        if faults:
            raise faults.pop()
        return await real(work)

    monkeypatch.setattr(store, "run", run)
    store.run_here(lambda db: events.add_presence(db, "back", is_online=True, is_first=True, now=NOW))
    portal.intake.on_events("front", Events(NOW, (event(1),)))
    portal.intake.on_presence("back", is_online=False, is_first=False)
    await portal.settle()
    assert [row.kind for _, row in store.run_here(lambda db: events.find(db, Filter(devices=["back"])))] == [
        "offline"
    ]


async def test_an_event_that_the_store_refuses_takes_no_other_along_and_is_shown_to_nobody(
    store, monkeypatch, caplog
):
    portal, real = Portal(store), events.add

    def add(db, new):
        if any(one.event_id == "b-2" for one in new):
            raise DataError("insert", {}, ValueError("NUL"))
        return real(db, new)

    monkeypatch.setattr(events, "add", add)
    portal.intake.on_events("front", Events(NOW, (event(1), event(2), event(3))))
    await portal.settle()
    assert found(store) == ["b-3", "b-1"]
    assert [shown.event_id for shown in portal.shown] == ["b-1", "b-3"]
    assert portal.confirmed == [("front", ("b-1", "b-2", "b-3"))], "else the camera says it for ever"
    assert "refuses events of front: b-2" in caplog.text


async def test_a_store_that_is_away_for_a_moment_forgets_no_camera_that_has_too_many(store, monkeypatch):
    portal = Portal(store)
    monkeypatch.setattr(events, "KEPT_OF_DEVICE", 1)
    store.run_here(lambda db: events.add(db, [kept(1), kept(2)]))
    portal.intake._to_prune = {"front"}
    with monkeypatch.context() as patch:
        patch.setattr(store, "run", Mock(side_effect=StoreError("away")))
        with pytest.raises(StoreError):
            await portal.intake._write_some()
    portal.intake._prune_at_s = 0.0
    await portal.intake._write_some()
    assert found(store) == ["b-2"]


async def test_one_camera_cannot_fill_what_waits(store):
    portal = Portal(store)
    for _ in range(MAX_OF_DEVICE):
        portal.intake.on_events("front", Events(NOW, (event(1),)))
    with pytest.raises(MessageError) as caught:
        portal.intake.on_events("front", Events(NOW, (event(1),)))
    assert caught.value.code == "too-fast"
    portal.intake.on_events("back", Events(NOW, (event(1),)))
    await portal.settle()
    portal.intake.on_events("front", Events(NOW, (event(2),)))


async def test_an_agent_without_a_journal_is_heard_once_too(store):
    portal = Portal(store)
    for digest in ("d1", "d1", "d2"):
        portal.intake.on_bare_event("front", BareEvent("data-cap-near", NOW - 1, "80 %"), digest)
    await portal.settle()
    [(_, newest), _] = store.run_here(lambda db: events.find(db, Filter()))
    assert (newest.kind, newest.severity, newest.at) == ("data-cap-near", "warning", NOW - 1)
    assert portal.confirmed == []


async def test_a_camera_that_comes_and_goes_is_noted_once_by_all_portals(store):
    one, two = Portal(store), Portal(store)
    for is_online, is_first in ((True, True), (False, False), (True, False)):
        for portal in (one, two):
            portal.intake.on_presence("front", is_online=is_online, is_first=is_first)
            await portal.settle()
    rows = [row for _, row in store.run_here(lambda db: events.find(db, Filter()))]
    assert [row.kind for row in rows] == ["online", "offline"], "the first that is heard of one is no event"
    assert rows[0].details == {"away_s": 0}
    # It left while no portal was there.
    later = Portal(store)
    later.intake.on_presence("front", is_online=False, is_first=True)
    await later.settle()
    [(_, newest), *_] = store.run_here(lambda db: events.find(db, Filter()))
    assert (newest.kind, newest.is_time_known) == ("offline", False)


def test_a_wrong_clock_is_set_right_and_said():
    right = kept_of("front", event(1, at=NOW - 60), NOW - 5, NOW)
    assert (right.at, right.is_time_known) == (NOW - 60, True)
    behind = kept_of("front", event(1, at=100.0, until=130.0), 160.0, NOW)
    assert (behind.at, behind.until, behind.is_time_known) == (NOW - 60, NOW - 30, False)
    ahead = kept_of("front", event(1, at=NOW + 9e6), NOW + 9e6 + CLOCKS_AGREE_S, NOW)
    assert (ahead.at, ahead.is_time_known) == (NOW - CLOCKS_AGREE_S, False)
    assert kept_of("front", event(1, at=0.0), 2.0 * NOW, NOW).at == 0, "no camera makes up a time before all"
    for clock, is_known in (("set", True), ("unset", False), ("sundial", False)):
        old = kept_of("front", event(1, at=NOW - 9e6, clock=clock), NOW, NOW)
        assert (old.at, old.is_time_known) == (NOW - 9e6, is_known)


def test_a_newer_cameras_event_is_kept_as_it_is_and_fit_for_every_database(store):
    strange = Event("b-1", "earthquake", "doom", "roof", NOW, "a\x00b", "running", details={"a": "\x00"})
    store.run_here(lambda db: events.add(db, [kept_of("front", strange, NOW, NOW)]))
    [(_, row)] = store.run_here(lambda db: events.find(db, Filter(kind="earthquake")))
    assert (row.severity, row.concerns, row.message) == ("doom", "roof", "a\N{REPLACEMENT CHARACTER}b")
    assert row.details == {"a": "\x00"}


def test_a_loud_camera_pushes_out_its_own_alone_and_old_ones_go(store, monkeypatch):
    monkeypatch.setattr(events, "KEPT_OF_DEVICE", 100)

    def work(db):
        events.add(db, [kept(0, "back"), kept(1, "old", now=NOW - KEPT_S - 1)])
        for start in range(0, 150, 50):
            events.add(db, [kept(start + n) for n in range(50)])
        events.prune(db, ["front"], NOW)

    store.run_here(work)
    left = found(store, devices=["front"], limit=9999)
    assert len(left) == 100
    assert left[-1] == "b-50"
    assert found(store, devices=["back"]) == ["b-0"]
    assert found(store, devices=["old"]) == []


def test_pages_hold_each_event_once_also_where_many_have_one_time(store):
    store.run_here(lambda db: events.add(db, [kept(n, now=NOW - n // 4) for n in range(25)]))
    seen, before = [], None
    while page := store.run_here(partial(events.find, wanted=Filter(before=before, limit=3))):
        seen += [row.event_id for _, row in page]
        before = page[-1][1].at, page[-1][0]
    assert sorted(seen) == sorted(f"b-{n}" for n in range(25))
    assert found(store, since=NOW - 1, until=NOW, limit=9) == ["b-7", "b-6", "b-5", "b-4"]


def motion(number, at=NOW, **more):
    return Event(f"b-{number}", "motion", "info", "motion", at, "Motion in Door", "running", **more)


def over(number, of, at=NOW, **details):
    told = {"begun": f"b-{of}", "seconds": 8.0, **details}
    return Event(
        f"b-{number}", "motion-ended", "info", "motion", at, "Motion is over", "running", details=told
    )


async def test_motion_and_its_end_are_one_event(store):
    portal = Portal(store)
    began = motion(1, NOW - 20, details={"score": 0.4, "zones": "Door"}, thumbnail="b-1")
    ended = over(2, 1, NOW - 12, score=0.9, zones="Door, Garden")
    portal.intake.on_events("front", Events(NOW, (began,)))
    await portal.settle()
    for _ in range(2):  # it is told again where the confirmation was lost
        portal.intake.on_events("front", Events(NOW, (ended,)))
        await portal.settle()
    ((_, one),) = store.run_here(lambda db: events.find(db, Filter()))
    assert (one.event_id, one.at, one.until, one.thumbnail) == ("b-1", NOW - 20, NOW - 12, "b-1")
    assert one.details == {"score": 0.9, "zones": "Door, Garden"}
    assert [shown.event_id for shown in portal.shown] == ["b-1"], "nobody is told twice"
    assert portal.confirmed[-1] == ("front", ("b-2",))


async def test_motion_and_its_end_in_one_message_are_one_event(store):
    portal = Portal(store)
    portal.intake.on_events("front", Events(NOW, (motion(1, NOW - 20), over(2, 1, NOW - 12))))
    await portal.settle()
    ((_, one),) = store.run_here(lambda db: events.find(db, Filter()))
    assert (one.event_id, one.until) == ("b-1", NOW - 12)


@pytest.mark.parametrize("of", [7, 3])
async def test_an_end_whose_beginning_is_not_here_is_an_event_by_itself(store, of):
    portal = Portal(store)
    portal.intake.on_events("side", Events(NOW, (motion(7, NOW - 20),)))  # another camera's
    await portal.settle()
    portal.intake.on_events("front", Events(NOW, (event(3, NOW - 30), over(2, of, NOW - 12))))
    await portal.settle()
    assert found(store, devices=["front"]) == ["b-2", "b-3"]
    assert found(store, devices=["side"]) == ["b-7"]


def seen(number, of, at, message="Person", **details):
    return Event(f"b-{number}", "motion-seen", "info", "motion", at, message, "running",
                 details={"begun": f"b-{of}", **details})  # fmt: skip


async def test_what_is_seen_of_a_motion_later_is_a_part_of_it_and_is_shown_once(store):
    portal = Portal(store)
    portal.intake.on_events("front", Events(NOW, (motion(1, NOW - 20, details={"zones": "Yard"}),)))
    await portal.settle()
    store.run_here(lambda db: events.take_unjudged(db, 9, NOW))
    later = [
        seen(2, 1, NOW - 18, label="person", zones="Yard", known_zones="Yard"),
        seen(3, 1, NOW - 15, "Person in Door, Yard", label="person", zones="Door, Yard", known_zones="Yard"),
    ]
    portal.intake.on_events("front", Events(NOW, tuple(later)))
    await portal.settle()
    portal.intake.on_events("front", Events(NOW, (later[0], over(4, 1, NOW - 9, label="person"))))
    await portal.settle()
    ((_, one),) = store.run_here(lambda db: events.find(db, Filter()))
    assert (one.event_id, one.at, one.until) == ("b-1", NOW - 20, NOW - 9)
    assert one.message == "Person in Door, Yard"
    assert one.details == {"label": "person", "zones": "Door, Yard"}, "what is told again changes nothing"
    assert [shown.event_id for shown in portal.shown] == ["b-1", "b-2", "b-3"], "who looks hears of it"
    judged = store.run_here(lambda db: events.take_unjudged(db, 9, NOW))
    assert [event.event_id for event in judged] == ["b-2", "b-3"], "and so do rules, once"


async def test_what_is_seen_before_any_rule_has_looked_is_judged_with_the_motion(store):
    portal = Portal(store)
    portal.intake.on_events("front", Events(NOW, (motion(1, NOW - 20), seen(2, 1, NOW - 18, label="person"))))
    await portal.settle()
    judged = store.run_here(lambda db: events.take_unjudged(db, 9, NOW))
    assert [(event.event_id, event.details.get("label")) for event in judged] == [("b-1", "person")]


async def test_what_is_seen_of_motions_pushes_no_motion_out(store, monkeypatch):
    monkeypatch.setattr(events, "KEPT_OF_DEVICE", 2)
    portal = Portal(store)
    told = [motion(1, NOW - 30), seen(2, 1, NOW - 29, zones="Yard"), seen(3, 1, NOW - 28, label="person")]
    told += [motion(4, NOW - 20), seen(5, 4, NOW - 19, zones="Yard"), seen(6, 4, NOW - 18, label="person")]
    portal.intake.on_events("front", Events(NOW, tuple(told)))
    await portal.settle()
    store.run_here(lambda db: events.prune(db, ["front"], NOW))
    assert found(store) == ["b-4", "b-1"]
