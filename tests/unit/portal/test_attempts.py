"""Who guesses waits, longer and longer; nobody waits for another's guesses."""

import pytest

from agent.portal.accounts.attempts import (
    FORGET_AFTER_S,
    FREE_FAILURES,
    begin,
    keys_of,
    keys_of_device,
    keys_of_known,
    network_of,
    succeed,
    take_back,
)
from agent.portal.tables import Attempt

NOW_S = 1_800_000_000.0
ANN = keys_of("ann", "192.0.2.1")


class Door:
    """Attempts on a store, at a time that is set."""

    def __init__(self, store):
        self.run, self.now = store.run_here, NOW_S

    def fail(self, keys=ANN, times=1):
        """The last wait."""
        for _ in range(times):
            wait_s = self.run(lambda db: begin(db, keys, self.now))
        return wait_s

    def rows(self):
        return self.run(lambda db: {row.key: (row.failures, row.last_at) for row in db.query(Attempt)})


@pytest.fixture
def door(store):
    return Door(store)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("somewhere " * 10, ("somewhere " * 10)[:64]),
    ],
)
def test_a_host_counts_by_its_network(address, network):
    assert network_of(address) in (network, "::ffff:c000:201")


def test_what_an_attempt_counts_for_is_bounded_and_apart():
    long = "x" * 500
    assert ANN == ("user ann", "from 192.0.2.1")
    assert keys_of(long, "") == ("user " + "x" * 128, "from ")
    assert keys_of_known("key") == ("browser key",)
    assert keys_of_device("door", "2001:db8::1") == ("enrol door", "enrol from 2001:db8::/64")
    assert keys_of_device(long, "")[0] == "enrol " + "x" * 64


def test_five_are_free_and_then_the_wait_doubles_up_to_five_minutes(door):
    assert door.fail(times=FREE_FAILURES) == 0
    waits = []
    for _ in range(12):
        waits.append(door.fail())
        assert door.fail() == waits[-1], "what is refused counts for nothing"
        door.now += waits[-1]
        assert door.fail() == 0, "waited for"
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_the_wait_is_what_is_left_of_it(door):
    door.fail(times=FREE_FAILURES + 3)
    door.now += 0.25
    assert door.fail() == 0.75


def test_who_waits_is_told_by_whichever_is_longer_and_fills_no_table(door):
    door.fail(times=FREE_FAILURES)
    assert door.fail(keys_of("bob", "192.0.2.1")) == 1, "from the same address"
    assert door.fail(keys_of("ann", "192.0.2.9")) == 1, "of the same name"
    assert set(door.rows()) == set(ANN)
    assert door.fail(keys_of("bob", "192.0.2.9")) == 0


def test_an_hour_of_rest_is_a_new_beginning(door):
    door.fail(times=FREE_FAILURES + 1)
    door.now += FORGET_AFTER_S
    assert door.fail() == 0
    assert door.rows()[ANN[0]] == (FREE_FAILURES + 1, door.now), "not yet"
    door.now += FORGET_AFTER_S + 1
    assert door.fail(times=FREE_FAILURES) == 0
    assert door.fail() == 1


def test_who_rests_is_forgotten_when_anybody_tries(door):
    door.fail()
    door.now += FORGET_AFTER_S
    door.fail(keys_of_known("b"))
    assert set(door.rows()) == {*ANN, "browser b"}
    door.now += 1
    door.fail(keys_of_known("b"))
    assert set(door.rows()) == {"browser b"}


def test_success_forgets_the_name_and_gives_the_address_back_one_attempt(door):
    door.fail(times=3)
    door.run(lambda db: succeed(db, ANN))
    assert door.rows() == {"from 192.0.2.1": (2, NOW_S)}
    door.run(lambda db: succeed(db, keys_of("bob", "192.0.2.2")))
    assert door.rows() == {"from 192.0.2.1": (2, NOW_S)}


def test_what_was_no_wrong_secret_is_taken_back(door):
    door.fail(times=2)
    door.run(lambda db: take_back(db, ANN))
    assert [failures for failures, _ in door.rows().values()] == [1, 1]
    for _ in range(3):
        door.run(lambda db: take_back(db, ANN))
    assert [failures for failures, _ in door.rows().values()] == [0, 0]


def test_a_clock_that_was_ahead_makes_nobody_wait_for_it(door):
    door.now += 60
    door.fail(times=FREE_FAILURES)
    door.now -= 60
    assert door.fail() == 1, "from now on, not from then"
    door.now += 366 * 86400
    door.fail(keys_of_known("b"), times=FREE_FAILURES)
    door.now -= 366 * 86400
    assert door.fail(keys_of_known("b")) == 0
    assert door.rows()["browser b"] == (1, door.now)


def test_failures_are_counted_up_to_a_bound(door):
    for _ in range(100):
        door.now += 300
        door.fail()
    assert door.rows()[ANN[0]][0] == 64
