"""Keeping tasks running, cancelling them, and waking them together."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

log = structlog.get_logger()

#: What runs in the background and fails is begun again after so long.
AGAIN_S = 1.0

#: This process's ticks are at this time of the monotonic clock, and at whole intervals from it.
_FIRST_TICK = time.monotonic()


def seconds_to_tick(interval_s: float) -> float:
    """Return how long it is to the next tick of this interval, or to the one after it if that is
    near. Of an interval and its multiples the ticks coincide: whatever a process does periodically
    wakes it up once, not once for each."""
    left_s = interval_s - (time.monotonic() - _FIRST_TICK) % interval_s
    return left_s if left_s > interval_s / 4 else left_s + interval_s


async def tick(interval_s: float) -> None:
    """Sleep until the next tick (:func:`seconds_to_tick`)."""
    await asyncio.sleep(seconds_to_tick(interval_s))


def keep_running(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
    """Start what runs in the background until it is cancelled, or returns. If it raises, that is
    logged and it begins again: nobody waits for it, and it would be missed by nobody."""

    async def keep() -> None:
        while True:
            try:
                return await work()
            except Exception:
                log.exception("task.failed", task=name)
            await asyncio.sleep(AGAIN_S)

    return asyncio.create_task(keep(), name=name)


async def cancel(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks, and return when they have ended. Their exceptions are dropped.

    A task is cancelled again until it ends: ``asyncio.wait_for`` of Python 3.11, which redis-py
    uses, swallows a cancellation that coincides with its result; the task would go on for ever.
    """
    pending = {task for task in tasks if task is not None}
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=0.1)
        for task in done:
            if not task.cancelled():
                task.exception()  # retrieved
