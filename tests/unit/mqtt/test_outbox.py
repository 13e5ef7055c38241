from agent.model.publication import Publication
from agent.mqtt.outbox import MAX_STRIKES, Outbox


def message(name, *, retain=False, expires_s=None):
    return Publication(name, name.encode(), 1, retain, expires_s)


def drain(outbox, now_s=0.0):
    taken = []
    while (publication := outbox.take(now_s)) is not None:
        taken.append(publication.topic)
    return taken


def test_messages_leave_in_order_and_retained_ones_first():
    outbox = Outbox()
    for publication in (message("a"), message("state", retain=True), message("b")):
        assert outbox.put(publication, 0.0)
    assert drain(outbox) == ["state", "a", "b"]


def test_only_the_newest_retained_value_of_a_topic_is_sent():
    outbox = Outbox()
    outbox.put(Publication("state", b"old", retain=True), 0.0)
    outbox.put(Publication("state", b"new", retain=True), 0.0)
    first = outbox.take(0.0)
    assert first is not None
    assert first.payload == b"new"
    assert outbox.take(0.0) is None


def test_a_full_outbox_loses_its_oldest_and_says_so():
    outbox = Outbox(max_queued=3)
    outbox.put(message("state", retain=True), 0.0)
    assert outbox.put(message("a"), 0.0)
    assert outbox.put(message("b"), 0.0)
    assert not outbox.put(message("c"), 0.0)
    assert outbox.dropped == 1
    assert drain(outbox) == ["state", "b", "c"]


def test_retained_values_alone_cannot_grow_it_either():
    outbox = Outbox(max_queued=3)
    for i in range(10):
        outbox.put(message(f"s{i}", retain=True), 0.0)
    assert drain(outbox) == ["s7", "s8", "s9"]
    assert outbox.dropped == 7


def test_an_expired_message_makes_room_before_a_good_one_is_lost():
    outbox = Outbox(max_queued=2)
    outbox.put(message("a"), 0.0)
    outbox.put(message("b", expires_s=5.0), 0.0)
    assert outbox.put(message("c"), 5.0)
    assert drain(outbox, 5.0) == ["a", "c"]
    assert outbox.dropped == 1


def test_an_expired_message_is_not_sent():
    outbox = Outbox()
    outbox.put(message("a", expires_s=30.0), 0.0)
    outbox.put(message("b", expires_s=60.0), 0.0)
    assert drain(outbox, 30.0) == ["b"]


def test_what_was_not_confirmed_is_sent_again_in_its_order():
    outbox = Outbox()
    for name in "abcd":
        outbox.put(message(name), 0.0)
    first = outbox.take(0.0)
    outbox.take(0.0)
    outbox.take(0.0)
    assert first is not None
    outbox.confirm(first)
    outbox.restore()
    assert drain(outbox) == ["b", "c", "d"]


def test_an_unconfirmed_retained_value_gives_way_to_a_newer_one():
    outbox = Outbox()
    outbox.put(Publication("state", b"old", retain=True), 0.0)
    outbox.take(0.0)
    outbox.put(Publication("state", b"new", retain=True), 0.0)
    outbox.restore()
    again = outbox.take(0.0)
    assert again is not None
    assert again.payload == b"new"
    assert outbox.take(0.0) is None


def test_it_is_empty_only_when_all_is_confirmed():
    outbox = Outbox()
    outbox.put(message("a"), 0.0)
    taken = outbox.take(0.0)
    assert taken is not None
    assert len(outbox) == 1
    outbox.confirm(taken)
    assert len(outbox) == 0


def test_what_the_broker_hangs_up_on_is_found_and_given_up_and_nothing_else():
    outbox = Outbox()
    for name in ("a", "b", "poison", "c"):
        outbox.put(message(name), 0.0)
    sent, given_up, ends = [], [], 0
    while len(outbox):
        under_way = [outbox.take(0.0) for _ in range(1 if outbox.is_careful else len(outbox))]
        if "poison" in [one.topic for one in under_way]:
            ends += 1
            given_up.append(outbox.blame())
            outbox.restore()
        else:
            sent += [one.topic for one in under_way]
            for one in under_way:
                outbox.confirm(one)
        assert ends < 10
    assert [one and one.topic for one in given_up] == [None, None, None, "poison"]
    assert len(given_up) == 1 + MAX_STRIKES
    assert sent == ["a", "b", "c"]
    assert outbox.dropped == 1
    assert not outbox.is_careful


def test_a_message_that_gets_through_at_last_is_not_held_against_the_next():
    outbox = Outbox()
    for name in ("a", "b"):
        outbox.put(message(name), 0.0)
        for _ in range(MAX_STRIKES - 1):
            assert outbox.take(0.0).topic == name
            assert outbox.blame() is None
            outbox.restore()
        outbox.confirm(outbox.take(0.0))
    assert outbox.dropped == 0


def test_a_state_that_is_made_anew_at_each_connection_is_found_as_well():
    outbox = Outbox()
    given_up = []
    for connection in range(MAX_STRIKES + 1):
        outbox.put(Publication("state", b"%d" % connection, retain=True), 0.0)
        assert outbox.take(0.0)
        given_up.append(outbox.blame())
        outbox.restore()
    assert [one and one.payload for one in given_up] == [None, None, b"2", b"3"]
    assert outbox.take(0.0) is None
    assert outbox.dropped == 2


def test_a_state_that_the_broker_took_is_innocent_again():
    outbox = Outbox()
    for _ in range(MAX_STRIKES + 1):
        outbox.put(message("state", retain=True), 0.0)
        outbox.take(0.0)
        assert outbox.blame() is None, "it was confirmed since"
        outbox.restore()
        again = outbox.take(0.0)
        assert again is not None
        outbox.confirm(again)


def test_what_is_to_be_retained_is_waited_on_until_it_is_confirmed():
    outbox = Outbox()
    outbox.put(message("state", retain=True), 0.0)
    outbox.put(message("a"), 0.0)
    assert outbox.waits_on({"state", "health"})
    assert not outbox.waits_on({"a"})
    publication = outbox.take(0.0)
    assert publication is not None
    assert outbox.waits_on({"state"})
    outbox.restore()
    assert outbox.waits_on({"state"})
    publication = outbox.take(0.0)
    assert publication is not None
    outbox.confirm(publication)
    assert not outbox.waits_on({"state"})
