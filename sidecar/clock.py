"""The time, as stored and as shown to people."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def utc_text(at_ms: int) -> str:
    """Return a unix time in milliseconds as text: 2026-01-31 14:05:09Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
