"""Ending tasks, and waking them together."""

import asyncio
from types import SimpleNamespace

import pytest

from sidecar import tasks
from sidecar.tasks import cancel, keep_running, seconds_to_tick, tick
from tests.eventually import eventually


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


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have it be so long after the first tick."""
    now = tasks._FIRST_TICK + seconds
    monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=lambda: now))


@pytest.mark.parametrize(
    ("seconds", "interval_s", "left_s"),
    [
        (0.0, 1.0, 1.0),
        (10.4, 1.0, 0.6),
        (10.7, 1.0, 0.3),
        (10.8, 1.0, 1.2),  # too near
        (10.999, 1.0, 1.001),  # a timer that fires too early does not make two ticks of one
        (10.4, 5.0, 4.6),
        (10.4, 0.25, 0.1),
    ],
)
def test_ticks_of_all_intervals_coincide(
    monkeypatch: pytest.MonkeyPatch, seconds: float, interval_s: float, left_s: float
) -> None:
    at(monkeypatch, seconds)
    assert seconds_to_tick(interval_s) == pytest.approx(left_s, abs=1e-6)


async def test_a_tick_is_slept_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    at(monkeypatch, 7.75)
    monkeypatch.setattr(tasks, "asyncio", SimpleNamespace(sleep=sleep))
    await tick(1.0)
    await tick(2.0)
    assert slept == [1.25, 2.25]


async def test_what_fails_in_the_background_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.0)
    runs: list[int] = []

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) < 3:
            raise ZeroDivisionError
        await forever()

    running = keep_running(work, "work")
    await eventually(lambda: len(runs) == 3, 5)
    assert not running.done()
    await cancel([running])
    assert running.cancelled()


async def test_what_returns_in_the_background_has_ended() -> None:
    async def work() -> None:
        pass

    await asyncio.wait_for(keep_running(work, "work"), 5)
