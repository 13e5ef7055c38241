"""What the benches take as arguments. What would measure nothing is refused before anything runs."""

import argparse
import math
import os
from pathlib import Path
from urllib.parse import urlsplit

from netlab.shape import read_trace

LEAST_TRACE_S = 10
"""The first half of which does not count."""


def one_or_more(text: str) -> int:
    """A whole number: of rounds, viewers and the like."""
    return _number(text, int, lambda value: value >= 1, "a whole number above 0")


def none_or_more(text: str) -> int:
    """A whole number of what may also be left out."""
    return _number(text, int, lambda value: value >= 0, "a whole number, not below 0")


def above_zero(text: str) -> float:
    """Seconds to measure, or a rate."""
    return _number(text, float, lambda value: 0 < value < math.inf, "a number above 0")


def not_negative(text: str) -> float:
    """Seconds that do not count, or a delay."""
    return _number(text, float, lambda value: 0 <= value < math.inf, "a number, not below 0")


def share(text: str) -> float:
    """How much is lost."""
    return _number(text, float, lambda value: 0 <= value < 1, "a share from 0 to below 1")


def trace(text: str) -> Path:
    """A recorded link that there is, and that is long enough to say something."""
    try:
        lasts_s = read_trace(Path(text))[-1] / 1000
    except (OSError, ValueError) as exc:
        raise argparse.ArgumentTypeError(f"{text!r}: {exc}") from exc
    if lasts_s < LEAST_TRACE_S:
        raise argparse.ArgumentTypeError(f"{text!r} lasts {lasts_s:g} s, and must last {LEAST_TRACE_S}")
    return Path(text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json, which every bench has."""
    parser.add_argument("--json", type=new_file, metavar="FILE", help="keep the figures there")


def new_file(text: str) -> Path:
    """Where a file can be written once all is measured."""
    file = Path(text)
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: no such folder, or not yours")
    return file


def folder(text: str) -> Path:
    """One that there is."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def checkout(text: str) -> Path:
    """Another tree to measure."""
    if not (Path(text) / ".venv/bin/python").exists() or not (Path(text) / "agent").is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no checkout, or scripts/env test never ran there")
    return Path(text)


def url(*schemes: str):
    """What takes a URL of these schemes."""

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            is_one = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one:
            raise argparse.ArgumentTypeError(f"{text!r} is no URL of {' or '.join(schemes)}")
        return text

    return parse


def _number(text, kind, holds, rule):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not holds(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {rule}")
    return value
