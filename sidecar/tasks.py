"""Cancelling tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any


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
