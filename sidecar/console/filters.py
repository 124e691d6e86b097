"""How pages write numbers, durations and times: filters of the templates."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from sidecar.clock import utc_text
from sidecar.format import duration, size

#: What stands where nothing is known.
NOTHING = "–"


def age(seconds: float | None) -> str:
    """Return a duration in seconds as text: 4 min."""
    return NOTHING if seconds is None else duration(max(0.0, seconds))


def count(value: float | None) -> str:
    """Return a whole number with its thousands: 1,234,567."""
    return NOTHING if value is None else f"{value:,.0f}"


def rate(per_second: float | None) -> str:
    """Return a rate as text: 0.25/s, 12.5/s, 1,040/s."""
    if per_second is None:
        return NOTHING
    digits = 2 if 0 < per_second < 1 else 1 if per_second < 100 else 0
    text = f"{per_second:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "/s"


def percent(share: float | None) -> str:
    """Return a share of 1 as text: 12%."""
    return NOTHING if share is None else f"{share:.0%}"


def seconds(value: float | None) -> str:
    """Return a short time as text: 4 ms, 0.35 s, 2.1 s."""
    if value is None:
        return NOTHING
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 1 else duration(value)


def when(at_ms: float | None) -> str | Markup:
    """Return a unix time in milliseconds as a ``<time>``."""
    if at_ms is None:
        return NOTHING
    exact = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return Markup('<time datetime="{}">{}</time>').format(exact, utc_text(int(at_ms)))


FILTERS: dict[str, Callable[..., Any]] = {
    "age": age,
    "count": count,
    "rate": rate,
    "percent": percent,
    "seconds": seconds,
    "size": size,
    "when": when,
}
