"""Which settings may be changed from afar, and settings with such changes on top. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from agent.config.file import described
from agent.config.settings import Section, Settings, section_of
from agent.errors import ConfigError
from agent.model.remote_settings import Value


@cache
def settable() -> tuple[str, ...]:
    """The keys of all that their sections mark as safe to change while the agent runs."""
    return tuple(_marked(Settings, ""))


def check_keys(changes: Iterable[str]) -> None:
    """Raises ConfigError for each that may not be changed."""
    if strange := [key for key in changes if key not in settable()]:
        raise ConfigError("; ".join(f"{key}: cannot be set from afar" for key in strange))


def with_changes(settings: Settings, changes: Mapping[str, Value]) -> Settings:
    """The settings with these on top, judged by the same rules. Raises ConfigError that lists every fault."""
    check_keys(changes)
    tables = settings.model_dump(exclude_unset=True)
    for key, value in changes.items():
        *path, last = key.split(".")
        table = tables
        for name in path:
            table = table.setdefault(name, {})
        table[last] = value
    try:
        return Settings.model_validate(tables)
    except ValidationError as exc:
        raise ConfigError("; ".join(described(exc))) from exc


def value_of(settings: Settings, key: str) -> Value:
    """What a settable key means."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    found: Value = value
    return found


def _marked(section: type[Section], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if name in section.settable:
            yield prefix + name
        if inner := section_of(field.annotation):
            yield from _marked(inner, f"{prefix}{name}.")
