"""The files that the settings name: there, readable, and what they should be."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from agent.config.file import read_secret
from agent.config.settings import Section, Settings
from agent.errors import ConfigError
from agent.model.disk import IRREGULAR, MAX_PEM_BYTES, check_named, exists, unsafe

SECRETS = {
    "password_file",
    "database_password_file",
    "metrics_token_file",
    "credential_file",
    "secret_file",
    "client_secret_file",
}
MIN_TOKEN_CHARS = 22
"""128 random bits in base64: nobody guesses it, so nobody need be slowed down."""
CERTIFICATES = {"ca_file", "cert_file", "key_file"}
CONTENT = {"network", "classes"}
"""What is read as it is."""
MAX_CONTENT_BYTES = 64 * 1024 * 1024
"""No board has room for a larger network."""
MADE = {"state_dir", "folder", "audit_file", "crl_file"}
"""By ourselves, when they are needed."""


def file_faults(settings: Settings) -> list[str]:
    """`key = path: fault`, one line each, for every file that must be there."""
    return [f"{key} = {path}: {fault}" for key, path, fault in _faults(settings, "")]


def _faults(section: Section, prefix: str) -> Iterator[tuple[str, object, str]]:
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Section):
            yield from _faults(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for index, one in enumerate(value):
                if isinstance(one, Section):
                    yield from _faults(one, f"{prefix}{key}.{index}.")
        elif isinstance(value, Path) and (fault := _fault(key, value)):
            yield prefix + key, value, fault
    source = getattr(section, "source", "")
    if source.startswith("replay:") and (fault := _unreadable(Path(source.removeprefix("replay:")), None)):
        yield f"{prefix}source", source, fault
    cert, key_file = getattr(section, "cert_file", None), getattr(section, "key_file", None)
    if (
        cert
        and key_file
        and not _unreadable(cert)
        and not _unreadable(key_file)
        and not _go_together(cert, key_file)
    ):
        yield f"{prefix}cert_file", cert, f"no certificate in PEM, or {key_file} is not its private key"


def _fault(key: str, path: Path) -> str | None:
    try:
        return _found_fault(key, path)
    except ConfigError as exc:
        return str(exc).removeprefix(f"{path}: ")


def _found_fault(key: str, path: Path) -> str | None:
    if key in SECRETS:
        secret = read_secret(path)
        if key == "metrics_token_file" and len(secret) < MIN_TOKEN_CHARS:
            return f"{MIN_TOKEN_CHARS} characters at least: openssl rand -hex 32"
    elif key in CERTIFICATES:
        return (
            _unreadable(path)
            or unsafe(path, path.stat())
            or (_no_authorities(path) if key == "ca_file" else None)
        )
    elif key in CONTENT:
        return _unreadable(path, MAX_CONTENT_BYTES) or ("is empty" if path.stat().st_size == 0 else None)
    elif exists(path) and not (path.is_file() or path.is_dir()):
        return IRREGULAR
    return None


def _unreadable(path: Path, most_bytes: int | None = MAX_PEM_BYTES) -> str | None:
    try:
        check_named(path, most_bytes)
        with path.open("rb"):
            return None
    except OSError as exc:
        return f"cannot read it: {exc.strerror}"


def _no_authorities(path: Path) -> str | None:
    try:
        ssl.create_default_context(cafile=path)
    except (ssl.SSLError, ValueError):
        return "holds no certificate in PEM"
    return None


def _go_together(cert: Path, key: Path) -> bool:
    try:
        # The empty password: a key that needs one must not ask the terminal for it.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError):
        return False
    return True
