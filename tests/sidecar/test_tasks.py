"""Ending tasks."""

import asyncio

import pytest

from sidecar.tasks import cancel


async def forever() -> None:
    await asyncio.Event().wait()


async def test_tasks_have_ended_when_it_returns() -> None:
    tasks = [asyncio.create_task(forever()) for _ in range(3)]
    await asyncio.sleep(0)
    await cancel([None, *tasks])
    assert all(task.cancelled() for task in tasks)


async def test_nothing_to_end() -> None:
    await cancel([])
    await cancel([None])


async def test_what_a_task_raises_is_dropped() -> None:
    async def failing() -> None:
        try:
            await forever()
        finally:
            raise ZeroDivisionError

    failed, done = asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(0))
    await asyncio.sleep(0.01)
    await cancel([failed, done])
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert done.done()


async def test_a_task_that_swallows_a_cancellation_is_asked_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await forever()
            except asyncio.CancelledError:
                swallowed += 1
        await forever()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel([task]), 10)
    assert task.cancelled()
    assert swallowed == 2
