"""Waiting for something that happens elsewhere, with a bound."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

#: Only what never happens takes so long; a busy machine may take a good part of it.
PATIENCE_S = 30.0
#: It is looked again after a longer and longer pause, but not after a longer one than this: on two
#: cores who looks all the time holds up what is waited for.
_LONGEST_S = 0.05


async def eventually(
    predicate: Callable[[], Awaitable[Any] | Any],
    timeout_s: float = PATIENCE_S,
    *,
    every_s: float = 0.01,
) -> Any:
    """Call ``predicate`` (a function, or one that returns an awaitable) until what it gives is
    true, and return that; fail when ``timeout_s`` have passed. The first pause is ``every_s``."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    pause_s = every_s
    while True:
        outcome = predicate()
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return outcome
        if loop.time() >= end:
            raise AssertionError(f"not true within {timeout_s} s: {_words(predicate)}: {outcome!r}")
        await asyncio.sleep(pause_s)
        pause_s = max(every_s, min(1.3 * pause_s, _LONGEST_S))


def _words(predicate: Callable[[], Any]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):
        return repr(predicate)
