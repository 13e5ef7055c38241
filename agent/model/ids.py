"""Names of devices and sessions. What comes from outside is one only after it was parsed as one."""

import re
from typing import Annotated

from pydantic import StringConstraints

_PATTERN = r"[A-Za-z0-9_-]{1,64}"
_ID = re.compile(_PATTERN)

Id = Annotated[str, StringConstraints(pattern=f"^{_PATTERN}$")]
"""Safe as one level of an MQTT topic: no `/`, `+`, `#` or `$`. No dot either: each name of the portal at
the broker holds one."""


def is_id(text: str) -> bool:
    """Whether this can be the name of a device or a session."""
    return _ID.fullmatch(text) is not None
