from agent.portal import rate_limit
from agent.portal.rate_limit import MinuteLimit, TokenBucket


def test_a_bucket_gives_a_burst_and_then_its_rate():
    bucket = TokenBucket(per_s=2, burst=3, now_s=100.0)
    assert [bucket.admits(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.admits(100.5) for _ in range(2)] == [True, False]
    assert [bucket.admits(1e6) for _ in range(4)] == [True, True, True, False], (
        "it holds no more than a burst"
    )


def test_a_minute_limit_counts_each_alone_and_forgets_after_a_minute():
    limit = MinuteLimit(2)
    assert [limit.admits("ann", s) for s in (0, 1, 2)] == [True, True, False]
    assert limit.admits("bob", 2)
    assert limit.admits("ann", 60)
    assert not limit.admits("ann", 60.5), "those of second 1 and 60 count"
    assert limit.admits("ann", 61)


def test_a_minute_limit_remembers_so_many_and_no_more(monkeypatch):
    monkeypatch.setattr(rate_limit, "MAX_OWNERS", 2)
    limit = MinuteLimit(1)
    for owner in ("ann", "bob", "eve"):
        assert limit.admits(owner, 0)
    assert not limit.admits("bob", 1)
    assert limit.admits("ann", 1), "forgotten, since others came"
