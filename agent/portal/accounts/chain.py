"""A hash chain over the audit log's entries: each holds the hash of the one before. Pure."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, replace

GENESIS = "0" * 64
"""What the first entry of a chain has before it."""
DETAIL_CHARS = 400
_REMEMBERED = 1000
"""Inserted entries are told from removed ones as far back as this."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `at` is Unix time in seconds."""

    at: float
    actor: str
    action: str
    device: str = ""
    address: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as it was found, with the two hashes that stand beside it."""

    where: str
    """How people find it: its number, or its file and line."""
    entry: Entry
    previous: str
    hash: str


def hash_of(previous: str, entry: Entry) -> str:
    """SHA-256 over the hash before and everything that the entry says, as one JSON array."""
    return hashlib.sha256(json.dumps([previous, *astuple(entry)]).encode()).hexdigest()


def in_ascii(entry: Entry) -> Entry:
    """What a database of whatever encoding takes of it."""
    texts = {key: text for key, text in asdict(entry).items() if key != "at"}
    return replace(entry, **{key: text.encode("ascii", "replace").decode() for key, text in texts.items()})


def faults(links: Iterable[Link], anchor: str, head: str | None = None) -> Iterator[str]:
    """Name what was changed, removed or inserted, from `anchor` to `head`, which None leaves open."""
    last, last_where = anchor, ""
    seen: deque[tuple[str, str]] = deque([(anchor, "")], _REMEMBERED)
    for link in links:
        if link.previous != last:
            yield _gap(link.previous, seen, last_where, link.where)
        if hash_of(link.previous, link.entry) != link.hash:
            yield f"{link.where} was changed"
        last, last_where = link.hash, link.where
        seen.append((last, last_where))
    if head is not None and last != head:
        yield _gap(head, seen, last_where, "")


def _gap(wanted: str, seen: Iterable[tuple[str, str]], last_where: str, next_where: str) -> str:
    known = [where for hash_, where in seen if hash_ == wanted]
    if known:
        after = f"after {known[-1]}, " if known[-1] else ""
        return f"{after}up to {last_where}: inserted"
    if not last_where and not next_where:
        return "all entries were removed"
    if last_where and next_where:
        place = f"between {last_where} and {next_where}"
    else:
        place = f"before {next_where}" if next_where else f"after {last_where}"
    return f"{place}: entries were removed or changed"
