"""Files that a person wrote, with whatever editor or spreadsheet.

They become values, or an error that names the line and what to type. A byte order mark, and line ends of any
system, are read over.
"""

import codecs
import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Collection
from typing import Any

from agent.errors import ConfigError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = ",;\t"
_SWITCHES = dict.fromkeys(("true", "yes", "on"), "true") | dict.fromkeys(("false", "no", "off"), "false")
ESCAPES = "a backslash within \"…\" begins an escape, such as \\t for a tab: put the text in '…'"
_WHERE = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)$")
_ESCAPE = re.compile(r"Unescaped '\\'|Invalid hex value|not a Unicode scalar")
_YAML = re.compile(r"\s*(?:- )?[\w.-]+:(?:\s|$)")
_BARE_VALUE = re.compile(r"\s*[\w.-]+\s*=\s*([^\s\"'\[{].*)")


def decode(data: bytes, name: str) -> str:
    """The text, without a byte order mark, each line ended by a line feed. Raises ConfigError."""
    if data.startswith(_UTF16) or b"\0" in data[:4]:
        raise ConfigError(
            f"{name}: is UTF-16 (“Unicode” in Windows): save it as UTF-8, "
            f"or type: iconv -f UTF-16 -t UTF-8 {name} > utf-8-{_last(name)}"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        start = exc.start + (len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
        line, column = _place(data[:start].decode(errors="replace"))
        raise ConfigError(
            f"{name}: line {line}, column {column}: not UTF-8, but perhaps Windows-1252 or Latin-1: "
            f"save it as UTF-8, or type: iconv -f WINDOWS-1252 -t UTF-8 {name} > utf-8-{_last(name)}"
        ) from exc
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_toml(data: bytes, name: str) -> dict[str, Any]:
    """The tables of a settings file. Raises ConfigError with the line, and what was probably meant."""
    text = decode(data, name)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = _WHERE.search(str(exc))
        lines = text.split("\n")
        number = int(found[1]) if found and found[1] else len(text.rstrip("\n").split("\n"))
        problem = str(exc)[: found.start()] if found else str(exc)
        # What is not closed is noticed where the next line begins, or at the end.
        advice = _advice(lines[number - 1], problem) or _advice(lines[max(0, number - 2)], problem)
        where = f"line {number}" + (f", column {found[2]}" if found and found[2] else "")
        raise ConfigError(f"{name}: not valid TOML: {where}: {advice or problem}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{name}: nested too deep to be settings") from exc


def odd_character(text: str) -> str | None:
    """Words for the first character that nobody sees, such as a no-break space; None where there is none."""
    for index, char in enumerate(text):
        if char != " " and unicodedata.category(char) in ("Zs", "Cf", "Cc", "Zl", "Zp"):
            label = unicodedata.name(char, "a control character").lower()
            return f"column {index + 1} is {'a tab' if char == chr(9) else label} (U+{ord(char):04X})"
    return None


def read_sheet(data: bytes, name: str, columns: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file that has these columns, each with its line's number. Raises ConfigError.

    Takes what spreadsheets write: commas, semicolons or tabs, capitals in the first line, empty rows.
    """
    text = decode(data, name)
    skipped = 0
    if declared := re.match(r"sep=([,;\t|])\n", text, re.IGNORECASE):  # Excel's own
        text, skipped = text[declared.end() :], 1
    first = text.partition("\n")[0]
    delimiter = declared[1] if declared else max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        headings = [heading.strip().casefold() for heading in next(reader, [])]
        rows = [
            (reader.line_num + skipped, dict(zip(headings, (cell.strip() for cell in row), strict=False)))
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as exc:
        raise ConfigError(f"{name}: line {reader.line_num + skipped}: no CSV: {exc}") from exc
    wanted = " and ".join(columns)
    if missing := [column for column in columns if column not in headings]:
        raise ConfigError(
            f"{name}: line {1 + skipped}: has no column {' and no '.join(missing)}: "
            f"its first line must name the columns {wanted}"
        )
    if not rows:
        raise ConfigError(f"{name}: holds no camera: a first line with {wanted}, then one line a camera")
    return rows


def _advice(line: str, problem: str) -> str | None:
    """What to type, for what people mistype; None where the parser's own words are as good."""
    mends = (
        _typography(line),
        _duplicate(line, problem),
        _escape(line, problem),
        _foreign(line),
        _bare(line),
    )
    return next((words for words in mends if words), None)


def _typography(line: str) -> str | None:
    """What word processors and web pages put in place of what was typed."""
    for index, char in enumerate(line):
        name = "" if char.isascii() else unicodedata.name(char, "")
        if "QUOTATION MARK" in name:
            plain = "'" if "SINGLE" in name else '"'
            return f"column {index + 1} is the typographic quote {char}: type {plain}"
        if unicodedata.category(char) == "Pd" and char != "-":
            return f"column {index + 1} is the dash {char}: type -"
    odd = odd_character(line.replace("\t", " "))
    return f"{odd}: type a space" if odd else None


def _duplicate(line: str, problem: str) -> str | None:
    if problem.startswith("Cannot declare"):
        heading = line.partition("#")[0].strip()
        return f"{heading} is there twice: put its settings together below the first {heading}"
    if problem.startswith("Cannot overwrite"):
        return f"{line.partition('=')[0].strip()} is set twice: remove one of both"
    return None


def _escape(line: str, problem: str) -> str | None:
    is_one = "\\" in line and _ESCAPE.search(problem)
    return f"{ESCAPES}, as in 'C:\\Users\\me\\x.mp4'" if is_one else None


def _foreign(line: str) -> str | None:
    """What is right in another format."""
    start = line.lstrip()
    if _YAML.match(line) or (start.startswith(("{", "}")) and "=" not in line):
        format_name = "YAML" if _YAML.match(line) else "JSON"
        return f'this looks like {format_name}; in TOML type [device], and below it id = "front-door"'
    return "a comment begins with #" if start.startswith(("//", ";")) else None


def _bare(line: str) -> str | None:
    found = _BARE_VALUE.fullmatch(line.partition("#")[0].rstrip())
    if not found:
        return None
    plain = _SWITCHES.get(found[1].lower(), f'"{found[1]}"')
    return f"{found[1]} is no value: type {plain}"


def _place(before: str) -> tuple[int, int]:
    """Line and column of what follows."""
    text = before.removeprefix("\ufeff")
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def _last(name: str) -> str:
    return name.rpartition("/")[2]
