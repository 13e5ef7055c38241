"""What a person reads."""

import io

from rich.console import Console

from agent.doctor.report import Finding, make_report
from agent.doctor.screen import Screen, draw, summary

GOOD = Finding("broker", "mqtt://b", "good", "connected", duration_ms=31.4)
FAULT = Finding("clock", "", "fault", "9 s behind", "set it", 1500.0)


def shown(*findings, is_quiet=False):
    console = Console(file=io.StringIO(), width=40)
    with Screen(console, is_quiet=is_quiet) as screen:
        for finding in findings:
            screen.started(finding.check, finding.subject)
        for finding in findings:
            screen.ended(finding)
        screen.close(make_report("cam", findings, 0.0, 2000.0))
    return console.file.getvalue()


def test_a_finding_is_a_line_and_what_to_do_is_one_below():
    lines = shown(GOOD, FAULT).splitlines()
    assert lines[:3] == [
        "✔ broker   mqtt://b: connected  31 ms",
        "✘ clock    9 s behind  1.5 s",
        "           → set it",
    ]
    assert lines[-1] == "This device cannot serve: 1 fault, 0 warnings in 2.0 s."


def test_what_was_not_looked_at_is_no_tick():
    assert shown(Finding("modem", "", "unknown", "not looked at")).startswith("? modem")


def test_a_long_finding_stays_a_line():
    words = "word " * 60
    assert words.strip() in shown(Finding("nat", "", "good", words)).splitlines()[0]


def test_quiet_leaves_the_output_to_the_json():
    assert shown(GOOD, FAULT, is_quiet=True) == ""


def test_foreign_words_bring_neither_markup_nor_escapes_nor_lines():
    hostile = Finding("ice", "turn:[red]x", "warning", "\x1b[2J[bold]a\nb", "[/]c\rd")
    text = shown(hostile)
    assert "turn:[red]x" in text
    assert "[bold]a b" in text
    assert "\x1b" not in text
    assert "\r" not in text
    assert len(draw(hostile).plain.splitlines()) == 2


def test_warnings_do_not_keep_it_from_serving():
    report = make_report("cam", (Finding("board", "", "warning", "hot", "cool it"),), 0.0, 1000.0)
    assert "can serve: 0 faults, 1 warning in 1.0 s" in summary(report).plain
