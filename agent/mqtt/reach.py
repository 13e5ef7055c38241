"""Whether the way to the broker is open, told by TCP alone: nothing is said on the connection."""

from collections.abc import Sequence

from agent.mqtt.endpoint import Dialer


async def is_reached(dialers: Sequence[Dialer]) -> bool:
    """One of the hosts answers, asked one after the other; a refusal is an answer too."""
    for dialer in dialers:
        try:
            (await dialer.open()).close()
        except ConnectionRefusedError:
            return True
        except (OSError, UnicodeError):  # TimeoutError, an unknown name; and one that is no name to IDNA
            continue
        return True
    return False
