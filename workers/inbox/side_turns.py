"""Turns that are made beside the lane's own, each with one vendor's updates."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from sidecar.tasks import cancel

#: So many vendors at a time. Each may have a request at PHP that it does not answer.
MOST = 4


class SideTurns:
    """Holds the tasks, one for a vendor at a time. ``order_keys``: whose items are under way."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._order_keys: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def order_keys(self) -> set[str]:
        return set().union(*self._order_keys.values())

    def has_room_for(self, vendor_uid: str) -> bool:
        return vendor_uid not in self._tasks and len(self._tasks) < MOST

    def start(self, vendor_uid: str, turn: Coroutine[Any, Any, None], order_keys: set[str]) -> None:
        """Make a turn. There must be room for it."""
        self._tasks[vendor_uid] = asyncio.create_task(turn, name=f"beside {vendor_uid}")
        self._order_keys[vendor_uid] = order_keys

    async def wait(self, timeout_s: float) -> None:
        """Wait until one has ended, but not for longer than that."""
        if self._tasks:
            await asyncio.wait(
                self._tasks.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )

    def clear_ended(self) -> None:
        """Forget those that have ended. Raises what one of them has raised."""
        for vendor_uid, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[vendor_uid], self._order_keys[vendor_uid]
                task.result()

    async def cancel(self) -> None:
        """Break off those that are under way: nothing of theirs is settled."""
        await cancel(self._tasks.values())
        self._tasks.clear()
        self._order_keys.clear()
