"""The time, as it is written down and as people read it."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def utc_text(at_ms: int) -> str:
    """Return a unix time in milliseconds for a person: 2026-01-31 14:05:09Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
