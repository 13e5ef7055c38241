"""An SDP description cut into its sections (RFC 8866). Pure.

What stands in a section is judged by who uses it: one that nobody needs may hold anything, and is repeated
as rejected all the same (RFC 3264 section 6).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from agent.errors import NegotiationError

_LINE_END = re.compile(r"\r\n|\r|\n")
_M_LINE = re.compile(
    r"m=(?P<kind>[\w-]{1,32}) (?P<port>\d{1,5})(/\d+)? (?P<protocol>[\w/-]{1,32})"
    r" (?P<formats>[!-~]{1,64}( +[!-~]{1,64})*) *",
    re.ASCII,
)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,255}")  # RFC 8866 section 9
_RTPMAP = re.compile(r"(?P<number>\d{1,3}) +(?P<codec>[\w.+-]{1,64}/\d{1,9}(/\d{1,3})?)", re.ASCII)
_MAX_PAYLOAD_TYPE = 127

Attributes = tuple[tuple[str, str], ...]
"""Each `a=` line in its order: the name, and what follows the colon."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of a section."""

    payload_type: int
    name: str
    """In lower case: encoding names have none (RFC 8866 section 6.6)."""
    parameters: dict[str, str]
    """Of `a=fmtp`; names in lower case (RFC 4855 section 3)."""
    feedback: frozenset[str]
    """Of `a=rtcp-fb`."""


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line, and what is said below it."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    mid: str
    """Empty where there is none, or none that may be repeated."""
    own: Attributes
    session: Attributes

    @property
    def direction(self) -> str:
        """RFC 8866 section 6.7."""
        known = ("recvonly", "sendonly", "inactive", "sendrecv")
        return next((name for name, _ in (*self.own, *self.session) if name in known), "sendrecv")

    @property
    def is_data(self) -> bool:
        """Whether it is of data channels, as in RFC 8841 or in the older draft's form."""
        return self.kind == "application" and self.protocol in ("UDP/DTLS/SCTP", "DTLS/SCTP")

    def has(self, name: str) -> bool:
        """Whether the section has the attribute."""
        return any(found == name for found, _ in self.own)

    def values(self, name: str) -> list[str]:
        """Each value of an attribute in the section."""
        return [value for found, value in self.own if found == name]

    def inherited(self, name: str) -> list[str]:
        """The same; where the section has none, those of the whole session."""
        return self.values(name) or [value for found, value in self.session if found == name]

    def rtpmaps(self) -> dict[str, str]:
        """Each payload type's codec, as in `H264/90000`, in the order of the m-line: that of preference."""
        said = [found for value in self.values("rtpmap") if (found := _RTPMAP.fullmatch(value))]
        by_number = {found["number"]: found["codec"] for found in said}
        known = (number for number in dict.fromkeys(self.formats) if number in by_number)
        return {number: by_number[number] for number in known if int(number) <= _MAX_PAYLOAD_TYPE}

    def codecs(self) -> list[Codec]:
        """The same with all that is said of each."""
        parameters, feedback = self._by_number("fmtp"), self._by_number("rtcp-fb")
        return [
            Codec(
                int(number),
                codec.partition("/")[0].lower(),
                _parameters(parameters.get(number, [])),
                frozenset(feedback.get(number, []) + feedback.get("*", [])),
            )
            for number, codec in self.rtpmaps().items()
        ]

    def _by_number(self, name: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for value in self.values(name):
            number, *words = value.split() or [""]
            found.setdefault(number, []).append(" ".join(words))
        return found


@dataclass(frozen=True, slots=True)
class Description:
    """An offer or an answer."""

    media: tuple[Media, ...]
    bundles: tuple[tuple[str, ...], ...]
    """The mids of each `a=group:BUNDLE` (RFC 9143), in order, each once."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises NegotiationError where it is no SDP, or an m-line cannot be repeated."""
        session: list[tuple[str, str]] = []
        media: list[tuple[re.Match[str], list[tuple[str, str]]]] = []
        attributes = session
        for line in _LINE_END.split(text):
            if line.startswith("m="):
                said = _M_LINE.fullmatch(line)
                if said is None:
                    raise NegotiationError("malformed-sdp", f"this is no media section: {line!r:.60}")
                attributes = []
                media.append((said, attributes))
            elif line.startswith("a="):
                name, _, value = line[2:].partition(":")
                attributes.append((name.strip(), value.strip()))
        words = (value.split() for name, value in session if name == "group")
        return cls(
            tuple(
                Media(
                    said["kind"],
                    int(said["port"]),
                    said["protocol"],
                    tuple(said["formats"].split()),
                    _mid(own),
                    tuple(own),
                    tuple(session),
                )
                for said, own in media
            ),
            tuple(
                tuple(dict.fromkeys(mids))
                for semantics, *mids in filter(None, words)
                if semantics == "BUNDLE"
            ),
        )


def _mid(own: Iterable[tuple[str, str]]) -> str:
    mid = next((value for name, value in own if name == "mid"), "")
    return mid if _TOKEN.fullmatch(mid) else ""


def _parameters(lines: list[str]) -> dict[str, str]:
    """`name=value` between semicolons; blanks around either mean nothing (RFC 6184 section 8.1)."""
    found: dict[str, str] = {}
    for part in ";".join(lines).split(";"):
        name, _, value = part.partition("=")
        found[name.strip().lower()] = value.strip()
    return found
