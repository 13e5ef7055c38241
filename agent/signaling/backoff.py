"""How long to wait before the next attempt. Pure."""

FIRST_CEILING_S = 1.0


def pause_s(outage_s: float, max_s: float, draw: float) -> float:
    """Exponential back-off with full jitter: `draw` in [0, 1) of a ceiling that grows with the outage.

    The ceiling is half the time since the connection was lost, from 1 s to `max_s`. So an outage of up to
    10 s ends within 5 s of the broker's return, and a fleet comes back spread over half of what it missed.
    """
    return draw * min(max_s, max(FIRST_CEILING_S, outage_s / 2))
