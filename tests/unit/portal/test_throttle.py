from agent.portal.throttle import FORGET_AFTER_S, FREE_FAILURES, MAX_ADDRESSES, MAX_WAIT_S, Throttle


def fail(throttle, address, times, now_s=0.0):
    for _ in range(times):
        throttle.on_failure(address, now_s)


def test_a_few_typing_errors_cost_nothing():
    throttle = Throttle()
    fail(throttle, "192.0.2.1", FREE_FAILURES - 1)
    assert throttle.wait_s("192.0.2.1", 0.0) == 0.0


def test_the_wait_doubles_up_to_five_minutes():
    throttle = Throttle()
    fail(throttle, "192.0.2.1", FREE_FAILURES)
    waits = []
    for _ in range(12):
        waits.append(throttle.wait_s("192.0.2.1", 0.0))
        throttle.on_failure("192.0.2.1", 0.0)
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == MAX_WAIT_S


def test_the_wait_passes():
    throttle = Throttle()
    fail(throttle, "192.0.2.1", FREE_FAILURES + 2)
    assert throttle.wait_s("192.0.2.1", 3.0) == 1.0
    assert throttle.wait_s("192.0.2.1", 4.0) == 0.0


def test_others_do_not_wait():
    throttle = Throttle()
    fail(throttle, "192.0.2.1", 20)
    assert throttle.wait_s("192.0.2.2", 0.0) == 0.0


def test_one_ipv6_network_is_one_address():
    throttle = Throttle()
    fail(throttle, "2001:db8:1:2::1", FREE_FAILURES)
    assert throttle.wait_s("2001:db8:1:2:ffff::9", 0.0) > 0
    assert throttle.wait_s("2001:db8:1:3::1", 0.0) == 0.0


def test_success_and_an_hour_of_rest_start_afresh():
    throttle = Throttle()
    fail(throttle, "192.0.2.1", 20)
    throttle.on_success("192.0.2.1")
    assert throttle.wait_s("192.0.2.1", 0.0) == 0.0
    fail(throttle, "192.0.2.1", 20)
    throttle.on_failure("192.0.2.1", FORGET_AFTER_S + 1)
    assert throttle.wait_s("192.0.2.1", FORGET_AFTER_S + 1) == 0.0


def test_a_thousand_failures_do_not_overflow():
    throttle = Throttle()
    fail(throttle, "not an address", 1000)
    assert throttle.wait_s("not an address", 0.0) == MAX_WAIT_S


def test_memory_is_bounded_and_the_newest_offender_is_kept():
    throttle = Throttle()
    fail(throttle, "192.0.2.1", FREE_FAILURES)
    for number in range(MAX_ADDRESSES - 1):
        throttle.on_failure(f"host-{number}", 0.0)
    assert throttle.wait_s("192.0.2.1", 0.0) > 0
    throttle.on_failure("one more", 0.0)
    assert throttle.wait_s("192.0.2.1", 0.0) == 0.0, "the oldest went to make room"
