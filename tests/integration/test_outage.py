"""The broker dies in the middle of a stream."""

import itertools
import time

import av
from parts.mosquitto import mosquitto
from parts.stack import running_stack

AWAY_S = 4.0
BACK_S = 20.0
"""Far below the two minutes that a pause may last, and far above the two seconds that it does after this
outage: broker, agent and portal may each come late."""


def test_video_goes_on_without_the_broker_and_signaling_comes_back_with_it():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        recording = stack.folder / "seen.mp4"
        watching = stack.start_watch("--seconds", "10", "--record", str(recording))
        while "viewer connected" not in stack.log("agent"):
            assert watching.poll() is None
            time.sleep(0.1)
        before = {name: stack.log(name).count("connected to mqtt") for name in ("agent", "portal")}
        broker.kill()
        time.sleep(AWAY_S)
        broker.start()
        back_s = time.monotonic()
        while any(stack.log(name).count("connected to mqtt") == count for name, count in before.items()):
            assert time.monotonic() - back_s < BACK_S, stack.log("agent") + stack.log("portal")
            time.sleep(0.05)
        code, _, said = stack.watch("--seconds", "0.5")
        assert code == 0, said
        code, seen, said = stack.end_watch(watching)
        assert code == 0, said
        assert seen["errors"] == []
        assert not seen["lost_packets"]
        assert longest_gap_s(recording) < AWAY_S / 2, "the video was away with the broker"


def longest_gap_s(recording):
    """Between two pictures, by the camera's clock."""
    with av.open(str(recording)) as container:
        times = [float(picture.time) for picture in container.decode(video=0)]
    assert times[-1] > AWAY_S
    return max(after - before for before, after in itertools.pairwise(times))
