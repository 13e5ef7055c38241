"""Which pictures are encoded."""

from hypothesis import given
from hypothesis import strategies as st

from agent.camera.gate import PictureGate
from agent.model.media import EncoderDemand


def taken(gate, count):
    return [gate.take() for _ in range(count)]


def test_a_share_is_even_and_starts_with_the_first():
    assert taken(PictureGate(EncoderDemand(1, fps_share=1 / 3)), 7) == [True, False, False] * 2 + [True]
    assert taken(PictureGate(EncoderDemand(1, fps_share=0.5), 0.5), 5) == [True, False, False, False, True]


@given(st.floats(0.05, 1.0), st.integers(1, 500))
def test_no_more_and_no_less_than_the_share(share, count):
    number = sum(taken(PictureGate(EncoderDemand(1, fps_share=share)), count))
    assert count * share - 1e-6 <= number + 1
    assert number <= count * share + 1 + 1e-6


def test_nothing_while_pictures_are_held_and_then_the_very_next():
    gate = PictureGate(EncoderDemand(1, fps_share=0.25))
    assert taken(gate, 2) == [True, False]
    gate.apply(EncoderDemand(1, fps_share=0.25, is_held=True))
    assert not any(taken(gate, 10))
    gate.apply(EncoderDemand(1, fps_share=0.25))
    assert taken(gate, 5) == [True, False, False, False, True]


def test_nothing_while_nobody_watches_and_then_at_once():
    gate = PictureGate(EncoderDemand(1, fps_share=0.25, is_active=False))
    assert not any(taken(gate, 10))
    gate.apply(EncoderDemand(1, fps_share=0.25))
    assert gate.take()
