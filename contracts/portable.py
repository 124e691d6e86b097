"""What can be written as JSON and read again by everybody who gets it: Python, PHP and Redis.

What other people send may be JSON for one reader and not for the next: integers beyond 64 bits,
numbers that are not finite, halves of surrogate pairs, any depth.
"""

from math import isfinite
from typing import Any

#: Deeper values cannot be written by every library.
MAX_DEPTH = 100


def flaw(value: Any) -> str | None:
    """Return where a value from JSON holds something that cannot be passed on, and what that is;
    None if it can be. Takes values of any depth."""
    waiting: list[tuple[Any, tuple[str | int, ...]]] = [(value, ())]
    while waiting:
        one, path = waiting.pop()
        what = _flaw_of(one, len(path))
        if what is not None:
            return ": ".join(filter(None, (_where(path), what)))
        if isinstance(one, dict):
            for name in one:
                if what := _flaw_of_key(name):
                    return ": ".join(filter(None, (_where(path), what)))
            waiting += [(inner, (*path, name)) for name, inner in one.items()]
        elif isinstance(one, list | tuple):
            waiting += [(inner, (*path, place)) for place, inner in enumerate(one)]
    return None


def _flaw_of(value: Any, depth: int) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else "an integer beyond 64 bits"
    if isinstance(value, float):
        return None if isfinite(value) else "a number that is not finite"
    if isinstance(value, str):
        return None if _is_whole(value) else "a text with half a character"
    if isinstance(value, list | dict | tuple) and depth >= MAX_DEPTH:
        return f"nested more than {MAX_DEPTH} deep"
    return None


def _flaw_of_key(name: Any) -> str | None:
    if not isinstance(name, str):
        return None
    if name.startswith("\0"):
        return "a key that begins with NUL"  # PHP has no such property
    return None if _is_whole(name) else "a text with half a character"


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _where(path: tuple[str | int, ...]) -> str:
    words = [str(step)[:40] for step in path[:6]]
    return ".".join(word if word.isprintable() else "?" for word in words)
