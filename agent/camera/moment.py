"""When a picture was taken, on the monotonic clock."""

CLOCK_SLACK_US = 1_000_000


def capture_time_us(stamp_us: int | None, at_us: int) -> int:
    """The driver's stamp of a picture that came at `at_us`, where it is on our clock; else that moment.

    A sensor's clock, and UVC's, is the monotonic one as long as the board does not sleep.
    """
    return stamp_us if stamp_us is not None and 0 <= at_us - stamp_us <= CLOCK_SLACK_US else at_us
