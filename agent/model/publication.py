"""What is published: made by who speaks, kept and sent by the MQTT client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """One MQTT PUBLISH."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expires_s: float | None = None
    """By the clock of `Outbox.put`; worthless from then on."""
