"""Foreign text, made fit for a terminal, a log or a message."""

import logging
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

MAX_TEXT_CHARS = 512
"""As `agent.model.signal.Text`."""

_T = TypeVar("_T")


def printable(text: str) -> str:
    """Without control characters but line feed and tab: an escape sequence must not reach a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def all_printable(value: _T) -> _T:
    """The same with `printable` texts, however deep in dataclasses, objects and lists they are."""
    made: Any = value
    match value:
        case str():
            made = printable(value)
        case dict():
            made = {all_printable(key): all_printable(each) for key, each in value.items()}
        case list() | tuple():
            made = type(value)(map(all_printable, value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            made = replace(
                value, **{each.name: all_printable(getattr(value, each.name)) for each in fields(value)}
            )
    clean: _T = made
    return clean


def one_line(text: str) -> str:
    """With control characters written out: what somebody is called must not forge a line of the log."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def clip(text: str) -> str:
    """Free text of ours, such as an exception's words, in the shape and length that `Text` allows."""
    return text.encode("utf-8", "replace").decode()[:MAX_TEXT_CHARS]


class LineFormatter(logging.Formatter):
    """One line a record, but for a traceback, whatever was quoted."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the base class's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  the base class's name
        return printable(super().formatException(ei))
