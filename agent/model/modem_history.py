"""How a modem's signal was over a day: the answer to the command `modem-history`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from agent.model.signal import STRICT, UnixTime

SAMPLE_S = 300.0
MAX_SAMPLES = 288
"""A day."""

Decibels = Annotated[
    tuple[Annotated[float, Field(ge=-200, le=200)] | None, ...], Field(max_length=MAX_SAMPLES)
]
Rates = Annotated[tuple[Annotated[int, Field(ge=0, le=10**12)] | None, ...], Field(max_length=MAX_SAMPLES)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ModemHistory:
    """Samples by time, the oldest first; None where nothing was known. All are of one length."""

    until: UnixTime
    """When the last one ended, to within one."""
    interval_s: Annotated[float, Field(gt=0, le=86_400)]
    rsrp_dbm: Decibels
    sinr_db: Decibels
    sent_bps: Rates
    """By the modem's own counters."""
