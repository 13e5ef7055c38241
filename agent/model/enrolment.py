"""What a device asks of the portal to become known, and what it gets: `POST /api/enroll`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints, with_config

from agent.model.ids import Id
from agent.model.keys import KeySet
from agent.model.signal import STRICT, UnixTime

MAX_PEM_CHARS = 64 * 1024
Pem = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PEM_CHARS)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class EnrollRequest:
    """With a claim code the first time; without one for a new certificate."""

    request: Annotated[str, StringConstraints(max_length=4096)]
    """A signing request (RFC 2986) by the device's own key; its common name is the device."""
    code: Annotated[str, StringConstraints(max_length=64)] | None = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Enrolment:
    """All that a device needs besides its key; nothing in here is secret."""

    device: Id
    certificate: Pem
    """For the broker, by the portal's authority."""
    expires_at: UnixTime
    keys: KeySet
    """Whose offers count."""
    broker_url: Annotated[str, StringConstraints(max_length=512)]
    topic_prefix: Annotated[str, StringConstraints(max_length=64)] = "pinhole"
    broker_ca: Annotated[str, Field(max_length=MAX_PEM_CHARS)] = ""
    """What the broker's own certificate is proven by; empty for the system's authorities."""
