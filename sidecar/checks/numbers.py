"""Versions and sizes, as they are compared and as people read them."""

import re

Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """Return the numbers that a version begins with: 10.11.14-MariaDB is (10, 11, 14)."""
    found = re.match(r"\D*(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def size(count: int) -> str:
    """Return a number of bytes for a person: 512 B, 64.0 MB, 1.5 GB."""
    for unit, factor in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
