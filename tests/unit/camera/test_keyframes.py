from agent.camera.keyframes import KeyframeGate


def test_the_first_request_passes_at_once() -> None:
    gate = KeyframeGate(0.3)
    gate.request()
    assert gate.take(now_s=10)


def test_nothing_passes_unasked() -> None:
    gate = KeyframeGate(0.3)
    assert not gate.take(now_s=10)
    assert gate.due_s() is None


def test_many_requests_in_the_gap_are_one_at_its_end() -> None:
    gate = KeyframeGate(0.3)
    gate.request()
    gate.take(now_s=10)
    for now_s in (10.0, 10.1, 10.2):
        gate.request()
        assert not gate.take(now_s)
    assert gate.due_s() == 10.3
    assert gate.take(now_s=10.3)
    assert not gate.take(now_s=20)


def test_only_a_keyframe_that_was_asked_for_is_an_answer() -> None:
    gate = KeyframeGate(0.3)
    gate.request()
    gate.take(now_s=10)
    gate.delivered()
    assert gate.answered == 0, "a camera begins with a keyframe, whoever asks"
    gate.delivered()
    assert gate.answered == 0
    gate.request()
    gate.take(now_s=11)
    gate.delivered()
    gate.delivered()
    assert gate.answered == 1


def test_a_camera_that_starts_again_answers_nothing() -> None:
    gate = KeyframeGate(0.3)
    gate.delivered()
    gate.request()
    gate.take(now_s=10)
    gate.stopped()
    gate.delivered()
    assert gate.answered == 0


def test_a_keyframe_that_comes_by_itself_fulfils_the_request() -> None:
    gate = KeyframeGate(0.3)
    gate.request()
    gate.take(now_s=10)
    gate.request()
    gate.delivered()
    assert gate.due_s() is None
    assert not gate.take(now_s=20)
