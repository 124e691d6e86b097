"""Calls that get in each other's way, all of them at the same moment."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from simulator.stack.database import Database
from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Vendor
from tests.eventually import eventually

Answer = TypeVar("Answer")

#: What calls about a vendor lock first; and beside what they insert.
_LOCKED = ("contacts", "whatsapp_message_queue", "whatsapp_message_logs", "vendor_settings")

_WAITING = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"


def waiting(database: Database) -> int:
    """Return how many transactions wait for a lock."""
    return int(database.rows(_WAITING)[0]["Value"])


@contextmanager
def locked(database: Database, vendor_id: int) -> Iterator[None]:
    """Lock all rows of a vendor, and the places beside them, for a block."""
    with database.alone():
        database.script("START TRANSACTION")
        try:
            for table in _LOCKED:
                database.rows(
                    f"SELECT _id FROM {table} WHERE vendors__id = ? FOR UPDATE", (vendor_id,)
                )
            database.rows(
                "SELECT _id FROM campaigns WHERE vendors__id = ? FOR UPDATE", (vendor_id,)
            )
            yield
        finally:
            database.script("COMMIT")


async def at_once(
    backend: LaravelBackend, vendor: Vendor, *calls: Coroutine[Any, Any, Answer]
) -> list[Answer]:
    """Make calls (no more than PHP has workers) that have all read what they read without a lock
    before any of them gets one; return their answers."""
    database = backend.database
    with locked(database, vendor.id):
        tasks = [asyncio.create_task(call) for call in calls]

        def wait_or_are_done() -> bool:
            return waiting(database) + sum(task.done() for task in tasks) >= len(tasks)

        try:
            await eventually(wait_or_are_done)
        except AssertionError:
            for task in tasks:
                task.cancel()
            raise
    return await asyncio.gather(*tasks)
