from fakes.bus import state

from agent.model.health import Health, HealthFault
from agent.portal.devices import MAX_DEVICES, Directory


def test_a_device_without_a_name_is_shown_by_its_id():
    directory = Directory()
    assert directory.apply("yard", state(name=""), 5000.0)
    assert directory.get("yard").name == "yard"


def test_a_repeated_state_is_no_change():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    assert not directory.apply("yard", state(), 6000.0)


def test_a_late_will_of_a_former_life_is_ignored():
    directory = Directory()
    directory.apply("yard", state(boot_id="first"), 5000.0)
    directory.apply("yard", state(boot_id="second", since=2000.0), 6000.0)
    assert not directory.apply("yard", state(boot_id="first", online=False), 6001.0)
    assert directory.is_online("yard")


def test_a_will_says_nothing_of_when_so_the_moment_we_learnt_of_it_counts():
    directory = Directory()
    directory.apply("yard", state(since=1000.0), 5000.0)
    directory.apply("yard", state(online=False, since=1000.0), 6000.0)
    assert directory.get("yard").since == 6000.0


def test_a_clean_stop_says_when_it_was():
    directory = Directory()
    directory.apply("yard", state(since=1000.0), 5000.0)
    directory.apply("yard", state(online=False, since=5500.0), 6000.0)
    assert directory.get("yard").since == 5500.0


def test_a_device_first_seen_offline_has_no_since():
    directory = Directory()
    directory.apply("yard", state(online=False, since=1000.0), 5000.0)
    assert directory.get("yard").since is None
    assert directory.is_online("yard") is False


def test_it_comes_back_online_with_a_new_birth():
    directory = Directory()
    directory.apply("yard", state(online=False), 5000.0)
    assert directory.apply("yard", state(boot_id="second", since=7000.0), 7001.0)
    assert directory.get("yard").since == 7000.0
    assert directory.boot_id("yard") == "second"


def test_an_unknown_device_is_neither_online_nor_offline():
    assert Directory().is_online("nobody") is None


def test_the_directory_is_bounded():
    directory = Directory()
    for number in range(MAX_DEVICES):
        assert directory.apply(f"d{number}", state(), 0.0)
    assert not directory.apply("one-more", state(), 0.0)
    assert len(directory.all()) == MAX_DEVICES
    assert directory.apply("d0", state(viewers=1), 0.0), "those that are known are still kept up to date"


HEALTH = Health(1000.0, "symmetric", is_carrier=True, faults=(HealthFault("clock", "9 s behind", "set it"),))


def test_a_verdict_is_shown_until_the_next_one():
    directory = Directory()
    directory.apply("yard", state(), 5000.0)
    assert directory.get("yard").health is None
    assert directory.apply_health("yard", HEALTH)
    assert directory.get("yard").health == HEALTH
    assert not directory.apply_health("yard", HEALTH), "the same again is no news"
    directory.apply("yard", state(viewers=1), 6000.0)
    assert directory.get("yard").health == HEALTH


def test_a_verdict_of_nobody_is_not_kept():
    directory = Directory()
    assert not directory.apply_health("yard", HEALTH)
    assert directory.all() == []
