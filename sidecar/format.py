"""Durations, sizes, numbers and versions: formatted for people, and parsed for comparison."""

import re

Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """Return the leading numbers of a version: 10.11.14-MariaDB is (10, 11, 14)."""
    found = re.match(r"\D*(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def size(count: int) -> str:
    """Return a number of bytes as text: 512 B, 64.0 MB, 1.5 GB."""
    for unit, factor in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def many(count: int, one: str, more: str | None = None) -> str:
    """Return how many there are, in words: 1 row, 2,000 rows. ``more`` is the plural, if that is
    not ``one`` with an s."""
    return f"1 {one}" if count == 1 else f"{count:,} {more or one + 's'}"


def messages(count: int) -> str:
    return many(count, "message")


def duration(seconds: float) -> str:
    """Return a duration as text: 0.4 s, 12 s, 4 min, 3 h, 2 d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
