"""The settings explained from their types: an example file, and a table for the documentation."""

import json
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent.config.changes import settable
from agent.config.settings import Section, Settings, section_of

WIDTH = 100

HEADER = """\
# pinhole.toml: the settings of an agent, of a portal, or of both.
# A line that starts with # and a blank explains; one that starts with #key shows the default, or an
# example where the default is nothing: take the # away to set it. Relative paths are relative to this file.
# Check it with: pinhole config check pinhole.toml
"""


def example() -> str:
    """A whole `pinhole.toml`: every setting explained and commented out, so that it means the defaults."""
    lines = [HEADER]
    for name, field in Settings.model_fields.items():
        section = section_of(field.annotation)
        assert section is not None
        lines += _example_section(name, section, "")
    return "\n".join(lines).rstrip() + "\n"


def reference() -> str:
    """A Markdown table for each section: key, value, default, meaning."""
    lines: list[str] = []
    for title, section in _sections():
        lines += [f"### {title}", "", section.__doc__ or "", ""]
        lines += ["| key | value | default | |", "|---|---|---|---|"]
        rules = _rules(section)
        for key, field in section.model_fields.items():
            if section_of(field.annotation):
                continue
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{key}` | {_rule(rules[key])} | {_default(field)} | {meaning} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def explained() -> list[dict[str, Any]]:
    """What a page shows of each setting that may be changed from afar: title, unit, bounds and more.

    It is JSON. `table` is what its section is about; what a setting has not is left out.
    """
    return [_explained(key) for key in settable()]


_UNITS = {
    "px": "pixels", "bps": "bits a second", "fps": "frames a second", "s": "seconds", "us": "microseconds",
    "hz": "hertz", "mb": "megabytes", "percent": "percent", "deg": "degrees", "days": "days",
}  # fmt: skip
"""By the end of a setting's name."""
_BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "above",
    "multipleOf": "step",
    "maxLength": "most_characters",
    "enum": "choices",
}
"""JSON Schema's names, and ours."""


@cache
def _rules(section: type[Section]) -> dict[str, dict[str, Any]]:
    """JSON Schema of each setting of a section."""
    rules: dict[str, dict[str, Any]] = section.model_json_schema()["properties"]
    return rules


def _explained(key: str) -> dict[str, Any]:
    *path, name = key.split(".")
    section: type[Section] = Settings
    for part in path:
        inner = section_of(section.model_fields[part].annotation)
        assert inner is not None
        section = inner
    field, schema = section.model_fields[name], _rules(section)[name]
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    rule = choices[-1]
    said = {
        "key": key,
        "table": section.__doc__,
        "title": field.title,
        "about": field.description,
        "kind": rule["type"],
        "unit": _UNITS.get(name.rpartition("_")[2]),
        "also": next((choice["const"] for choice in choices[:-1]), None),
        "default": field.default,
        **{ours: rule.get(theirs) for theirs, ours in _BOUNDS.items()},
    }
    return {name: value for name, value in said.items() if value is not None and value != ""}


def _sections() -> Iterator[tuple[str, type[Section]]]:
    for name, field in Settings.model_fields.items():
        section = section_of(field.annotation)
        assert section is not None
        yield f"[{name}]", section
        for key, inner in section.model_fields.items():
            nested = section_of(inner.annotation)
            if nested:
                yield _heading(f"{name}.{key}", inner), nested


def _example_section(path: str, section: type[Section], mark: str) -> list[str]:
    """Lines of one section; `mark` comments its heading out where the section itself is optional."""
    lines = [f"# {section.__doc__}", f"{mark}{path if path.startswith('[') else f'[{path}]'}"]
    rules = _rules(section)
    nested: list[str] = []
    for key, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner:
            nested += ["", *_example_section(_heading(f"{path}.{key}", field), inner, "#")]
            continue
        text = f"{field.description}{_hidden(field)} ({_rule(rules[key])})"
        lines += textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"#{key} = {_toml(_shown(field))}")
    return [*lines, *nested, ""]


def _heading(path: str, field: FieldInfo) -> str:
    return f"[[{path}]]" if get_origin(field.annotation) is list else f"[{path}]"


def _shown(field: FieldInfo) -> Any:
    """The default, or the example where the default is nothing or depends on the machine."""
    return field.examples[0] if field.examples else field.get_default(call_default_factory=False)


def _hidden(field: FieldInfo) -> str:
    """The default, where the line shows an example in its place."""
    is_hidden = field.examples and field.default and field.default is not PydanticUndefined
    return f" Default: {_toml(field.default)}." if is_hidden else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default is PydanticUndefined:
        return ""
    return f"`{_toml(field.default)}`"


def _rule(schema: dict[str, Any]) -> str:
    """What a value may be, in words, from its JSON Schema."""
    if "anyOf" in schema:
        return _rule(next(choice for choice in schema["anyOf"] if choice.get("type") != "null"))
    if "enum" in schema:
        return " or ".join(_toml(value) for value in schema["enum"])
    kind: str = {
        "integer": "whole number",
        "array": "list",
        "string": "text",
        "boolean": "true or false",
    }.get(schema["type"], schema["type"])
    if schema.get("format") == "path":
        return "path"
    low = f"{_number(schema['minimum'])}" if "minimum" in schema else ""
    low = f"above {_number(schema['exclusiveMinimum'])}" if "exclusiveMinimum" in schema else low
    bounds = f", {low} to {_number(schema['maximum'])}" if low else ""
    most = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    even = ", even" if schema.get("multipleOf") == 2 else ""
    return kind + bounds + most + even


def _number(value: float) -> str:
    if not float(value).is_integer():
        return f"{value:g}"
    return f"{int(value):_}" if value >= 100_000 else f"{int(value)}"


def _toml(value: Any) -> str:
    """A default as TOML; strings and lists of strings look the same in JSON."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
