"""`pinhole.toml` and the files of secrets beside it, read from the disk."""

import difflib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.config.settings import BrokerSettings, RuleError, Section, Settings, section_of
from agent.config.written import ESCAPES, decode, odd_character, parse_toml
from agent.errors import ConfigError
from agent.model.disk import read_named, unsafe
from agent.model.program import command

MAX_FILE_BYTES = 256 * 1024
MAX_SECRET_BYTES = 4096


def load(path: Path) -> Settings:
    """Read `pinhole.toml`. Raises ConfigError that lists every fault.

    Relative paths in it are relative to its folder; a bare file name that systemd passes to the service
    as a credential (`LoadCredential=`) is read from there.
    """
    data = _parse(path)
    if escaped := list(_control_characters(data, [])):
        raise ConfigError("\n  ".join([f"{path}: {_count(escaped)}:", *escaped]))
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    context = {"base": path.absolute().parent, "credentials": Path(credentials) if credentials else None}
    # An absent section is an empty one, so that its default paths are resolved as well.
    complete: dict[str, Any] = {name: {} for name in Settings.model_fields} | data
    try:
        return Settings.model_validate(complete, context=context)
    except ValidationError as exc:
        faults = described(exc)
        raise ConfigError("\n  ".join([f"{path}: {_count(faults)}:", *faults])) from exc


def described(exc: ValidationError) -> list[str]:
    """Each fault of settings as key, value and rule."""
    return [line for error in exc.errors(include_url=False) for line in _describe(error)]


def read_secret(path: Path, *, is_typed: bool = False) -> str:
    """The one line in a secret's file, without its line end. Raises ConfigError.

    What every user of the machine can read is no secret: it is refused, as is what others can write. Where
    somebody types the name and waits it may be a pipe, as of `<(pass show door)`.
    """
    try:
        if is_typed and path.is_fifo():
            with path.open("rb") as pipe:
                status, data = os.fstat(pipe.fileno()), pipe.read(MAX_SECRET_BYTES + 1)
        else:
            status, data = read_named(path, MAX_SECRET_BYTES)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot read the secret: {exc.strerror}") from exc
    if fault := unsafe(path, status, is_secret=True):
        raise ConfigError(f"{path}: {fault}")
    if len(data) > MAX_SECRET_BYTES:
        raise ConfigError(f"{path}: cannot read the secret: it is larger than {MAX_SECRET_BYTES // 1024} KiB")
    secret = decode(data, str(path)).rstrip("\n")
    if found := _secret_fault(secret):
        raise ConfigError(f"{path}: must hold the secret and nothing else, on one line: {found}")
    return secret


def _secret_fault(secret: str) -> str | None:
    """What is there beside the secret, without a word of it; None where it is alone."""
    if not secret.strip():
        return "it is empty"
    lines = secret.split("\n")
    if len(lines) > 1:
        blank = next((number for number, line in enumerate(lines, 1) if not line.strip()), None)
        return f"line {blank} is blank: remove it" if blank else f"it has {len(lines)} lines"
    if secret != secret.strip():
        return f"line 1 {'ends' if secret[-1].isspace() else 'begins'} with a space: remove it"
    odd = odd_character(secret)
    return f"line 1, {odd}, which nobody sees: type it anew" if odd else None


def read_password(settings: BrokerSettings) -> str | None:
    """The broker's password, where there is one. Raises ConfigError."""
    return read_secret(settings.password_file) if settings.password_file else None


def _parse(path: Path) -> dict[str, Any]:
    try:
        status, data = read_named(path, MAX_FILE_BYTES)
    except OSError as exc:
        raise ConfigError(
            f"{path}: cannot read the settings: {exc.strerror}; "
            f"`{command()} config example` prints a file to start from"
        ) from exc
    if fault := unsafe(path, status):
        raise ConfigError(f"{path}: {fault}")
    return parse_toml(data, str(path))


def _control_characters(value: object, where: list[str]) -> Iterator[str]:
    r"""One fault for each text that holds one: `"C:\temp"` has a tab where somebody meant a folder."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _control_characters(inner, [*where, key])
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _control_characters(inner, [*where, str(index)])
    elif isinstance(value, str) and any(unicodedata.category(char) == "Cc" for char in value):
        yield _fault(where, value, ESCAPES)


def _count(faults: list[str]) -> str:
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"


def _describe(error: ErrorDetails) -> Iterator[str]:
    """`key = value: rule`, one line a fault."""
    where = [str(part) for part in error["loc"]]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, RuleError):
        section = error["input"] if isinstance(error["input"], Mapping) else {}
        for key, rule in cause.faults:
            yield _fault([*where, key], section.get(key), rule)
    elif error["type"] == "extra_forbidden":
        # The value is not shown: it may be a password under a key of the wrong name.
        yield f"{'.'.join(where)}: unknown key{_suggest(where)}"
    elif error["type"] in ("model_type", "model_attributes_type"):
        yield _fault(where, error["input"], f"must be a table, as in [{'.'.join(where)}]")
    elif error["type"] == "missing":
        yield f"{'.'.join(where)}: is required"
    else:
        yield _fault(
            where, error["input"], str(cause) if isinstance(cause, ValueError) else _rule(error["msg"])
        )


def _rule(message: str) -> str:
    """Pydantic's sentence about an input as a rule: `should be …`."""
    return re.sub(r"^(Input|String|List|Tuple|Value) should", "should", message)


def _fault(where: Iterable[str], value: object, rule: str) -> str:
    key = ".".join(where)
    if value is None or isinstance(value, Mapping):
        return f"{key}: {rule}"
    if isinstance(value, str) and (odd := odd_character(value)):
        rule = f"{rule}; {odd}"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = re.sub(r"//[^/@\s]*@", "//…@", shown)  # credentials in a URL
    return f"{key} = {shown if len(shown) <= 80 else shown[:79] + '…'}: {rule}"


def _suggest(where: list[str]) -> str:
    keys = dict(_known_keys(Settings, ""))
    wanted = ".".join(part for part in where if not part.isdecimal())
    same_section = [key for key in keys if key.rpartition(".")[0] == wanted.rpartition(".")[0]]
    near = difflib.get_close_matches(wanted, same_section, 1, 0.7) or difflib.get_close_matches(
        wanted, keys, 1, 0.7
    )
    by_name = [key for key in keys if key.rpartition(".")[2] == where[-1]]
    return f"; did you mean {(near or by_name)[0]}?" if near or by_name else ""


def _known_keys(section: type[Section], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in section.model_fields.items():
        yield prefix + name, field
        inner = section_of(field.annotation)
        if inner:
            yield from _known_keys(inner, f"{prefix}{name}.")
