"""config.txt of one device, by the same rules as scripts/flash makes it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "firmware-config"))
from flash.configtxt import extended, lost_overlays
from flash.errors import FlashError


class FilterModule:
    """Filters of the role."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"config_txt": config_txt, "lost_overlays": lost_overlays}


def config_txt(text: str, boards: Mapping[str, Sequence[str]], lines: Sequence[str]) -> str:
    """`text`, then each board's lines under its filter, then the host's."""
    own = [line for board, each in boards.items() for line in (f"[{board}]", *each, "[all]")]
    try:
        return extended(text, [*own, *lines])
    except FlashError as exc:
        raise AnsibleFilterError(str(exc)) from exc
