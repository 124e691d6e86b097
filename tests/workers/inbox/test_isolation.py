"""Who is isolated, for how long, and how many at a time are seen to."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from sidecar.php.breaker import FRESH_S, Breaker
from tests.eventually import eventually
from workers.inbox import isolation
from workers.inbox.isolation import (
    ISOLATED_S,
    MAX_BATCHES,
    MAX_HANGING,
    MAX_PAUSE_S,
    MAX_REPORTED,
    IsolatedBatches,
    Isolation,
    SharedLock,
    Why,
)

A, B, C = "vendor-1", "vendor-2", "vendor-3"

# -- who, and for how long --


def test_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((1000, 2000, 3000))
    monkeypatch.setattr(isolation, "now_ms", lambda: next(times))
    vendors = Isolation(Breaker("php.failing"))
    vendors.fails(A, "500")
    vendors.isolate([A, B], "it hung")
    vendors.confirm(B, "it hung")
    assert vendors.report_since() == {A: 1000, B: 2000}
    vendors.release(A)
    vendors.fails(A, "500")
    assert vendors.report_since() == {A: 3000, B: 2000}


def test_a_vendor_comes_back_when_php_has_long_hung_on_nothing_of_its() -> None:
    now = 0.0
    vendors = Isolation(Breaker("php.failing"), lambda: now)
    vendors.isolate([A, B], "it hung")
    now = ISOLATED_S - 1
    vendors.confirm(A, "it hung again")
    now = ISOLATED_S + 1
    assert vendors.vendors() == {A}
    now = 2 * ISOLATED_S
    assert vendors.vendors() == set()
    assert vendors.reasons == vendors.report() == {}
    assert vendors.why(A) is None


def test_who_did_not_hang_alone_is_released_when_php_takes_all() -> None:
    vendors = Isolation(Breaker("php.failing"))
    vendors.isolate([A, B], "it hung")
    vendors.fails(C, "500")
    vendors.confirm(A, "it hung again")
    vendors.isolate([A], "and again among others")
    for vendor in (A, B, C, "vendor-4"):
        vendors.release(vendor)
    assert vendors.vendors() == {A}
    assert vendors.why(A) is Why.HANGS


def test_a_suspicion_takes_nothing_of_what_is_known() -> None:
    vendors = Isolation(Breaker("php.failing"))
    vendors.fails(A, "500")
    vendors.isolate([A, B], "it hung")
    assert [vendors.why(vendor) for vendor in (A, B, C)] == [Why.FAILS, Why.SUSPECTED, None]
    assert [vendors.is_suspected(vendor) for vendor in (A, B, C)] == [False, True, False]


def test_those_are_told_of_which_it_is_known_and_not_too_many() -> None:
    vendors = Isolation(Breaker("php.failing"))
    vendors.isolate([A], "it hung")
    vendors.fails(B, "500")
    vendors.confirm(C, "no answer")
    assert vendors.report() == {B: "500", C: "no answer"}
    for number in range(2 * MAX_REPORTED):
        vendors.fails(f"v{number}", "500")
    assert len(vendors.report()) == MAX_REPORTED


def test_who_is_well_again_is_not_told_of_though_still_isolated() -> None:
    now = 0.0
    clock = lambda: now  # noqa: E731
    vendors = Isolation(Breaker("php.failing", clock=clock), clock)
    vendors.confirm(A, "no answer")
    vendors.confirm(B, "no answer")
    vendors.failed(B, "no answer")
    vendors.worked(A)
    vendors.release(A)
    assert vendors.vendors() == {A, B}
    assert vendors.report() == {B: "no answer"}
    now += FRESH_S - 1
    vendors.failed(B, "no answer")
    now += FRESH_S - 1
    assert vendors.report() == {B: "no answer"}
    now += 2
    assert vendors.report() == {}, "nobody has tried since"
    vendors.failed(A, "no answer")
    assert vendors.report() == {A: "no answer"}


def test_it_is_logged_once_that_a_vendor_is_isolated() -> None:
    vendors = Isolation(Breaker("php.failing"))
    with capture_logs() as logs:
        for _ in range(3):
            vendors.fails(A, "500")
        vendors.release(A)
    assert [(log["event"], log["vendor"]) for log in logs] == [
        ("vendor.isolated", A),
        ("vendor.released", A),
    ]


def test_each_vendor_has_a_pause_of_its_own() -> None:
    like = Breaker(
        "php.failing", first_s=1.0, longest_s=60.0, clock=lambda: 0.0, jitter=lambda: 0.5
    )
    vendors = Isolation(like)
    pauses = []
    for _ in range(5):
        vendors.failed(A, "it hung")
        pauses.append(vendors.wait_s(A))
    assert pauses == [1.0, 2.0, 4.0, 8.0, MAX_PAUSE_S]
    assert vendors.wait_s(B) == like.wait_s == 0.0
    vendors.worked(A)
    vendors.worked(B)
    assert vendors.wait_s(A) == 0.0


# -- batches beside --


@pytest.fixture
async def beside() -> AsyncIterator[IsolatedBatches]:
    yield (batches := IsolatedBatches())
    await batches.cancel()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_those_on_which_php_hangs_take_no_place_of_the_others(
    beside: IsolatedBatches,
) -> None:
    for number in range(MAX_HANGING):
        assert beside.has_room_for(f"hangs-{number}", hangs=True)
        beside.start(f"hangs-{number}", for_ever(), set(), hangs=True)
    assert not beside.has_room_for("hangs", hangs=True)
    for number in range(MAX_BATCHES):
        assert beside.has_room_for(f"fails-{number}", hangs=False)
        beside.start(f"fails-{number}", for_ever(), set(), hangs=False)
    assert not beside.has_room_for("fails", hangs=False)
    assert len(beside) == MAX_HANGING + MAX_BATCHES


async def test_a_vendor_has_one_batch_at_a_time(beside: IsolatedBatches) -> None:
    over = asyncio.Event()

    async def until_over() -> None:
        await over.wait()

    beside.start(A, until_over(), {"a/1", "a/2"}, hangs=True)
    beside.start(B, for_ever(), {"b/1"}, hangs=False)
    assert not beside.has_room_for(A, hangs=True)
    assert beside.order_keys == {"a/1", "a/2", "b/1"}
    over.set()
    await beside.wait(30.0)
    beside.clear_ended()
    assert beside.has_room_for(A, hangs=True)
    assert beside.order_keys == {"b/1"}


async def test_what_one_of_them_raises_is_raised(beside: IsolatedBatches) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    beside.start(A, fail(), set(), hangs=False)
    await beside.wait(30.0)
    with pytest.raises(ZeroDivisionError):
        beside.clear_ended()
    assert not beside


async def test_all_are_broken_off(beside: IsolatedBatches) -> None:
    broken_off = []

    async def until_cancelled() -> None:
        try:
            await for_ever()
        finally:
            broken_off.append(True)

    for vendor in (A, B):
        beside.start(vendor, until_cancelled(), {vendor}, hangs=True)
    await asyncio.sleep(0)
    await beside.cancel()
    assert (len(broken_off), len(beside), beside.order_keys) == (2, 0, set())
    assert beside.has_room_for(A, hangs=True)


# -- together, or alone --


async def test_who_wants_to_be_alone_waits_for_those_who_are_there() -> None:
    lock = SharedLock()
    over = asyncio.Event()
    happened: list[str] = []

    async def together(name: str) -> None:
        async with lock.together():
            happened.append(name)
            await over.wait()

    async def alone(name: str) -> None:
        async with lock.alone():
            happened.append(name)
            await asyncio.sleep(0)
            happened.append(f"{name} is done")

    tasks = [asyncio.create_task(together(name)) for name in ("a", "b")]
    await eventually(lambda: len(happened) == 2)
    tasks += [asyncio.create_task(alone("c"))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(together("later")), asyncio.create_task(alone("d"))]
    for _ in range(10):
        await asyncio.sleep(0)
    assert happened == ["a", "b"]
    over.set()
    await asyncio.gather(*tasks)
    assert happened[-1] == "later", "those who come later do not keep it waiting"
    for name in ("c", "d"):
        assert happened.index(f"{name} is done") == happened.index(name) + 1


async def test_who_is_broken_off_while_it_waits_leaves_nothing_behind() -> None:
    lock = SharedLock()
    async with lock.together():
        waiting = asyncio.create_task(lock.alone().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        async with lock.together():
            pass
    async with lock.alone():
        pass
