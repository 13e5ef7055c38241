import pytest

from agent.portal.accounts.access import Access, Identity
from agent.portal.client import Client
from agent.portal.outbox import Outbox
from agent.portal.rate_limit import TokenBucket
from agent.portal.session_table import Session, SessionTable
from agent.portal.turn import IceServers


def client(number, user_id=1):
    identity = Identity(f"sign-in {number}", "ann", Access("viewer"), 1e12, user_id=user_id)
    ice = IceServers(()).without_relays()
    return Client(number, identity, "", Outbox(str), ice, TokenBucket(1, 1, 0.0))


@pytest.fixture
def table():
    return SessionTable()


def put(table, session_id, device, owner):
    session = Session(session_id, device, None, owner)
    table.put(session, owner)
    return session


def test_a_session_is_found_under_each_of_its_keys_and_under_no_other(table):
    ann, bob = client(0), client(1, user_id=2)
    one, two = put(table, "one", "front", ann), put(table, "two", "back", bob)
    assert (table.get("one"), table.of_device("front"), table.of_client(ann)) == (one, [one], [one])
    assert (table.get("two"), table.of_device("back"), table.of_client(bob)) == (two, [two], [two])
    assert (table.count(ann.owner), table.count(bob.owner), len(table)) == (1, 1, 2)
    assert set(table.clients()) == {ann, bob}


def test_a_session_that_is_taken_over_is_its_new_sockets_alone(table):
    old, new = client(0), client(1)
    session = put(table, "one", "front", old)
    session.orphaned_until_s = 5.0
    table.put(session, new)
    assert (table.of_client(old), table.of_client(new)) == ([], [session])
    assert session.orphaned_until_s is None
    assert (table.count(new.owner), len(table)) == (1, 1), "counted once"


def test_what_is_removed_leaves_nothing_behind(table):
    ann = client(0)
    session = put(table, "one", "front", ann)
    table.remove(session)
    table.remove(session)
    assert (len(table), list(table), table.get("one"), table.count(ann.owner)) == (0, [], None, 0)
    assert (table.of_device("front"), table.of_client(ann), list(table.clients())) == ([], [], [])
    assert not any((table._by_device, table._by_client, table._counts)), "of who came once"


def test_another_session_of_the_same_id_is_not_removed(table):
    ann = client(0)
    kept = put(table, "one", "front", ann)
    table.remove(Session("one", "front", None, ann))
    assert table.get("one") is kept


def test_only_whose_stream_plays_watches(table):
    ann, bob = client(0), client(1)
    put(table, "one", "front", ann).watching_since_s = 0.0
    put(table, "two", "front", bob)
    assert table.watchers("front") == [ann]


def test_looking_a_session_up_looks_at_no_other(table):
    """A wall of cameras asks for hundreds at once: each must not cost what all of them cost."""

    class Unreadable(Session):
        __slots__ = ()

        def __getattribute__(self, name):
            raise AssertionError(name)

    ann = client(0)
    put(table, "one", "front", ann)
    other = Session("two", "back", None, client(1, user_id=2))
    table.put(other, other.client)
    other.__class__ = Unreadable
    assert table.count(ann.owner) == 1
    assert len(table.of_device("front")) == len(table.of_client(ann)) == 1
    assert table.watchers("front") == []
