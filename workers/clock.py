"""The time, as it is written down."""

import time


def now_ms() -> int:
    """Return the unix time in milliseconds."""
    return time.time_ns() // 1_000_000
