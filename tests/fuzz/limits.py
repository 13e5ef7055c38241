"""What one input may cost; beyond it the input is a finding like a crash."""

import resource
import sys
import time

from fuzz.target import Target

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
MIB = 2**20


class TooSlowError(AssertionError):
    """One input took too much CPU time."""


class TooLargeError(AssertionError):
    """One input took too much memory."""


def peak_bytes() -> int:
    """The most memory that this process had so far (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def run_limited(target: Target, data: bytes) -> None:
    """Check one input. Raises what the check raises, TooSlowError or TooLargeError."""
    peak, began_s = peak_bytes(), time.thread_time()
    target.check(data)
    spent_s, grown_mib = time.thread_time() - began_s, (peak_bytes() - peak) / MIB
    if spent_s > target.max_s:
        raise TooSlowError(f"{len(data)} bytes took {spent_s:.2f} s; {target.max_s:g} s are allowed")
    if grown_mib > target.max_growth_mib:
        raise TooLargeError(
            f"{len(data)} bytes took {grown_mib:.0f} MiB; {target.max_growth_mib} MiB are allowed"
        )
