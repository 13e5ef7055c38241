from hypothesis import given
from hypothesis import strategies as st

from agent.config import BrokerSettings
from agent.mqtt.backoff import pause_s

DEFAULT_MAX_S = BrokerSettings().reconnect_max_s
draws = st.floats(0, 1, exclude_max=True)


@given(st.floats(0, 10), draws)
def test_a_short_outage_ends_within_5_s_of_the_brokers_return(outage_s, draw):
    assert 0 <= pause_s(outage_s, DEFAULT_MAX_S, draw) <= 5


@given(st.floats(0, 1e9), st.floats(1, 3600), draws)
def test_no_pause_is_longer_than_the_setting(outage_s, max_s, draw):
    assert 0 <= pause_s(outage_s, max_s, draw) <= max_s


def test_the_whole_range_is_used():
    assert pause_s(0, 120, 0.0) == 0
    assert pause_s(0, 120, 0.5) == 0.5
    assert pause_s(60, 120, 0.5) == 15
    assert pause_s(1e6, 120, 0.5) == 60


def test_a_day_without_a_broker_costs_no_more_than_one_attempt_a_minute():
    now_s, attempts = 0.0, 0
    while now_s < 86400:
        now_s += pause_s(now_s, DEFAULT_MAX_S, 0.5)
        attempts += 1
    assert attempts < 86400 / 55
