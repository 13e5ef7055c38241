"""Claim codes, one a device, from the CSV that `pinhole portal claim` writes."""

import re
from dataclasses import dataclass
from pathlib import Path

from agent.config import read_sheet
from agent.errors import ConfigError
from flash.errors import FlashError

DEVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""It is the host name too: a label of RFC 1123, section 2.1."""
CODE = re.compile(r"[A-Za-z0-9_-]{6,128}")
MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Claim:
    """What a new device shows the portal, once."""

    device: str
    code: str


def make_claim(device: str, code: str) -> Claim:
    """Raises FlashError where one of them cannot be right."""
    if not DEVICE.fullmatch(device):
        raise FlashError(f"device {device!r}: small letters, digits and hyphens: it is the host name too")
    if not CODE.fullmatch(code):
        raise FlashError(f"device {device}: its claim code is not one that the portal makes")
    return Claim(device, code)


def read_claims(file: Path) -> list[Claim]:
    """Rows with the columns `device` and `code`; other columns are left alone. All faults at once."""
    try:
        rows = read_sheet(file.read_bytes(), str(file), ["device", "code"])
    except (OSError, ConfigError) as exc:
        raise FlashError(str(exc)) from exc
    if len(rows) > MAX_ROWS:
        raise FlashError(f"{file}: more than {MAX_ROWS} devices")
    claims: list[Claim] = []
    faults = []
    for number, row in rows:
        try:
            claim = make_claim(row.get("device", ""), row.get("code", ""))
        except FlashError as exc:
            faults.append(f"line {number}: {exc}")
            continue
        if any(claim.device == other.device or claim.code == other.code for other in claims):
            faults.append(f"line {number}: {claim.device} or its code was there before")
        claims.append(claim)
    if faults:
        raise FlashError(f"{file}:\n  " + "\n  ".join(faults))
    return claims
