"""What others wrote reaches a terminal or a log without its tricks."""

import logging

import pytest

from agent.model.text import LineFormatter, one_line

HOSTILE = ("a\n2030-01-01 INFO forged", "\x1b[2J", "a\rb", "\u202eevil", "\x9b2J", "\u2028x")


def record(message, *args, exc_info=None):
    return logging.LogRecord("agent", logging.INFO, "x.py", 1, message, args, exc_info)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_log_line_stays_one_line_without_controls(text):
    said = LineFormatter("%(levelname)s %(message)s").format(record("camera %s is there", text))
    assert said.isprintable()
    assert said.startswith("INFO camera ")


def test_plain_words_stay_as_they_are():
    assert one_line("Käthes Kamera → 300 µs") == "Käthes Kamera → 300 µs"


def test_a_traceback_keeps_its_lines_and_loses_its_escapes():
    try:
        int("\x1b[2J")
    except ValueError as exc:
        failed = record("failed", exc_info=(ValueError, ValueError("\x1b[2J"), exc.__traceback__))
    said = LineFormatter("%(message)s").format(failed)
    assert len(said.splitlines()) > 2
    assert "\x1b" not in said
