"""Inputs by hypothesis: any bytes, and seeds with faults. For the suite, and where there is no atheris."""

from collections.abc import Sequence

from hypothesis import strategies as st

MAX_EDITS = 8


def inputs(seeds: Sequence[bytes], max_bytes: int) -> st.SearchStrategy[bytes]:
    """Any bytes; a seed; a seed with some edits; the start of one seed and the end of another."""
    junk = st.binary(max_size=min(max_bytes, 512))
    if not seeds:
        return junk
    seed = st.sampled_from([bytes(seed[:max_bytes]) for seed in seeds])
    return st.one_of(junk, seed, _edited(seed), _spliced(seed).map(lambda data: data[:max_bytes]))


@st.composite
def _edited(draw: st.DrawFn, seed: st.SearchStrategy[bytes]) -> bytes:
    data = bytearray(draw(seed))
    for _ in range(draw(st.integers(1, MAX_EDITS))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("set", "flip", "insert", "cut", "copy"))):
            case "set" if at < len(data):
                data[at] = draw(st.sampled_from((0, 1, 2, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "cut":
                del data[at : at + draw(st.integers(1, 16))]
            case "copy":
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case _:
                pass
    return bytes(data)


@st.composite
def _spliced(draw: st.DrawFn, seed: st.SearchStrategy[bytes]) -> bytes:
    first, second = draw(seed), draw(seed)
    return first[: draw(st.integers(0, len(first)))] + second[draw(st.integers(0, len(second))) :]
