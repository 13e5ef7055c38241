import importlib.util
from pathlib import Path

import av

DATA = Path(__file__).parents[2] / "data"


def load():
    spec = importlib.util.spec_from_file_location("footage", DATA / "footage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_footage_is_a_raw_h264_file_that_tells_its_rate(tmp_path: Path) -> None:
    path = load().write(tmp_path / "clip.h264", seconds=0.5, size=(160, 96), fps=30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (stream.codec_context.width, stream.codec_context.height) == (160, 96)
        assert stream.guessed_rate == 30
    assert len(frames) == 15


def test_the_same_seed_gives_the_same_pictures_and_another_does_not() -> None:
    footage = load()
    first, same, other = (footage.Footage(160, 96, 30, seed).frame(3) for seed in (1, 1, 2))
    assert bytes(first.planes[0]) == bytes(same.planes[0]) != bytes(other.planes[0])
