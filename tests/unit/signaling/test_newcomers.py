"""A device's retained state comes once, maybe before the portal knows that the device was enrolled."""

import pytest

from agent.model.publication import Publication
from agent.model.sections import SectionsMessage
from agent.model.signal import State
from agent.model.topics import Topic, encode_topic, kept_topics
from agent.mqtt.outbox import Outbox
from agent.signaling.messages import encode
from agent.signaling.portal import MAX_TO_WIPE, MAX_WAITING, WIPES_PER_S, PortalSignaling
from agent.signaling.quota import BURST
from agent.signaling.trust import SigningKey, make_signing_key, open_sealed

NOW_S = 1_800_000_000.0
DEVICE, OTHER = SigningKey(make_signing_key()), SigningKey(make_signing_key())


class World:
    """A portal's signaling over a registry that a test changes; `seen` is what reached the portal."""

    def __init__(self, publish=None):
        self.keys, self.seen, self.wiped = {}, [], []
        self.signaling = PortalSignaling(
            "pinhole", publish or self.publish, self, self, signing=None, device_key=self.keys.get
        )

    def publish(self, topic, payload, *, retain=False, **_):
        assert (payload, retain) == (b"", True)
        self.wiped.append(topic)
        return True

    def keep_wiping(self):
        """A second passes; the broker confirms what was published before."""
        return self.signaling.keep_wiping(lambda _: False)

    def on_state(self, device, state):
        self.seen.append((device, state.boot_id))

    on_sections = on_state

    def on_bare_event(self, *_):
        raise AssertionError("an old event is no news")

    def says(self, device, boot_id, key=DEVICE):
        topic = encode_topic("pinhole", Topic(device, "state"))
        payload = encode(State(boot_id, online=True, since=1.0))
        self.signaling.on_message(topic, key.seal(topic, payload), NOW_S)


@pytest.fixture
def world():
    return World()


def test_a_fault_that_one_message_brings_about_is_counted_and_ends_nothing(world, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("a fault of ours")

    world.keys["cam"] = DEVICE.public
    with monkeypatch.context() as patch:
        patch.setattr(world, "on_state", fail)
        world.says("cam", "b1")
    assert world.signaling.refused == {"internal": 1}
    assert "a fault of ours" in caplog.text
    world.says("cam", "b2")
    assert world.seen == [("cam", "b2")]


def test_a_state_that_came_before_the_enrolment_was_known_counts_then(world):
    world.says("cam", "b1")
    world.signaling.on_keys(NOW_S)
    assert world.seen == []
    world.keys["cam"] = DEVICE.public
    world.signaling.on_keys(NOW_S)
    world.signaling.on_keys(NOW_S)
    assert world.seen == [("cam", "b1")], "once"


def test_so_do_its_sections(world):
    topic = encode_topic("pinhole", Topic("cam", "sections"))
    payload = encode(SectionsMessage("b1", 0, {}))
    world.signaling.on_message(topic, DEVICE.seal(topic, payload), NOW_S)
    world.keys["cam"] = DEVICE.public
    world.signaling.on_keys(NOW_S)
    assert world.seen == [("cam", "b1")]


def test_a_device_that_was_enrolled_again_is_heard_under_its_new_key(world):
    world.keys["cam"] = OTHER.public
    world.says("cam", "b1")
    world.keys["cam"] = DEVICE.public
    world.signaling.on_keys(NOW_S)
    assert world.seen == [("cam", "b1")]


def test_what_another_key_signed_never_counts(world):
    world.says("cam", "b1", key=OTHER)
    world.keys["cam"] = DEVICE.public
    world.signaling.on_keys(NOW_S)
    assert world.seen == []


def test_an_old_state_never_follows_a_newer_one(world):
    world.says("cam", "b1")
    world.keys["cam"] = DEVICE.public
    world.says("cam", "b2")
    world.signaling.on_keys(NOW_S)
    assert world.seen == [("cam", "b2")]


def test_only_states_wait_and_only_so_many(world):
    topic = encode_topic("pinhole", Topic("first", "event", "camera-failed"))
    world.signaling.on_message(topic, DEVICE.seal(topic, b"{}"), NOW_S)
    for number in range(MAX_WAITING + 1):
        world.says(f"cam{number}", "b1")
    world.keys.update(
        {f"cam{number}": DEVICE.public for number in range(MAX_WAITING + 1)}, first=DEVICE.public
    )
    world.signaling.on_keys(NOW_S)
    assert [device for device, _ in world.seen] == [f"cam{number}" for number in range(1, MAX_WAITING + 1)]


def test_a_device_that_says_too_much_is_dropped_before_it_is_proven_and_the_others_are_heard(
    world, monkeypatch
):
    world.keys.update(cam=DEVICE.public, loud=OTHER.public)
    opened = []
    monkeypatch.setattr(
        "agent.signaling.portal.open_sealed",
        lambda topic, *rest: opened.append(topic) or open_sealed(topic, *rest),
    )
    for number in range(3 * int(BURST)):
        world.says("loud", f"b{number}", key=OTHER)
    assert len(opened) == BURST, "no signature was looked at beyond that"
    assert world.signaling.refused["too-fast"] == 2 * BURST
    assert world.signaling.quotas.loud(NOW_S) == {"loud": 2 * BURST}
    world.seen.clear()
    world.says("cam", "b1")
    assert world.seen == [("cam", "b1")]


def test_who_says_too_much_is_logged_once_a_second(world, caplog):
    for number in range(3 * int(BURST)):
        world.says("loud", f"b{number}")
    words = [record.getMessage() for record in caplog.records if "too-fast" in record.getMessage()]
    assert len(words) == 1
    assert "loud says more than" in words[0]


def test_who_has_messages_kept_where_nothing_belongs_is_kept_out(world):
    world.keys["cam"] = DEVICE.public
    for _ in range(100):
        for topic in ("pinhole/v1/cam/state", "pinhole/v1/cam/else", "other"):
            world.signaling.on_retained(topic, NOW_S)
    assert world.signaling.quotas.keep_out(NOW_S) == frozenset()
    for number in range(20):
        world.signaling.on_retained(f"pinhole/v1/cam/signal/s{number}/out", NOW_S)
    assert world.signaling.quotas.keep_out(NOW_S) == {"cam"}
    assert world.wiped == []


def test_nothing_stays_of_a_camera_that_was_revoked_and_what_it_says_last_goes_too(world):
    world.signaling.wipe("cam")
    assert world.keep_wiping() == {"cam"}
    assert set(world.wiped) == set(kept_topics("pinhole", "cam"))
    assert "pinhole/v1/cam/state" in world.wiped
    assert world.keep_wiping() == set()
    world.wiped.clear()
    world.signaling.on_retained("pinhole/v1/cam/state", NOW_S)
    world.keep_wiping()
    assert world.wiped == ["pinhole/v1/cam/state"]
    world.keys["cam"] = DEVICE.public  # it was enrolled again
    world.signaling.on_retained("pinhole/v1/cam/state", NOW_S)
    world.keep_wiping()
    assert len(world.wiped) == 1


def test_a_camera_that_is_enrolled_again_keeps_its_new_state(world):
    world.signaling.wipe("cam")
    world.keys["cam"] = DEVICE.public
    world.keep_wiping()
    assert "pinhole/v1/cam/health" in world.wiped
    assert "pinhole/v1/cam/state" not in world.wiped


def test_many_that_are_revoked_at_once_push_nothing_out_of_the_outbox():
    outbox = Outbox()
    world = World(
        lambda topic, payload, *, retain=False: outbox.put(Publication(topic, payload, retain=retain), 0.0)
    )
    outbox.put(Publication("an offer", b"v=0"), 0.0)
    for number in range(200):
        world.signaling.wipe(f"cam-{number}")
    wiped = set()
    for _ in range(20):  # nothing is confirmed in between
        assert len(world.signaling.keep_wiping(outbox.waits_on)) == 200
    while world.signaling.keep_wiping(outbox.waits_on):
        while publication := outbox.take(0.0):
            wiped.add(publication.topic)
            outbox.confirm(publication)
    assert outbox.dropped == 0
    assert wiped == {"an offer", *(t for n in range(200) for t in kept_topics("pinhole", f"cam-{n}"))}


def test_what_was_left_where_nothing_belongs_goes_a_little_at_a_time(world):
    topics = [f"pinhole/v1/cam/signal/s{number}/out" for number in range(WIPES_PER_S + 1)]
    for topic in topics:
        world.signaling.on_retained(topic, NOW_S)
    world.keep_wiping()
    assert world.wiped == [], "while many come, the broker may drop its confirmations"
    world.keep_wiping()
    assert world.wiped == topics[:-1], "offers come between"
    world.keep_wiping()
    world.keep_wiping()
    assert world.wiped == topics


def test_of_what_was_left_a_bounded_part_is_remembered(world):
    for number in range(MAX_TO_WIPE + 1):
        world.signaling.on_retained(f"pinhole/v1/cam/signal/s{number}/out", NOW_S)
    for _ in range(MAX_TO_WIPE // WIPES_PER_S + 2):
        world.keep_wiping()
    assert len(world.wiped) == MAX_TO_WIPE


def test_the_end_of_a_retained_message_is_no_message(world):
    world.keys["cam"] = DEVICE.public
    world.signaling.on_message("pinhole/v1/cam/state", b"", NOW_S)
    assert not world.signaling.refused
