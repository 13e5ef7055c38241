"""What the benches refuse before they measure anything."""

import argparse
import subprocess
import sys

import pytest
from bench import arguments
from bench.link import beyond_settling
from parts.stack import ROOT


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("one_or_more", ["1", "16"], ["0", "-1", "1.5", "many"]),
        ("none_or_more", ["0", "7"], ["-1", "0.5"]),
        ("above_zero", ["0.5", "60"], ["0", "-3", "nan", "inf", "long"]),
        ("not_negative", ["0", "2.5"], ["-1", "nan", "inf"]),
        ("share", ["0", "0.02"], ["1", "-0.1", "2"]),
    ],
)
def test_a_number_that_would_measure_nothing_is_refused_in_words(kind, good, bad):
    parse = getattr(arguments, kind)
    assert [parse(text) for text in good] == [float(text) for text in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a"):
            parse(text)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (None, "No such file"),
        ("", "needs a line"),
        ("one\ntwo\n", "not a trace"),
        ("500\n9999\n", "lasts 9.999 s"),
    ],
)
def test_what_is_no_trace_or_too_short_is_refused_in_words(tmp_path, lines, words):
    file = tmp_path / "link.trace"
    if lines is not None:
        file.write_text(lines)
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        arguments.trace(str(file))


def test_a_folder_that_is_no_checkout_with_an_environment_is_refused(tmp_path):
    assert arguments.checkout(str(ROOT)) == ROOT
    with pytest.raises(argparse.ArgumentTypeError, match="no checkout"):
        arguments.checkout(str(tmp_path))


def test_a_file_that_cannot_be_written_is_refused_before_the_run(tmp_path):
    assert arguments.new_file(str(tmp_path / "figures.json")) == tmp_path / "figures.json"
    for file in (tmp_path / "none" / "figures.json", tmp_path):
        with pytest.raises(argparse.ArgumentTypeError, match="cannot be written"):
            arguments.new_file(str(file))


def refused(name, *words):
    """What the bench says instead of measuring."""
    done = subprocess.run(
        [sys.executable, f"tests/bench/{name}.py", *words],
        cwd=ROOT, env={"PYTHONPATH": ".:tests", "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fanout", ("--viewers", "0")),
        ("rest", ("--seconds", "0")),
        ("start", ("--rounds", "0")),
    ],
)
def test_a_bench_refuses_to_measure_nothing(name, words):
    assert "is not a" in refused(name, *words)


def test_the_link_refuses_runs_of_which_nothing_counts():
    assert beyond_settling("6") == 6
    for text in ("0", "5", "5.9"):
        with pytest.raises(argparse.ArgumentTypeError):
            beyond_settling(text)
