"""Ten thousand random cuts of whatever there is to cut: the head stands still within half a second."""

import json
from random import Random

import pytest
from fakes.ptz_head import PelcoHead, ViscaCamera
from fakes.ptz_rig import Rig

OF_EACH = 2500
"""Cuts of each protocol."""
STILL_S = 0.5
RETRY_S = 0.15
"""One more for each frame that the wire lost meanwhile: the next stop makes it good."""
LOSS = 0.01


class Viewer:
    """Holds a stick, and says so ten times a second over a link that loses packets."""

    def __init__(self, rig, random, name):
        self.rig, self.random = rig, random
        self.is_allowed = True
        self.channel, self.heard = rig.viewer(name, may=lambda: self.is_allowed)
        self.seq = 0
        self.last_s = rig.now_s
        """When the last word arrived."""

    def say(self, stick, when_s, loss=0.02):
        self.seq += 1
        message = json.dumps({"seq": self.seq, **stick})
        if self.random.random() >= loss:
            self.rig.at(when_s, lambda: self._arrive(message), of=self)

    def _arrive(self, message):
        self.last_s = self.rig.now_s
        self.channel.on_message(message)

    def hold(self, seconds):
        """The stick goes about."""
        random, begin_s = self.random, self.rig.now_s
        stick = {}
        for number in range(int(seconds * 10)):
            if number % 4 == 0:
                stick = {axis: round(random.uniform(-1, 1), 2) for axis in ("pan", "tilt", "zoom")}
                stick["pan"] = random.choice((-1, 1, stick["pan"]))
            self.say(stick, begin_s + number * 0.1 + random.uniform(0, 0.05))


def lose_packets(rig, viewer, _random):
    """Nothing of the viewer's arrives any more."""
    rig.forget(viewer)
    return viewer.last_s


def kill_viewer(rig, viewer, _random):
    """Likewise, and the session's end is seen much later."""
    rig.at(rig.now_s + 3, viewer.channel.on_closed)
    return lose_packets(rig, viewer, None)


def stall(rig, viewer, random):
    """Everything comes late and at once, the stop last."""
    late_s = rig.now_s + random.uniform(0, 2)
    for _ in range(rig.forget(viewer)):
        viewer.say({"pan": 1}, late_s)
    return release(rig, viewer, None, late_s)


def release(rig, viewer, _random, when_s=None):
    """The stick is let go: three stops, of which some may be lost."""
    when_s = when_s or rig.now_s
    rig.forget(viewer, after_s=when_s)
    for number in range(3):
        viewer.say({}, when_s + number * 0.05)
    rig.run_to(when_s + 0.15)
    return viewer.last_s


def close(rig, viewer, _random):
    """The channel or the session ends."""
    rig.forget(viewer)
    viewer.channel.on_closed()
    return rig.now_s


def forbid(rig, viewer, _random):
    """The right to it is gone; the viewer goes on."""
    viewer.is_allowed = False
    rig.run_for(1)
    return viewer.last_s if not rig.fake.is_moving else rig.now_s


def take(rig, _viewer, _random):
    """Somebody takes the head over; the viewer goes on."""
    other, _ = rig.viewer("boss")
    rig.desk.take(other.person, rig.now_s)
    return rig.now_s


def terminate(rig, _viewer, _random):
    """SIGTERM: within 0.6 s it is told to stop, and then nobody is there."""
    since_s = rig.now_s
    rig.head.shut(since_s)
    rig.run_for(0.6)
    assert rig.head.is_told_to_stop
    return since_s


def kill(rig, _viewer, random):
    """SIGKILL: until the service is there again it runs on."""
    rig.kill()
    rig.run_for(random.uniform(0.5, 4))
    return plug(rig)


def unplug(rig, viewer, random):
    """The port goes, and comes again while the stick is held, or after."""
    rig.unplug()
    rig.run_for(random.uniform(0.05, 2))
    plug(rig)
    rig.run_for(1)
    return max(rig.now_s - 1, viewer.last_s)


def plug(rig):
    """The port is opened: the first frame stops."""
    rig.sent.clear()
    rig.plug()
    assert rig.sent[0][1] == rig.head.driver.stop()[0]
    return rig.now_s


CUTS = (lose_packets, kill_viewer, stall, release, close, forbid, take, terminate, kill, unplug)
HEADS = {
    "pelco-d": lambda random: PelcoHead("pelco-d", loss=LOSS, random=random, echo=random.random() < 0.5),
    "pelco-p": lambda random: PelcoHead("pelco-p", loss=LOSS, random=random),
    "visca": lambda random: ViscaCamera(loss=LOSS, random=random, numbered=False),
    "visca-ip": lambda random: ViscaCamera(loss=LOSS, random=random),
}


def until_still(rig, since_s):
    """Half a second, and a little more for each frame that the wire lost."""
    for _ in range(2):
        lost = sum(when_s >= since_s - 0.05 for when_s in rig.fake.lost)
        rig.run_to(max(rig.now_s, since_s + STILL_S + RETRY_S * lost))


@pytest.mark.parametrize("protocol", HEADS)
def test_it_stands_still_within_half_a_second_of_any_cut(protocol):
    random = Random(protocol)
    rig = Rig(protocol, HEADS[protocol](random), zoom_max=10)
    rig.plug()
    rig.run_for(1)
    for number in range(OF_EACH):
        cut = random.choice(CUTS)
        viewer = Viewer(rig, random, f"viewer {number}")
        held_s = random.uniform(0.2, 1.0)
        viewer.hold(held_s)
        rig.run_for(random.uniform(0.1, held_s))
        if protocol.startswith("visca") and random.random() < 0.1:
            # Another controller's orders hold both sockets: all is refused until they are cancelled.
            rig.fake.sockets = {1: rig.now_s + 20, 2: rig.now_s + 20}
        since_s = cut(rig, viewer, random)
        until_still(rig, since_s)
        assert not rig.fake.is_moving, f"cut {number}: {cut.__name__} at {since_s}: {rig.fake.velocity}"
        rig.run_for(random.uniform(0, 9))
        assert not rig.fake.is_moving, f"cut {number}: {cut.__name__}: it moved again"
        viewer.channel.on_closed()
        if cut is terminate:
            kill(rig, viewer, random)
            rig.run_for(1)
        rig.fake.frames.clear()
        rig.fake.lost.clear()
    assert rig.fake.motions > OF_EACH / 2


@pytest.mark.parametrize("protocol", HEADS)
def test_a_stuck_key_moves_it_for_thirty_seconds(protocol):
    rig = Rig(protocol)
    rig.plug()
    viewer = Viewer(rig, Random(1), "ann")
    begin_s = rig.now_s
    viewer.hold(40)
    rig.run_to(begin_s + 29)
    assert rig.fake.is_moving
    rig.run_to(begin_s + 30.7)
    assert not rig.fake.is_moving
    rig.run_to(begin_s + 40)
    assert not rig.fake.is_moving, "it is still held"
    rig.run_for(1)
    viewer.hold(0.5)
    rig.run_for(0.3)
    assert rig.fake.is_moving, "it was let go"
