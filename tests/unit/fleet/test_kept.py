"""What is kept between runs: whole or not there, bounded, and never taken from who has it in use."""

import os
import shutil

import pytest
from parts import kept as kept_parts


class KilledError(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_parts, "CACHE", tmp_path)
    monkeypatch.setattr(kept_parts, "_in_use", {})
    yield tmp_path
    end_of_run()


def end_of_run():
    for file in kept_parts._in_use.values():
        file.close()
    kept_parts._in_use.clear()


def make(key, fill=lambda part: (part / "file").write_text("whole")):
    return kept_parts.kept("root", key, fill)


def whole(cache):
    return {path.name for path in cache.glob("root-*/")}


def age(folder, seconds):
    mark = folder.with_name(f"{folder.name}.use")
    then = mark.stat().st_mtime - seconds
    os.utime(mark, (then, then))


def test_it_is_made_once(cache):
    folder = make("a")
    end_of_run()
    assert make("a", lambda _: pytest.fail("again")) == folder
    assert (folder / "file").read_text() == "whole"
    assert whole(cache) == {folder.name}


@pytest.mark.parametrize("error", [OSError, KilledError])
def test_what_was_half_made_is_made_anew(cache, error):
    def broken(part):
        (part / "rest").write_text("half")
        raise error

    with pytest.raises(error):
        make("a", broken)
    assert whole(cache) == set()
    end_of_run()
    assert [path.name for path in make("a").iterdir()] == ["file"]


def test_what_was_half_removed_is_made_anew(cache, monkeypatch):
    age(old := make("a"), 2 * kept_parts.KEEP_S)
    end_of_run()
    remove = shutil.rmtree

    def killed(folder, **how):
        if (folder / "file").exists():
            (folder / "file").unlink()
            raise KilledError
        remove(folder, **how)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KilledError):
        make("b")
    monkeypatch.undo()
    monkeypatch.setattr(kept_parts, "CACHE", cache)
    end_of_run()
    assert (make("a") / "file").read_text() == "whole"
    assert (cache / old.name / "file").exists()


def test_the_newest_are_kept_for_a_day(cache):
    made = []
    for number in range(kept_parts.MOST + 2):
        made.append(make(number))
        end_of_run()
        age(made[-1], 1000 - number)
    make(made_now := "now")
    assert whole(cache) == {folder.name for folder in [*made[-kept_parts.MOST + 1 :], make(made_now)]}
    for folder in made[-kept_parts.MOST + 1 :]:
        age(folder, kept_parts.KEEP_S)
    end_of_run()
    make("now")
    assert whole(cache) == {make("now").name}
    assert {path.name for path in cache.glob("*.use")} == {f"{make('now').name}.use"}


def test_what_is_in_use_stays(cache):
    age(used := make("a"), 2 * kept_parts.KEEP_S)
    make("b")
    assert used.name in whole(cache)


def test_another_kind_with_the_same_begin_is_left_alone(cache):
    other = kept_parts.kept("root-old", "a", lambda part: (part / "file").write_text("whole"))
    age(other, 2 * kept_parts.KEEP_S)
    end_of_run()
    make("b")
    assert whole(cache) == {other.name, make("b").name}
