"""Durations in words."""


def duration(seconds: float) -> str:
    """Return it for a person: 0.4 s, 12 s, 4 min, 3 h, 2 d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
