import asyncio
import time

import pytest

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.scheduler import Scheduler
from tests.simulator.cloud_api.helpers import eventually


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(Clock())


def test_clock_is_the_wall_clock() -> None:
    assert Clock().now() == pytest.approx(time.time(), abs=1)


async def test_calls_come_in_order_and_not_too_early(scheduler: Scheduler) -> None:
    seen: list[object] = []
    began = time.monotonic()
    scheduler.start(asyncio.get_running_loop())
    scheduler.after(0.05, seen.append, "late")
    scheduler.after(0.0, seen.append, "first")
    scheduler.after(0.0, seen.append, "second")
    scheduler.after(0.02, seen.append, "third")
    await eventually(lambda: len(seen) == 4)
    assert seen == ["first", "second", "third", "late"]
    assert time.monotonic() - began >= 0.05
    assert len(scheduler) == 0
    scheduler.stop()


async def test_nothing_runs_before_start_or_after_stop(scheduler: Scheduler) -> None:
    seen: list[object] = []
    scheduler.after(0, seen.append, 1)
    await asyncio.sleep(0.02)
    assert not seen
    scheduler.start(asyncio.get_running_loop())
    await eventually(lambda: bool(seen))
    scheduler.after(0, seen.append, 2)
    scheduler.stop()
    await asyncio.sleep(0.02)
    assert seen == [1]


async def test_many_at_once(scheduler: Scheduler) -> None:
    seen: list[object] = []
    scheduler.start(asyncio.get_running_loop())
    for at in range(1000):
        scheduler.after(0, seen.append, at)
    await eventually(lambda: len(seen) == 1000)
    assert seen == list(range(1000))
    scheduler.stop()


async def test_a_call_that_fails_does_not_stop_the_others(scheduler: Scheduler) -> None:
    seen: list[object] = []
    problems: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: problems.append(context["exception"]))
    scheduler.start(loop)
    scheduler.after(0, [].remove, "nothing")
    scheduler.after(0, seen.append, 1)
    await eventually(lambda: bool(seen))
    assert len(problems) == 1
    scheduler.stop()
