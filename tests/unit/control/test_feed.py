"""From one stream to another at a keyframe, with times that go on."""

from contextlib import contextmanager
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.control.feed import Feed
from agent.model.media import RtpFrame


class Fanouts:
    """Two streams, and who is subscribed to them."""

    def __init__(self):
        self.sinks = {"main": [], "preview": []}

    @contextmanager
    def subscribe(self, stream, sink):
        self.sinks[stream].append(sink)
        yield
        self.sinks[stream].remove(sink)

    @property
    def watched(self):
        return {stream for stream, sinks in self.sinks.items() if sinks}

    def push(self, stream, at, *, key=False):
        frame = RtpFrame((stream.encode(),), at, is_keyframe=key, size_bytes=1)
        for sink in tuple(self.sinks[stream]):
            sink(frame)


def streams(got):
    return [frame.payloads[0].decode() for frame in got]


def test_the_old_stream_goes_on_until_the_new_one_has_a_keyframe():
    fanouts, got = Fanouts(), []
    with Feed(fanouts.subscribe, "main") as feed:
        feed.begin(got.append)
        fanouts.push("main", 3000, key=True)
        assert feed.move("preview")
        assert not feed.move("preview"), "one keyframe is enough"
        assert (feed.stream, fanouts.watched) == ("main", {"main", "preview"})
        fanouts.push("preview", 6000)
        fanouts.push("main", 6000)
        fanouts.push("preview", 9000, key=True)
        assert (feed.stream, fanouts.watched) == ("preview", {"preview"}), "only what is watched is encoded"
        fanouts.push("main", 9000)
        fanouts.push("preview", 12000)
        assert streams(got) == ["main", "main", "preview", "preview"]
        assert feed.move("main")
        fanouts.push("preview", 15000, key=True)
        assert feed.stream == "preview"
        fanouts.push("main", 18000, key=True)
        assert feed.stream == "main"
    assert fanouts.watched == set()


def test_who_changes_its_mind_before_the_keyframe_stays():
    fanouts, got = Fanouts(), []
    with Feed(fanouts.subscribe, "main") as feed:
        feed.begin(got.append)
        feed.move("preview")
        assert not feed.move("main")
        assert fanouts.watched == {"main"}
        fanouts.push("preview", 3000, key=True)
        assert got == []


def test_the_stream_is_encoded_before_frames_go_anywhere():
    fanouts, got = Fanouts(), []
    with Feed(fanouts.subscribe, "preview") as feed:
        assert fanouts.watched == {"preview"}
        fanouts.push("preview", 0, key=True)
        feed.begin(got.append)
        fanouts.push("preview", 3000)
        feed.end()
        fanouts.push("preview", 6000)
    assert len(got) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["main", "preview"]), st.booleans(), st.integers(0, 4000)), max_size=60
    )
)
def test_times_only_ever_rise(events):
    fanouts, got, now = Fanouts(), [], {"main": 0, "preview": 0}
    with Feed(fanouts.subscribe, "main") as feed:
        feed.begin(got.append)
        for stream, moves, step in events:
            now[stream] = max(now[stream] + 90, now[stream] + step)
            if moves:
                feed.move(stream)
            fanouts.push(stream, now[stream], key=moves)
    times = [frame.rtp_time for frame in got]
    assert all(after - before >= 90 for before, after in pairwise(times))


def test_recorded_pictures_come_in_the_place_of_live_ones_and_nothing_is_encoded_meanwhile():
    fanouts, got = Fanouts(), []
    with Feed(fanouts.subscribe, "main") as feed:
        feed.begin(got.append)
        fanouts.push("main", 3000, key=True)
        feed.move("preview")
        feed.leave_live()
        assert fanouts.watched == set()
        feed.show(RtpFrame((b"recorded",), 2000, is_keyframe=True, size_bytes=1))
        feed.go_live()
        assert fanouts.watched == {"main"}
        fanouts.push("main", 6000)
        assert streams(got) == ["main", "recorded"], "the live picture begins with a keyframe"
        fanouts.push("main", 9000, key=True)
        feed.show(RtpFrame((b"late",), 9000, is_keyframe=False, size_bytes=1))
        fanouts.push("main", 12000)
        assert streams(got) == ["main", "recorded", "main", "main"]
        assert [frame.rtp_time for frame in got] == [3000, 3090, 9000, 12000]
    assert fanouts.watched == set()


def test_a_viewer_on_its_way_back_to_live_may_change_its_stream():
    fanouts, got = Fanouts(), []
    with Feed(fanouts.subscribe, "main") as feed:
        feed.begin(got.append)
        feed.leave_live()
        feed.go_live()
        assert feed.move("preview")
        assert fanouts.watched == {"preview"}
        fanouts.push("preview", 3000, key=True)
        assert feed.stream == "preview"
        assert streams(got) == ["preview"]
